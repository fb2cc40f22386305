"""What `i3d predict` shows of its predictions: lines, tables, pictures."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path

import pandas as pd
from rich.console import Console

from i3d_lightning.files import write_atomically
from i3d_lightning.predict import pictures
from i3d_lightning.predict.moments import Moment, stretches
from i3d_lightning.predict.predictor import Predictor
from i3d_lightning.results import charts


def compute(predictor: Predictor, video: str, every: float, top: int, json: bool) -> list[Moment]:
    """Compute the moments of a video; as JSON they are printed as they come."""
    found = []
    with Console(stderr=True).status(video) as status:
        for moment in predictor.over_time(video, every):
            found.append(moment)
            status.update(f"{video}: {moment.end:.1f} s")
            if json:
                times = {"start": round(moment.start, 6), "end": round(moment.end, 6)}
                print(dumps({"video": video, **times, "predictions": plain(moment.best(top))}), flush=True)
    return found


def plain(best: list[tuple[str, float]]) -> list[dict[str, object]]:
    """Make probabilities what JSON can hold."""
    return [{"label": label, "probability": round(p, 6)} for label, p in best]


def show(video: str, moments: list[Moment], partly: dict[str, str], json: bool) -> None:
    """Print when which class is the most probable; as JSON, that is known, only how much was read."""
    if json:
        if partly:
            print(dumps({"video": video, **partly}), flush=True)
        return
    print(video)
    for part in stretches(moments):
        print(f"  {part.start:8.2f} – {part.end:8.2f} s  {part.probability:.4f}  {part.label}", flush=True)


def write_csv(path: Path, rows: list[tuple[str, float, float, str, float]]) -> None:
    """Write the moments of all videos so far: video, start, end, label, probability."""
    table = pd.DataFrame(rows, columns=["video", "start", "end", "label", "probability"])
    text = table.round({"start": 6, "end": 6, "probability": 6}).to_csv(index=False)
    write_atomically(path, lambda file: file.write(text.encode()))


def draw_ribbon(video: Path, moments: list[Moment], path: Path) -> None:
    """Draw the moments of a video below its frames."""
    charts.save(pictures.ribbon(video, moments), path)
    print(f"Drawn to {path}.", file=sys.stderr)


def draw_maps(predictor: Predictor, video: Path, path: Path, class_name: str | None) -> None:
    """Draw where a class is to be seen, by default the most probable one, and print its probability."""
    found = predictor.activation_maps(video, None if class_name is None else [class_name])
    print(f"{video}\n  {float(found.probabilities[0]):.4f}  {found.labels[0]}", flush=True)
    charts.save(pictures.activation_picture(video, found), path)
    print(f"Drawn to {path}.", file=sys.stderr)

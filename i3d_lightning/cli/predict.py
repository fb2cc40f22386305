"""The verb predict: what happens in any video, when, and where it is to be seen."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

from i3d_lightning.cli.output import check_file, check_picture
from i3d_lightning.errors import InputError

if TYPE_CHECKING:
    from i3d_lightning.predict.moments import Moment
    from i3d_lightning.predict.predictor import Predictor


def predict(
    videos: list[str],
    weights: str = "i3d-rgb-kinetics400",
    top: int = 5,
    json: bool = False,
    every: float | None = None,
    csv: Path | None = None,
    ribbon: Path | None = None,
    maps: Path | None = None,
    class_name: str | None = None,
) -> None:
    """Say what happens in any video.

    Args:
        videos: Video files.
        weights: A name (see `i3d weights list`) or path.
        top: How many classes to show.
        json: Print one JSON object a line: `video`, `predictions` (`label`, `probability`), and `partly_read`
            where not all of it could be read; or `video` and `error`. With `every`, one for each moment, with
            its `start` and `end` in seconds.
        every: Say it for each moment of so many seconds, over the whole video; else once, of its beginning.
        csv: Write the moments to this file: video, start, end, label, probability.
        ribbon: Draw the moments to this picture (PNG); of one video.
        maps: Draw where the most probable class is to be seen to this picture (PNG); of one video.
        class_name: Draw it of this class instead.
    """
    from i3d_lightning.predict.moments import check_every
    from i3d_lightning.predict.predictor import Predictor
    from i3d_lightning.video.damage import watched

    if top < 1:
        raise InputError(f"top is {top}, but must be at least 1.")
    _check_flags(videos, json, every, csv, ribbon, maps, class_name)
    predictor = Predictor(weights)
    if maps is not None:
        _draw_maps(predictor, Path(videos[0]), maps, class_name)
        return
    if every is not None:
        check_every(every, predictor.clips.fps)
    failed = 0
    rows: list[tuple[str, float, float, str, float]] = []
    for video in videos:
        try:
            with watched() as seen:
                if every is None:
                    best = predictor(Path(video), top)
                else:
                    moments = _moments(predictor, video, every, top, json)
        except InputError as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
            if json:
                print(dumps({"video": video, "error": str(error)}), flush=True)
            continue
        partly = {"partly_read": str(seen.damage)} if seen.damage else {}
        if every is not None:
            _show(video, moments, partly, json)
            rows += [(video, m.start, m.end, label, p) for m in moments for label, p in m.best(top)]
            if ribbon is not None:
                _draw_ribbon(Path(video), moments, ribbon)
        elif json:
            print(dumps({"video": video, "predictions": _plain(best), **partly}), flush=True)
        else:
            print(video)
            for label, p in best:
                print(f"  {p:.4f}  {label}", flush=True)
    if csv is not None:
        _write_csv(csv, rows)
    if failed:
        raise SystemExit(1)


def _check_flags(
    videos: list[str],
    json: bool,
    every: float | None,
    csv: Path | None,
    ribbon: Path | None,
    maps: Path | None,
    class_name: str | None,
) -> None:
    """Refuse flags that do not go together, and places where nothing can be written, before all else.

    Raises:
        InputError: There is one.
    """
    for flag, asked in (("csv", csv), ("ribbon", ribbon)):
        if asked is not None and every is None:
            raise InputError(f"--{flag} is of moments: say how long these are, such as --every 0.5.")
    for flag, picture in (("ribbon", ribbon), ("maps", maps)):
        if picture is not None and len(videos) > 1:
            raise InputError(f"--{flag} is a picture of one video, but there are {len(videos)}: give one.")
    if maps is None and class_name is not None:
        raise InputError("--class is for --maps: say which picture to draw, such as --maps maps.png.")
    if maps is not None and (every is not None or json):
        other = "--json" if every is None else "--every"
        raise InputError(f"--maps draws a single prediction, and {other} is for others: drop one of them.")
    if csv is not None and json:
        raise InputError("--csv and --json give the same moments: drop one of them.")
    if csv is not None:
        check_file("table", csv, ".csv")
    for picture in filter(None, (ribbon, maps)):
        check_picture(picture)


def _moments(predictor: Predictor, video: str, every: float, top: int, json: bool) -> list[Moment]:
    """Compute all moments of a video; as JSON they are printed as they come."""
    from rich.console import Console

    found = []
    with Console(stderr=True).status(video) as status:
        for moment in predictor.over_time(video, every):
            found.append(moment)
            status.update(f"{video}: {moment.end:.1f} s")
            if json:
                times = {"start": round(moment.start, 6), "end": round(moment.end, 6)}
                print(dumps({"video": video, **times, "predictions": _plain(moment.best(top))}), flush=True)
    return found


def _plain(best: list[tuple[str, float]]) -> list[dict[str, object]]:
    return [{"label": label, "probability": round(p, 6)} for label, p in best]


def _show(video: str, moments: list[Moment], partly: dict[str, str], json: bool) -> None:
    """Print when which class is the most probable; as JSON, that is known, only how much was read."""
    from i3d_lightning.predict.moments import stretches

    if json:
        if partly:
            print(dumps({"video": video, **partly}), flush=True)
        return
    print(video)
    for part in stretches(moments):
        print(f"  {part.start:8.2f} – {part.end:8.2f} s  {part.probability:.4f}  {part.label}", flush=True)


def _write_csv(path: Path, rows: list[tuple[str, float, float, str, float]]) -> None:
    import pandas as pd

    from i3d_lightning.files import write_atomically

    table = pd.DataFrame(rows, columns=["video", "start", "end", "label", "probability"])
    text = table.round({"start": 6, "end": 6, "probability": 6}).to_csv(index=False)
    write_atomically(path, lambda file: file.write(text.encode()))
    print(f"Written to {path}.", file=sys.stderr)


def _draw_ribbon(video: Path, moments: list[Moment], path: Path) -> None:
    from i3d_lightning.predict import pictures
    from i3d_lightning.results import charts

    charts.save(pictures.ribbon(video, moments), path)
    print(f"Drawn to {path}.", file=sys.stderr)


def _draw_maps(predictor: Predictor, video: Path, path: Path, class_name: str | None) -> None:
    from i3d_lightning.predict import pictures
    from i3d_lightning.results import charts

    found = predictor.activation_maps(video, None if class_name is None else [class_name])
    print(f"{video}\n  {float(found.probabilities[0]):.4f}  {found.labels[0]}", flush=True)
    charts.save(pictures.activation_picture(video, found), path)
    print(f"Drawn to {path}.", file=sys.stderr)

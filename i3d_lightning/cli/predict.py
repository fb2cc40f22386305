"""The verb predict: what happens in any video, when, and where it is to be seen."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path

from i3d_lightning.cli.output import check_file, check_picture
from i3d_lightning.errors import InputError


def predict(
    videos: list[str],
    weights: str = "i3d-rgb-kinetics400",
    architecture: str | None = None,
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
        architecture: Their network, where several have the same tensors and the file does not say.
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
    from i3d_lightning.cli import predictions
    from i3d_lightning.predict.moments import check_every
    from i3d_lightning.predict.predictor import Predictor
    from i3d_lightning.video.damage import watched

    if top < 1:
        raise InputError(f"top is {top}, but must be at least 1.")
    _check_flags(videos, json, every, csv, ribbon, maps, class_name)
    predictor = Predictor(weights, architecture)
    if maps is not None:
        predictions.draw_maps(predictor, Path(videos[0]), maps, class_name)
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
                    moments = predictions.compute(predictor, video, every, top, json)
        except InputError as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
            if json:
                print(dumps({"video": video, "error": str(error)}), flush=True)
            continue
        partly = {"partly_read": str(seen.damage)} if seen.damage else {}
        if every is not None:
            predictions.show(video, moments, partly, json)
            rows += [(video, m.start, m.end, label, p) for m in moments for label, p in m.best(top)]
            if csv is not None:
                predictions.write_csv(csv, rows)
            if ribbon is not None:
                predictions.draw_ribbon(Path(video), moments, ribbon)
        elif json:
            print(dumps({"video": video, "predictions": predictions.plain(best), **partly}), flush=True)
        else:
            print(video)
            for label, p in best:
                print(f"  {p:.4f}  {label}", flush=True)
    if csv is not None and rows:
        print(f"Written to {csv}.", file=sys.stderr)
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

"""Verbs on data sets: render, check, preview, flow ahead of time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i3d_lightning.cli.output import check_picture
from i3d_lightning.errors import InputError, check_known
from i3d_lightning.experiment import NONE, Experiment, check_number
from i3d_lightning.recipe import FLOW_PRESETS, Recipe, compose
from i3d_lightning.study.workspace import check_folder

if TYPE_CHECKING:
    from i3d_lightning.datasets.faults import Fault


def demo(root: Path = Path("data/demo"), seed: int | None = None) -> None:
    """Render the demo data sets, laid out as Kinetics, UCF-101, HMDB-51 and ImageNet are.

    Args:
        root: Folder to render into.
        seed: Another seed gives other videos; 0 gives those on which the demo and its recipes were made,
            the usual one others.
    """
    from i3d_lightning.demo import DemoSettings, render_demo

    check_folder("root", root)
    if seed is not None:
        check_number("seed", seed)
    made = render_demo(root, DemoSettings() if seed is None else DemoSettings(seed=seed))
    print(f"{made.videos} videos and images are in {root}.")


def check(
    dataset: str = "demo-ucf101",
    root: Path | None = None,
    split: str = "all",
    fail_on: str = "unreadable",
    cache: Path = Path("cache"),
    json: bool = False,
) -> None:
    """Decode every official video, look for leaks, duplicates and misplaced files, and say what is wrong.

    What is found goes into the manifests that experiments use. It may be stopped, and given again goes on.

    Args:
        dataset: Name of the data set, or the path of your own (see docs/own-data.md).
        root: Folder of the data set; the demo sets know theirs.
        split: Official split, or several: `1,2,3`; `all` for those that are there.
        fail_on: Faults with which the exit status is 1: `all`, `none`, or some: `leak,near-leak,missing`.
        cache: Folder of manifests.
        json: Print one JSON object a line for every fault instead of the table.
    """
    from json import dumps

    from i3d_lightning.cli.output import print_json
    from i3d_lightning.datasets import DATASETS
    from i3d_lightning.datasets.check import check as check_dataset
    from i3d_lightning.datasets.faults import FAULTS, as_json
    from i3d_lightning.datasets.own import named
    from i3d_lightning.files import write_atomically

    check_folder("cache", cache)
    dataset = named(dataset, root)
    fatal = {"all": list(FAULTS), "none": []}.get(fail_on, fail_on.split(","))
    for kind in fatal:
        check_known("fault", kind, FAULTS)
    if split != "all" and not re.fullmatch("[0-9]{1,4}(,[0-9]{1,4})*", split):
        raise InputError(f"split is '{split}', but must be all, a number such as 1, or several: 1,2,3.")
    splits = [] if split == "all" else [int(number) for number in split.split(",")]
    report = check_dataset(DATASETS[dataset].name, root, splits, cache / "manifests")
    rows = as_json(report)
    kept = cache / "checks" / f"{dataset}.jsonl"
    write_atomically(kept, lambda file: file.write("".join(f"{dumps(row)}\n" for row in rows).encode()))
    if json:
        print_json(rows)
    else:
        _show_report(report)
        print(f"Every fault is in {kept}.")
    if any(report.of(kind) for kind in fatal):
        raise SystemExit(1)


_EXAMPLES = 3
"""Faults of a kind that a table shows."""
_LONG = 200
"""Letters of the other videos of a fault that a table shows."""


def _show_report(report: Any) -> None:
    import pandas as pd

    from i3d_lightning.cli.output import print_frame
    from i3d_lightning.datasets.faults import FAULTS

    rows = []
    for kind, meaning in FAULTS.items():
        if found := report.of(kind):
            shown = [_in_words(fault) for fault in found[:_EXAMPLES]]
            more = [f"and {len(found) - _EXAMPLES} more"] if len(found) > _EXAMPLES else []
            rows.append((kind, len(found), meaning, "\n".join(shown + more)))
    frame = pd.DataFrame(rows, columns=["fault", "count", "meaning", "examples"])
    title = f"{report.dataset}, splits {', '.join(map(str, report.splits))}: {report.videos} videos"
    print_frame(frame, title, "" if rows else "Nothing is wrong.")


def _in_words(fault: Fault) -> str:
    cut = "…" if len(fault.other) > _LONG else ""  # thousands may be the same
    other = f"= {fault.other[:_LONG]}{cut}" if fault.other else ""
    splits = f"in split {', '.join(map(str, fault.splits))}" if fault.splits else ""
    return " ".join(filter(None, (fault.video, other, fault.said and f"({fault.said})", splits)))


def preview(
    dataset: str = "demo-ucf101",
    root: Path | None = None,
    split: int = 1,
    classes: int = 10,
    output: Path = Path("preview.png"),
    cache: Path = Path("cache"),
) -> None:
    """Draw a contact sheet (PNG) of a data set's clips and their optical flow, or of its images.

    Args:
        dataset: Name of the data set, or the path of your own (see docs/own-data.md).
        root: Folder of the data set; the demo sets know theirs.
        split: Official split, from 1.
        classes: How many classes to show.
        output: The picture to write.
        cache: Folder of manifests.
    """
    from i3d_lightning.datasets import DATASETS
    from i3d_lightning.datasets.manifest import load_manifest
    from i3d_lightning.datasets.own import named
    from i3d_lightning.datasets.preview import draw_preview
    from i3d_lightning.networks.registry import IMAGE_NETWORK
    from i3d_lightning.study.recipes import recipe_for

    if classes < 1:
        raise InputError(f"classes is {classes}, but must be at least 1.")
    check_picture(output)
    check_folder("cache", cache)
    dataset = named(dataset, root)
    network = IMAGE_NETWORK if DATASETS[dataset].images else "i3d"
    recipe, _ = recipe_for(Experiment(network, "rgb", NONE, "origin", dataset, split), {})
    data = load_manifest(dataset, root, split, cache / "manifests").data
    draw_preview(data, recipe, output, classes)
    print(output)


def flow(
    source: Path,
    destination: Path = Path("cache/flow"),
    preset: str = "accurate",
    fps: float = 25.0,
    short_side: int = 256,
    part: str = "1/1",
) -> None:
    """Compute the optical flow of every video below a folder, ahead of the experiments that need it.

    What is there is skipped, so the command may be stopped and given again. An experiment finds the flow
    below its `--cache`, if its settings are these.

    Args:
        source: A video, or a folder of videos at any depth.
        destination: Folder that flow is kept in: `flow` below the cache of experiments.
        preset: Settings of TV-L1: `accurate`, those of the paper's experiments, or `fast`.
        fps: Frame rate that videos are resampled to, in frames per second.
        short_side: Length that a frame's shorter side is resized to, in pixels.
        part: `2/8` computes the second of eight parts, for as many processes or machines.
    """
    from i3d_lightning.datasets.facts import identify
    from i3d_lightning.datasets.folder import SUFFIXES, walk
    from i3d_lightning.flow import FlowStore

    check_known("preset", preset, FLOW_PRESETS)
    compose(Recipe(), {"clips": {"fps": fps, "short_side": short_side, "crop": 8}})
    check_folder("destination", destination)
    number, parts = _part(part)
    videos = [source] if source.is_file() else sorted(p for p in walk(source) if p.suffix.lower() in SUFFIXES)
    if not videos:
        raise InputError(f"There is no video below {source}: check the path.")
    videos = videos[number - 1 :: parts]
    store = FlowStore(destination, FLOW_PRESETS[preset], fps, short_side)
    failures = store.compute(identify(videos, destination.parent / "manifests"))
    print(f"{len(videos) - len(failures)} of {len(videos)} videos have their flow in {store.folder}.")
    if failures:
        raise SystemExit(1)


def _part(text: str) -> tuple[int, int]:
    number, _, parts = text.partition("/")
    plain = re.fullmatch("[0-9]{1,6}/[0-9]{1,6}", text)
    if not (plain and 1 <= int(number) <= int(parts)):
        raise InputError(f"part is '{text}', but must be like 2/8, the second of eight.")
    return int(number), int(parts)

"""Verbs that run experiments: pretrain, experiment, grid, and one planned cell."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Collection, Mapping, Sequence
from json import loads
from pathlib import Path
from typing import Any

from i3d_lightning.cli.output import print_frame, print_json
from i3d_lightning.cli.parser import RecipeChanges
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import FUSION, STREAMS, Experiment, seeds_from
from i3d_lightning.recipe import Changes, merge, plain

MAX_UNREADABLE = 0.05
"""Share of videos that may be unreadable; more is no longer a few bad downloads."""


def pretrain(
    space: Any,
    dataset: str = "demo-kinetics",
    architecture: str | None = None,
    stream: str | None = None,
    pretraining: str = "none",
    weights: str | None = None,
    root: Path | None = None,
    seed: int = 0,
    precision: str | None = None,
    recipe: RecipeChanges = RecipeChanges(),  # type: ignore[valid-type]
    on: str = "local",
    max_unreadable: float = MAX_UNREADABLE,
    json: bool = False,
) -> None:
    """Train on Kinetics or ImageNet: these weights are what pretraining of that name means from then on.

    Args:
        dataset: `kinetics`, `demo-kinetics`, `imagenet`, `demo-imagenet`, or another that teaches.
        architecture: Name of the network (see `i3d architectures`); on images it is the image network.
        stream: `rgb`, `flow`, `joint`, or `rgb+flow` for one network each; what there is, if not said.
        pretraining: `none`, or `imagenet` to start from inflated ImageNet weights.
        weights: The ImageNet weights, by name or path.
        root: Folder of the data set; the demo set knows its own.
        seed: Seed of initialisation, order, augmentation and dropout; of the ImageNet weights too, unless
            they are given.
        precision: `auto` (by the device), `float32` (without TF32) or `bf16`.
        recipe: Settings that differ from the data set's recipe.
        space: Where things are kept.
        on: Where to run: `local`, or another launcher.
        max_unreadable: As in `i3d experiment`.
        json: Print one JSON object a line for each result.
    """
    from i3d_lightning.datasets import DATASETS
    from i3d_lightning.networks.registry import IMAGE_NETWORK

    if DATASETS[dataset].teaches is None:
        teachers = ", ".join(d.name for d in DATASETS if d.teaches)
        raise InputError(f"Pretraining is on {teachers}, not on {dataset}: use i3d experiment.")
    architecture = architecture or (IMAGE_NETWORK if DATASETS[dataset].images else "i3d")
    seeds = [(seed, seed if weights is None else 0)]
    cells = _cells("origin", architecture, stream, pretraining, weights, [dataset], [1], seeds)
    _run(cells, weights, root, _changes(recipe, precision), space, on, max_unreadable, json)


def experiment(
    protocol: str,
    space: Any,
    dataset: str = "demo",
    architecture: str = "i3d",
    stream: str | None = None,
    pretraining: str | None = None,
    weights: str | None = None,
    root: Path | None = None,
    split: str = "1",
    seed: int = 0,
    seeds: int = 1,
    pretraining_seeds: int = 1,
    precision: str | None = None,
    recipe: RecipeChanges = RecipeChanges(),  # type: ignore[valid-type]
    on: str = "local",
    max_unreadable: float = MAX_UNREADABLE,
    json: bool = False,
) -> None:
    """Run a protocol on a data set, then print the table of all runs so far.

    Args:
        protocol: `origin` (train on the target only), `fixed` (frozen features, only the last layer
            is trained) or `full-ft` (everything is fine-tuned).
        dataset: `ucf101`, `hmdb51`, ..., a demo set, `demo` for both demo targets, or your own: the path of a
            list or folder, or NAME=PATH (see docs/own-data.md).
        architecture: Name of the network, see `i3d architectures`.
        stream: `rgb`, `flow`, `joint`, or `rgb+flow` for both and their fusion.
        pretraining: `none`, `imagenet`, `kinetics` or `imagenet+kinetics`; read from the weights
            where they say it, else `none` for origin and `kinetics` for the others.
        weights: A name (see `i3d weights list`) or path, or one for each stream: `rgb=...,flow=...`.
        root: Folder of the data set: videos and official split files as downloaded; of a list of your own,
            where its paths begin.
        split: Official split, or several: `1,2,3`.
        seed: The first seed.
        seeds: How many seeds, counted up from the first.
        pretraining_seeds: How many pretrainings: seed s starts from that of seed s mod N, and there are N
            seeds at least. Weights that are given or published are one.
        precision: `auto` (by the device), `float32` (without TF32) or `bf16`.
        recipe: Settings that differ from the data set's recipe.
        space: Where things are kept.
        on: Where to run: `local`, or another launcher.
        max_unreadable: Share of the training or test videos of a run, from 0 to 1: where more cannot be
            read, the exit status is 1. Nothing that is computed or stored depends on it.
        json: Print one JSON object a line for each experiment and each fusion, after the table.
    """
    from i3d_lightning.datasets.demo import TARGETS
    from i3d_lightning.datasets.own import named

    said = list(TARGETS) if dataset == "demo" else dataset.split(",")
    datasets = _each_once("dataset", [named(word, root) for word in said])
    numbers = seeds_from(seed, seeds, pretraining_seeds)
    cells = _cells(protocol, architecture, stream, pretraining, weights, datasets, _splits(split), numbers)
    _run(cells, weights, root, _changes(recipe, precision), space, on, max_unreadable, json)


def grid(
    file: Path,
    space: Any,
    root: dict[str, Path] | None = None,
    weights: dict[str, str] | None = None,
    seeds: int | None = None,
    pretraining_seeds: int | None = None,
    precision: str | None = None,
    on: str = "local",
    max_unreadable: float = MAX_UNREADABLE,
    dry_run: bool = False,
) -> None:
    """Run what is missing of a grid of experiments, and print the table of it.

    Args:
        file: Describes the grid: see experiments/ and docs/grids.md.
        root: Folder of each real data set: `{ucf101: /path, hmdb51: /path}`.
        weights: Weights of each stream, `{rgb: name or path}`, for all cells that do not start from scratch;
            else own pretraining or, by name, published ones.
        seeds: Run every cell with so many seeds, counted up from 0, instead of the file's.
        pretraining_seeds: Start every cell from so many pretrainings, as in `i3d experiment`, with as many
            seeds at least, instead of the file's.
        precision: As in `i3d experiment`, where the file says nothing else.
        space: Where things are kept.
        on: Where to run: `local`, or another launcher.
        max_unreadable: As in `i3d experiment`.
        dry_run: List the cells in their order instead of running them.
    """
    from i3d_lightning.launch import LAUNCHERS
    from i3d_lightning.results.reading import check_share
    from i3d_lightning.results.runs import is_complete
    from i3d_lightning.study import grid as grids
    from i3d_lightning.study.planner import plan

    quieten_lightning()
    check_share(max_unreadable)
    wanted = grids.read_grid(file)
    if seeds is not None or pretraining_seeds is not None:
        wanted = grids.with_seeds(wanted, 1 if seeds is None else seeds, pretraining_seeds)
    if precision is not None:
        wanted = grids.with_settings(wanted, {"training": {"precision": precision}})
    launcher = LAUNCHERS[on]
    planned = plan(
        wanted.cells, space, roots=root or {}, weights=weights, settings=wanted.settings, dry=dry_run
    )
    if dry_run:
        for cell in planned.cells:
            print(f"{'complete' if is_complete(space.folder(cell)) else 'to run  '}  {cell.name}")
        return
    overview = launcher(planned, space)
    _show_table(space)
    failure = ""
    if overview.failed:
        reasons = "".join(f"\n  {cell.name}: {why}" for cell, why in overview.failed.items())
        failure = (
            f"{len(overview.failed)} of {len(planned.cells)} cells failed; "
            f"the same command runs them again:{reasons}"
        )
    end(overview.done, max_unreadable, failure)


def cell(file: Path, max_unreadable: float = 1.0, json: bool = False) -> None:
    """Run one planned cell from the file that a launcher wrote.

    Args:
        file: The planned cell.
        max_unreadable: As in `i3d experiment`; not looked at here if not said, since whoever planned the
            cell looks at all of them, and its launcher would take it for failed.
        json: Print one JSON object with its result.
    """
    from i3d_lightning import ranks
    from i3d_lightning.registry import import_plugins
    from i3d_lightning.results.reading import check_share
    from i3d_lightning.results.scores import scores
    from i3d_lightning.study.planner import imports_of, load_cell
    from i3d_lightning.study.run import run

    quieten_lightning()
    check_share(max_unreadable)
    try:
        content = loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} cannot be read as a planned cell ({error}): check the path.") from error
    import_plugins(imports_of(content))
    done = run(*load_cell(content))
    if json and ranks.is_first():
        print_json(score.as_json() for score in scores([done]))
    end([done], max_unreadable)


def _run(
    cells: Sequence[Experiment],
    weights: str | None,
    root: Path | None,
    changes: Changes,
    space: Any,  # a Workspace, whose module is loaded only where a verb needs it
    on: str,
    max_unreadable: float,
    json: bool,
) -> None:
    from i3d_lightning import ranks
    from i3d_lightning.launch import LAUNCHERS
    from i3d_lightning.results.reading import check_share
    from i3d_lightning.results.scores import scores
    from i3d_lightning.study.planner import plan

    quieten_lightning()
    check_share(max_unreadable)
    wanted = frozenset(cells)
    shared = _shared(changes)
    launcher = LAUNCHERS[on]
    planned = plan(
        cells,
        space,
        roots={cell.dataset: root for cell in cells} if root else {},
        weights=weights_by_stream(weights, {cell.stream for cell in cells}),
        settings=lambda experiment: changes if experiment in wanted else shared,
    )
    overview = launcher(planned, space)
    if not all(cell in overview.failed for cell in planned.wanted):
        _show_table(space)
    if json and ranks.is_first():
        print_json(s.as_json() for s in scores(r for r in overview.done if r.experiment in wanted))
    end(overview.done, max_unreadable, _failures(planned, overview.failed))


def end(done: Sequence[Any], max_unreadable: float, failure: str = "") -> None:
    """End as things went: with exit status 1 where too many videos are unreadable, 2 where cells failed."""
    from i3d_lightning import ranks
    from i3d_lightning.results.reading import too_many_unreadable

    lost = too_many_unreadable(done, max_unreadable) if ranks.is_first() else None
    if lost:
        print(f"error: {lost}", file=sys.stderr)
    if failure:
        raise InputError(failure)
    if lost:
        raise SystemExit(1)


def _failures(planned: Any, failed: Mapping[Experiment, str]) -> str:
    """What failed, in one sentence where it is one cell; nothing where none did."""
    if not failed:
        return ""
    if len(planned.cells) == 1:
        return next(iter(failed.values()))
    first, *others = failed.items()
    more = f", and {len(others)} more" if others else ""
    return f"{first[0].name} failed{more}: {first[1]}"


def _shared(changes: Changes) -> Changes:
    """Of an experiment's own settings, those that pretraining which has to be run first takes over."""
    flow = {name: value for name, value in (changes.get("flow") or {}).items() if name != "source"}
    return {"flow": flow, "training": {"precision": (changes.get("training") or {}).get("precision")}}


def _cells(
    protocol: str,
    architecture: str,
    stream: str | None,
    pretraining: str | None,
    weights: str | None,
    datasets: Sequence[str],
    splits: Sequence[int],
    seeds: Sequence[tuple[int, int]],
) -> list[Experiment]:
    """The experiments that a command line stands for; `seeds` as `seeds_from` gives them."""
    from i3d_lightning.networks import ARCHITECTURES
    from i3d_lightning.study.cells import default_pretraining

    network = ARCHITECTURES[architecture]
    streams = network.usual_streams if stream is None else (stream,)
    streams = ("rgb", "flow") if stream == FUSION else streams
    given = weights_by_stream(weights, streams)
    return [
        Experiment(
            architecture,
            s,
            _pretraining(pretraining, given[s], architecture)
            or default_pretraining(architecture, protocol, dataset),
            protocol,
            dataset,
            split,
        ).at(*both)
        for dataset in datasets
        for split in splits
        for both in seeds
        for s in streams
    ]


def _pretraining(said: str | None, weights: str | None, architecture: str) -> str | None:
    """The pretraining that was said, or that the weights say."""
    if weights is None:
        return said
    from i3d_lightning.weights import load_weights

    known = load_weights(weights, architecture=architecture).pretraining
    if said is None and known is None:
        raise InputError(f"{weights} does not say what it was trained on: add, say, --pretraining kinetics.")
    if said is not None and known is not None and said != known:
        raise InputError(
            f"{weights} has pretraining '{known}', not '{said}': drop --pretraining or change it."
        )
    return said or known


def weights_by_stream(given: str | None, streams: Collection[str]) -> dict[str, str | None]:
    """`rgb=a,flow=b` or one path for the only stream."""
    if given is None:
        return dict.fromkeys(streams)
    if not given:
        raise InputError("--weights is empty: give a name (see i3d weights list) or a path, or drop it.")
    if not given.startswith(tuple(f"{s}=" for s in STREAMS)):
        if len(streams) > 1:
            raise InputError(
                f"--weights {given} is for one stream, but two are to be run: "
                "give rgb=...,flow=... or one --stream."
            )
        return dict.fromkeys(streams, given)
    found: dict[str, str | None] = {}
    for part in given.split(","):
        name, _, found_at = part.partition("=")
        if not found_at or name in found:
            raise InputError(
                f"--weights is '{given}', but must be one path for each stream: rgb=...,flow=..."
            )
        found[name] = found_at
    if set(found) != set(streams):
        raise InputError(
            f"--weights names {', '.join(found)}, but the streams to run are {', '.join(streams)}."
        )
    return found


def _splits(text: str) -> list[int]:
    if not re.fullmatch("[0-9]{1,4}(,[0-9]{1,4})*", text):
        raise InputError(f"split is '{text}', but must be a number such as 1, or several: 1,2,3.")
    return [int(part) for part in _each_once("split", text.split(","))]


def _each_once(what: str, words: Sequence[str]) -> list[str]:
    """Refuse what is named twice: one of them was meant to be another."""
    if twice := next((word for word in words if words.count(word) > 1), None):
        raise InputError(f"{what} names {twice} twice: name each once.")
    return list(words)


def _changes(recipe: Any, precision: str | None) -> Changes:
    """The settings of a recipe that were said."""
    return merge(plain(recipe), {"training": {"precision": precision}})


def quieten_lightning() -> None:
    """What Lightning says of devices and workers is noise here; its errors are not."""
    from i3d_lightning import ranks

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    if not ranks.is_first():
        logging.getLogger("i3d_lightning").setLevel(logging.CRITICAL)


def _show_table(space: Any) -> None:
    """Print the table of all runs, and write and log it; of several processes the first alone does."""
    import pandas as pd

    from i3d_lightning import ranks
    from i3d_lightning.results import overview, tables
    from i3d_lightning.results.runs import collect
    from i3d_lightning.results.scores import scores
    from i3d_lightning.study import tracking

    if not ranks.is_first():
        return
    found = scores(collect(space.root))
    if not found:
        return
    summary = overview.summarise(found)
    layout = overview.layout(summary)
    print_frame(layout, None, overview.legend(summary))
    csv, md = overview.write_tables(space.root, summary)
    print(f"Written to {csv} and {md}.")
    made = tables.all_tables(found)
    paper = {title: tables.flat(table) for title, table in made.items()}
    notes = pd.DataFrame([(title, table.note) for title, table in made.items()], columns=["table", "note"])
    numbers = summary.astype({"splits": str})
    tracking.log_tables({"results": layout, "numbers": numbers, **paper, "notes": notes}, space.root)

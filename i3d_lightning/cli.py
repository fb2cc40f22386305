"""`i3d <verb>`: every function below is a verb, its arguments are the flags.

Thin: it parses, calls the package and prints. Flags, YAML configs (`--config`) and `--print_config`
come from the functions' signatures and docstrings through jsonargparse.
"""

from __future__ import annotations

import dataclasses
import errno
import logging
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import field, replace
from json import dumps
from pathlib import Path
from typing import Any, get_type_hints

from jsonargparse import ArgumentParser

from i3d_lightning import plan
from i3d_lightning.plan import DEMO_TARGETS, FUSION, Experiment, InputError


def _optional(settings: type, name: str) -> Any:
    """A twin of a settings dataclass in which everything may be left open (None)."""
    hints = get_type_hints(settings)
    twins: list[Any] = []
    for f in dataclasses.fields(settings):
        if dataclasses.is_dataclass(hints[f.name]):
            inner = _optional(hints[f.name], hints[f.name].__name__ + "Changes")  # type: ignore[arg-type,union-attr]
            twins.append((f.name, inner, field(default_factory=inner)))
        else:
            twins.append((f.name, hints[f.name] | None, None))
    return dataclasses.make_dataclass(
        name, twins, frozen=True, namespace={"__doc__": settings.__doc__, "__module__": __name__}
    )


RecipeChanges = _optional(plan.Recipe, "RecipeChanges")


def demo(root: Path = Path("data/demo"), seed: int = 0) -> None:
    """Render the demo data sets, in the layouts of Kinetics, UCF-101 and HMDB-51.

    Args:
        root: Folder to render into.
        seed: Another seed gives other videos.
    """
    from i3d_lightning.datasets.demo import DemoSettings, render_demo

    made = render_demo(root, DemoSettings(seed=seed))
    print(f"{made.videos} videos are in {root}.")


def preview(
    dataset: str = "demo-ucf101",
    root: Path | None = None,
    split: int = 1,
    classes: int = 10,
    output: Path = Path("preview.png"),
) -> None:
    """Draw a contact sheet (PNG) of a data set's clips and their optical flow.

    Args:
        dataset: Name of the data set.
        root: Folder of the data set; the demo sets know theirs.
        split: Official split, from 1.
        classes: How many classes to show, one training clip each.
        output: The picture to write.
    """
    from i3d_lightning import recipes, runner
    from i3d_lightning.preview import draw_preview

    shown = Experiment("i3d", "rgb", "none", "origin", dataset, split)
    data = runner.read_data(shown, root, runner.Workspace())
    draw_preview(data, recipes.recipe_for(shown, {}), output, classes)
    print(output)


def pretrain(
    dataset: str = "demo-kinetics",
    architecture: str | None = None,
    stream: str | None = None,
    pretraining: str = "none",
    weights: str | None = None,
    root: Path | None = None,
    seed: int = 0,
    speed: str | None = None,
    recipe: RecipeChanges = RecipeChanges(),  # type: ignore[valid-type]
    runs: Path = Path("runs"),
    cache: Path = Path("cache"),
    name: str = "",
    trainer: dict[str, Any] | None = None,
    json: bool = False,
) -> None:
    """Train on Kinetics or ImageNet: these weights are what pretraining of that name means from then on.

    Args:
        dataset: `kinetics`, `demo-kinetics`, `imagenet` or `demo-imagenet`.
        architecture: Row of the paper's Table 1; on ImageNet it is the image network, `convnet`.
        stream: `rgb`, `flow`, `joint`, or `rgb+flow` for one network each; what there is, if not said.
        pretraining: `none`, or `imagenet` to start from inflated ImageNet weights.
        weights: The ImageNet weights, by name or path.
        root: Folder of the data set; the demo set knows its own.
        seed: Seed of initialisation, order, augmentation and dropout.
        speed: `auto` (by the device), `exact` (float32), `bf16`, or `compiled` (training steps of it).
        recipe: Settings that differ from the data set's recipe.
        runs: Folder of all runs, tables included.
        cache: Folder of flow and features, shared by all runs; may be deleted at any time.
        name: A folder below `runs`, to keep runs with other settings apart.
        trainer: Further arguments of Lightning's Trainer, such as devices and strategy.
        json: Print one JSON object a line for each result.
    """
    from i3d_lightning.runner import Workspace

    if not plan.is_pretraining_set(dataset):
        raise InputError(
            f"Pretraining is on kinetics or imagenet, or demo-kinetics or demo-imagenet, not on '{dataset}': "
            "use i3d experiment."
        )
    architecture = architecture or ("convnet" if plan.is_imagenet(dataset) else "i3d")
    cells = _cells("origin", architecture, stream, pretraining, weights, [dataset], [1], [seed])
    space = Workspace(runs, cache, name=name, trainer=trainer or {})
    _run(cells, weights, root, _changes(recipe, speed), space, json)


def experiment(
    protocol: str,
    dataset: str = "demo",
    architecture: str = "i3d",
    stream: str | None = None,
    pretraining: str | None = None,
    weights: str | None = None,
    root: Path | None = None,
    split: str = "1",
    seed: int = 0,
    seeds: int = 1,
    speed: str | None = None,
    recipe: RecipeChanges = RecipeChanges(),  # type: ignore[valid-type]
    runs: Path = Path("runs"),
    cache: Path = Path("cache"),
    name: str = "",
    trainer: dict[str, Any] | None = None,
    json: bool = False,
) -> None:
    """Run a protocol on a data set, then print the table of all runs so far.

    Args:
        protocol: `origin` (train on the target only), `fixed` (frozen features, only the last layer
            is trained) or `full-ft` (everything is fine-tuned).
        dataset: `ucf101`, `hmdb51`, `folder`, `kinetics`, a demo set, or `demo` for both demo targets.
        architecture: Row of the paper's Table 1.
        stream: `rgb`, `flow`, `joint`, or `rgb+flow` for both and their fusion.
        pretraining: `none`, `imagenet`, `kinetics` or `imagenet+kinetics`; read from the weights
            where they say it, else `none` for origin and `kinetics` for the others.
        weights: A name (see `i3d weights list`) or path, or one for each stream: `rgb=...,flow=...`.
        root: Folder of the data set: videos and official split files as downloaded.
        split: Official split, or several: `1,2,3`.
        seed: The first seed.
        seeds: How many seeds, counted up from the first.
        speed: `auto` (by the device), `exact` (float32), `bf16`, or `compiled` (training steps of it).
        recipe: Settings that differ from the data set's recipe.
        runs: Folder of all runs, tables included.
        cache: Folder of flow and features, shared by all runs; may be deleted at any time.
        name: A folder below `runs`, to keep runs with other settings apart.
        trainer: Further arguments of Lightning's Trainer, such as devices and strategy.
        json: Print one JSON object a line for each experiment and each fusion, after the table.
    """
    from i3d_lightning.runner import Workspace

    datasets = list(DEMO_TARGETS) if dataset == "demo" else dataset.split(",")
    if seeds < 1:
        raise InputError(f"seeds is {seeds}, but at least one seed is needed.")
    numbers = range(seed, seed + seeds)
    cells = _cells(protocol, architecture, stream, pretraining, weights, datasets, _splits(split), numbers)
    space = Workspace(runs, cache, name=name, trainer=trainer or {})
    _run(cells, weights, root, _changes(recipe, speed), space, json)


def predict(
    videos: list[str], weights: str = "i3d-rgb-kinetics400", top: int = 5, json: bool = False
) -> None:
    """Say what happens in any video.

    Args:
        videos: Video files.
        weights: A name (see `i3d weights list`) or path.
        top: How many classes to show.
        json: Print one JSON object a line: `video`, `predictions` (`label`, `probability`).
    """
    from i3d_lightning.predict import Predictor

    predictor = Predictor(weights)
    failed = 0
    for video in videos:
        try:
            best = predictor(Path(video), top)
        except InputError as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
            continue
        if json:
            answer = [{"label": label, "probability": round(p, 6)} for label, p in best]
            print(dumps({"video": video, "predictions": answer}), flush=True)
        else:
            print(video)
            for label, p in best:
                print(f"  {p:.4f}  {label}", flush=True)
    if failed:
        raise SystemExit(1)


def grid(
    file: Path,
    root: dict[str, Path] | None = None,
    seeds: int | None = None,
    speed: str | None = None,
    runs: Path = Path("runs"),
    cache: Path = Path("cache"),
    name: str = "",
    trainer: dict[str, Any] | None = None,
    dry_run: bool = False,
) -> None:
    """Run what is missing of a grid of experiments, and print the paper's tables of it.

    Args:
        file: Describes the grid: see experiments/ and i3d_lightning/grid.py.
        root: Folder of each real data set: `{ucf101: /path, hmdb51: /path}`.
        seeds: Run every cell with so many seeds, counted up from 0, instead of the file's.
        speed: As in `i3d experiment`, where the file says nothing else.
        runs: Folder of all runs, tables included.
        cache: Folder of flow and features, shared by all runs; may be deleted at any time.
        name: A folder below `runs`, to keep runs with other settings apart.
        trainer: Further arguments of Lightning's Trainer, such as devices and strategy.
        dry_run: List the cells in their order instead of running them.
    """
    from i3d_lightning import grid as grids
    from i3d_lightning import results
    from i3d_lightning.runner import Workspace

    _quieten_lightning()
    wanted = grids.read_grid(file)
    if seeds is not None:
        wanted = grids.with_seeds(wanted, range(seeds))
    if speed is not None:
        wanted = grids.with_speed(wanted, speed)
    space = Workspace(runs, cache, name=name, trainer=trainer or {})
    if dry_run:
        for cell in grids.ordered(wanted.cells, root or {}):
            print(f"{'complete' if results.load_run(space.folder(cell)) else 'to run  '}  {cell.name}")
        return
    overview = grids.run_grid(wanted, space, root or {})
    complete = results.collect(space.runs / space.name)
    if complete:
        _show_table(results.scores(complete), space.runs / space.name)
    if overview.failed:
        reasons = "".join(f"\n  {cell.name}: {why}" for cell, why in overview.failed.items())
        raise InputError(
            f"{len(overview.failed)} of {len(overview.failed) + len(overview.done)} cells failed; "
            f"the same command runs them again:{reasons}"
        )


def table(
    which: str = "all",
    format: str = "terminal",
    demo: bool | None = None,
    runs: Path = Path("runs"),
    name: str = "",
    json: bool = False,
) -> None:
    """Print the table of all runs, one of the paper's Tables 1 to 5, or what the paper's findings come to.

    Args:
        which: `all`, `1` to `5`, or `findings`.
        format: `terminal`, `markdown` or `latex`.
        demo: Show the rendered data sets; by default, where nothing else was run.
        runs: Folder of all runs.
        name: A folder below `runs`.
        json: Print one JSON object a line for each row of the table of all runs instead.
    """
    from i3d_lightning import results, tables
    from i3d_lightning.findings import findings

    plan.check_known("table", which, ("all", "findings", *map(str, tables.TABLES)))
    plan.check_known("format", format, FORMATS)
    complete = results.collect(runs / name)
    if not complete and which in ("all", "findings"):
        raise InputError(f"There are no complete runs in {runs / name}: run i3d experiment first.")
    found = results.scores(complete)
    if json:
        _print_json(score.as_json() for score in found)
    elif which == "all" and format == "terminal":
        _show_table(found, runs / name)
    elif which == "all":
        print(results.markdown(results.layout(results.summarise(found))))
    elif which == "findings":
        only_demo = all(plan.is_demo(run.experiment.dataset) for run in complete)
        for finding in findings(found, only_demo if demo is None else demo):
            print(f"{finding.verdict:<14} {finding.statement}")
            for words in finding.evidence:
                print(f"{'':<15}{words}")
    else:
        _show_paper_table(tables.paper_table(int(which), found, demo), format)


FORMATS = ("terminal", "markdown", "latex")


def chart(
    output: Path | None = None,
    architecture: str = "i3d",
    runs: Path = Path("runs"),
    name: str = "",
) -> None:
    """Draw ImageNet against Kinetics pretraining as bars with intervals (PNG).

    Args:
        output: The picture to write, `pretraining.png` among the runs if not said.
        architecture: Whose bars.
        runs: Folder of all runs.
        name: A folder below `runs`.
    """
    from i3d_lightning import charts, results

    found = results.scores(results.collect(runs / name))
    if not found:
        raise InputError(f"There are no complete runs in {runs / name}: run make compare first.")
    output = output or runs / name / "pretraining.png"
    charts.save(charts.pretraining_chart(results.summarise(found), architecture), output)
    print(f"Drawn to {output}.")


def compare(
    one: str,
    other: str,
    confusion: Path | None = None,
    runs: Path = Path("runs"),
    name: str = "",
    json: bool = False,
) -> None:
    """Say whether two runs differ on the same videos, and in which classes.

    Args:
        one: A run by its name, such as `demo-ucf101-1/i3d-rgb+flow/none/origin/seed0`.
        other: The run to compare it with.
        confusion: Draw the confusion matrix of `other` to this picture (PNG).
        runs: Folder of all runs.
        name: A folder below `runs`.
        json: Print one JSON object instead.
    """
    from i3d_lightning import charts, results, statistics

    complete = results.collect(runs / name)
    known = {score.name: score for score in results.scores(complete)}
    for wanted in (one, other):
        plan.check_known("run", wanted, known)
    before, after = known[one].predictions, known[other].predictions
    classes = next(run.classes for run in complete if run.experiment == known[other].experiment)
    difference = statistics.compare(before, after)
    if json:
        _print_json([{"one": one, "other": other, **plan.plain(difference)}])
    else:
        width = max(len(one), len(other))
        print(f"{one:<{width}}  {before.accuracy():5.1f} %\n{other:<{width}}  {after.accuracy():5.1f} %")
        print(difference)
        changes = statistics.class_changes(before, after, classes).round(1)
        print(f"\nTop-1 of each class, in percent:\n{changes.to_string()}")
    if confusion is not None:
        charts.save(charts.confusion_chart(statistics.confusion(after, classes)), confusion)
        print(f"Drawn to {confusion}.", file=sys.stderr)


def architectures(format: str = "terminal") -> None:
    """Print Table 1: parameters, multiply-adds and clips of every architecture.

    Args:
        format: `terminal`, `markdown` or `latex`.
    """
    from i3d_lightning import tables

    plan.check_known("format", format, FORMATS)
    _show_paper_table(tables.paper_table(1, []), format)


def _show_paper_table(shown: Any, format: str) -> None:
    from i3d_lightning import results, tables

    frame = tables.flat(shown)
    if format == "latex":
        print(tables.as_latex(shown))
    elif format == "markdown":
        print(f"{shown.title}\n\n{results.markdown(frame)}\n{shown.note}")
    else:
        _print_frame(frame, shown.title, shown.note)


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
    from i3d_lightning.datasets.folder import SUFFIXES
    from i3d_lightning.video.flow import FlowStore

    plan.check_known("preset", preset, plan.FLOW_PRESETS)
    videos = (
        [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
    )
    if not videos:
        raise InputError(f"There is no video below {source}: check the path.")
    number, parts = _part(part)
    videos = videos[number - 1 :: parts]
    store = FlowStore(destination, plan.FLOW_PRESETS[preset], fps, short_side)
    failures = store.compute(videos)
    print(f"{len(videos) - len(failures)} of {len(videos)} videos have their flow in {store.folder}.")
    if failures:
        raise SystemExit(1)


def _part(text: str) -> tuple[int, int]:
    number, _, parts = text.partition("/")
    if not (number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts)):
        raise InputError(f"part is '{text}', but must be such as 2/8, the second of eight.")
    return int(number), int(parts)


def weights_list(pattern: str = "*", json: bool = False) -> None:
    """List the published weights that are known by name.

    Args:
        pattern: Only names that match this, such as `*flow*`.
        json: Print one JSON object a line.
    """
    from i3d_lightning.weights import list_weights

    entries = list_weights(pattern)
    if not entries:
        raise InputError(f"No weights match '{pattern}': i3d weights list shows all.")
    if json:
        _print_json(plan.plain(entry) for entry in entries)
        return
    from rich.table import Table

    grid = Table("name", "stream", "pretraining", "top-1", "top-5", "licence", "source", box=None)
    for e in entries:
        grid.add_row(e.name, e.stream, e.pretraining, f"{e.top1:.1f}", f"{e.top5:.1f}", e.licence, e.source)
    _print_rich(grid)


def _streams(architecture: str, stream: str | None) -> tuple[str, ...]:
    """The streams said, or those that make an architecture's two-stream result."""
    if stream is None:
        return plan.usual_streams(architecture)  # type: ignore[arg-type]
    return ("rgb", "flow") if stream == FUSION else (stream,)


def _cells(
    protocol: str,
    architecture: str,
    stream: str | None,
    pretraining: str | None,
    weights: str | None,
    datasets: Sequence[str],
    splits: Sequence[int],
    seeds: Sequence[int],
) -> list[Experiment]:
    """The experiments that a command line stands for, each checked."""
    streams = _streams(architecture, stream)
    given = _weights_by_stream(weights, streams)
    start = {s: _pretraining(protocol, pretraining, given[s]) for s in streams}
    return [
        Experiment(architecture, s, start[s], protocol, dataset, split, seed)  # type: ignore[arg-type]
        for dataset in datasets
        for split in splits
        for seed in seeds
        for s in streams
    ]


def _run(
    cells: Sequence[Experiment],
    weights: str | None,
    root: Path | None,
    changes: Mapping[str, Any],
    space: Any,  # a Workspace, whose module is loaded only where a verb needs it
    json: bool,
) -> None:
    from i3d_lightning import recipes, results, runner

    _quieten_lightning()
    given = _weights_by_stream(weights, {c.stream for c in cells})
    for cell in {replace(c, seed=0) for c in cells}:  # what is wrong with any is said before one costs time
        recipes.recipe_for(cell, changes)
        runner.read_data(cell, root, space)
    done = [runner.run(c, space, root=root, weights=given[c.stream], changes=changes) for c in cells]
    _show_table(results.scores(results.collect(space.runs / space.name)), space.runs / space.name)
    if json:
        _print_json(score.as_json() for score in results.scores(done))


def _changes(recipe: Any, speed: str | None) -> dict[str, Any]:
    """The settings of a recipe that were said."""
    changes: dict[str, Any] = plan.plain(recipe)
    if speed is not None:
        changes["training"]["speed"] = speed
    return changes


def _quieten_lightning() -> None:
    """What Lightning says of devices and workers is noise here; its errors are not."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")


def _pretraining(protocol: str, said: str | None, weights: str | None) -> str:
    """The pretraining that was said, or that the weights say, or that the protocol implies."""
    if weights is not None:
        from i3d_lightning.weights import load_weights

        known = load_weights(weights).pretraining
        if said is None and known is None:
            raise InputError(
                f"{weights} does not say what it was trained on: add --pretraining kinetics, say."
            )
        if said is not None and known is not None and said != known:
            raise InputError(
                f"{weights} has pretraining '{known}', not '{said}': drop --pretraining or change it."
            )
        return said or known  # type: ignore[return-value]
    return said or ("none" if protocol == "origin" else "kinetics")


def _weights_by_stream(given: str | None, streams: Collection[str]) -> dict[str, str | None]:
    """`rgb=a,flow=b` or one path for the only stream."""
    if given is None:
        return dict.fromkeys(streams)
    if not given.startswith(tuple(f"{s}=" for s in ("rgb", "flow", "joint"))):
        if len(streams) > 1:
            raise InputError(
                f"--weights {given} is for one stream, but two are to be run: "
                "give rgb=...,flow=... or one --stream."
            )
        return dict.fromkeys(streams, given)
    found: dict[str, str | None] = {}
    for part in given.split(","):
        name, _, found_at = part.partition("=")
        found[name] = found_at
    if set(found) != set(streams):
        raise InputError(
            f"--weights names {', '.join(found)}, but the streams to run are {', '.join(streams)}."
        )
    return found


def _splits(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"split is '{text}', but must be a number such as 1, or several: 1,2,3.") from None


def _show_table(found: Sequence[Any], root: Path) -> None:
    from i3d_lightning import results, tables, tracking

    summary = results.summarise(found)
    layout = results.layout(summary)
    _print_frame(layout, None, results.LEGEND)
    csv, md = results.write_tables(root, summary)
    print(f"Written to {csv} and {md}.")
    paper = {title: tables.flat(made) for title, made in tables.all_tables(found).items()}
    tracking.log_tables({"results": layout, "numbers": summary.astype({"splits": str}), **paper}, root)


def _print_frame(frame: Any, title: str | None, note: str) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table(*frame.columns, title=title, caption=Text(note), caption_justify="left")
    for row in frame.itertuples(index=False):
        grid.add_row(*row)
    _print_rich(grid)


def _print_rich(renderable: Any) -> None:
    from rich.console import Console

    width = None if sys.stdout.isatty() else 160
    Console(width=width).print(renderable)


def _print_json(rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        print(dumps(row), flush=True)


VERBS: dict[str, Any] = {
    "data": {"demo": demo, "preview": preview},
    "pretrain": pretrain,
    "experiment": experiment,
    "grid": grid,
    "flow": flow,
    "predict": predict,
    "table": table,
    "compare": compare,
    "chart": chart,
    "architectures": architectures,
    "weights": {"list": weights_list},
}


POSITIONAL: dict[str, dict[str, Any]] = {
    "videos": {"nargs": "+", "help": "Video files."},
    "file": {"type": Path, "help": "Describes the grid."},
    "source": {"type": Path, "help": "A video, or a folder of videos at any depth."},
    "destination": {
        "type": Path,
        "nargs": "?",
        "default": Path("cache/flow"),
        "help": "Folder that flow is kept in.",
    },
    "one": {"help": "A run by its name, such as demo-ucf101-1/i3d-rgb/none/origin/seed0."},
    "other": {"help": "The run to compare it with."},
    "which": {"nargs": "?", "default": "all", "help": "all, 1 to 5, or findings."},
}
"""Arguments that are given without a flag."""


def build_parser() -> ArgumentParser:
    """The parser of all verbs."""
    parser = ArgumentParser(prog="i3d", description="Transfer-learning experiments on video.")
    _add_verbs(parser, VERBS)
    return parser


def _add_verbs(parser: ArgumentParser, verbs: Mapping[str, Any]) -> None:
    commands = parser.add_subcommands(dest="verb", metavar="VERB", title="verbs")
    for name, verb in verbs.items():
        if isinstance(verb, Mapping):
            inner = ArgumentParser(description=f"{name}: {', '.join(verb)}")
            commands.add_subcommand(name, inner, help=inner.description)
            _add_verbs(inner, verb)
        else:
            summary = (verb.__doc__ or "").split("\n")[0]
            commands.add_subcommand(name, _verb_parser(verb, summary), help=summary)


def _verb_parser(verb: Callable[..., Any], summary: str) -> ArgumentParser:
    parser = ArgumentParser(description=summary)
    parser.add_argument("--config", action="config", help="A YAML file with any of these settings.")
    hints = get_type_hints(verb)
    parser.add_function_arguments(verb, skip={"json", *POSITIONAL}, as_group=False)
    for name, settings in POSITIONAL.items():
        if name in hints:
            parser.add_argument(name, **settings)
    if "json" in hints:
        parser.add_argument("--json", action="store_true", help="Print one JSON object a line.")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point: bad input ends in one sentence and exit code 2, Ctrl-C in 130."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("i3d_lightning").setLevel(logging.INFO)
    parser = build_parser()
    config = parser.instantiate(parser.parse_args(argv))
    verb: Any = VERBS
    while isinstance(verb, Mapping):
        name = config["verb"]
        verb, config = verb[name], config[name]
    arguments = {key: value for key, value in vars(config).items() if key != "config"}
    try:
        verb(**arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:  # whoever read our output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print("error: No disk space is left: free some and run the same command to go on.", file=sys.stderr)
        raise SystemExit(2) from None
    except (KeyboardInterrupt, SystemExit) as stop:
        # Lightning turns Ctrl-C and the TERM of a cluster into exits of its own
        terminated = type(stop).__name__ == "SIGTERMException"
        interrupted = isinstance(stop, KeyboardInterrupt) or isinstance(stop.__context__, KeyboardInterrupt)
        if not (terminated or interrupted):
            raise
        print("Interrupted: run the same command to go on.", file=sys.stderr)
        raise SystemExit(143 if terminated else 130) from None

"""Verbs that look at results: table, compare, chart. They run nothing, and write only pictures asked for."""

from __future__ import annotations

import sys
from pathlib import Path

from i3d_lightning.cli.output import (
    FORMATS,
    check_format,
    check_picture,
    print_frame,
    print_json,
    print_paper_table,
)
from i3d_lightning.errors import InputError, check_known
from i3d_lightning.recipe import plain


def table(
    place: Path,
    which: str = "all",
    format: str = "terminal",
    demo: bool | None = None,
    exclude: str | None = None,
    json: bool = False,
    paper: bool = False,
) -> None:
    """Print the table of all runs, the paper's Tables 1 to 5 or its findings, or how all networks transfer.

    Args:
        which: `all`, `1` to `5`, `findings`, or `transfer`.
        format: `terminal`, `markdown` or `latex`.
        demo: Show the rendered data sets; by default, where nothing else was run.
        place: Folder of the runs.
        exclude: `leaks`, to give each number also without the test videos that are trained on too; `findings`
            is then without them alone.
        json: Print one JSON object a line for each run, and each fusion of two, instead.
        paper: Judge the findings by the paper's own numbers instead of the runs'.
    """
    from i3d_lightning.results import overview, tables
    from i3d_lightning.results.findings import findings
    from i3d_lightning.results.published import NOTE as PAPER_NOTE
    from i3d_lightning.results.published import PaperNumbers
    from i3d_lightning.results.runs import collect
    from i3d_lightning.results.scores import Index, scores, tests, without_leaks
    from i3d_lightning.results.transfer import transfer_table
    from i3d_lightning.results.verdicts import NOTE

    if exclude is not None:
        check_known("exclude", exclude, ("leaks",))
    leaks = exclude is not None
    check_known("table", which, ("all", "findings", "transfer", *map(str, tables.TABLES)))
    check_format(format)
    if json and which != "all":
        raise InputError(f"--json prints all runs, not table {which}: drop one of them.")
    possible = {"all": FORMATS[:1] if json else FORMATS[:2], "findings": FORMATS[:1]}
    if format not in possible.get(which, FORMATS):
        raise InputError(f"--format {format} is not for this: Tables 1 to 5 and transfer are.")
    if paper:
        if which != "findings":
            raise InputError("--paper is for table findings: Tables 1 to 5 show the paper's numbers anyway.")
        print(*findings(PaperNumbers()), PAPER_NOTE, NOTE, sep="\n")
        return
    found = scores(collect(place))
    if not found and which in ("all", "findings"):
        raise InputError(f"There are no complete runs in {place}: run i3d experiment first.")
    if which not in ("all", "1") and (chosen_on := len(found) - len(tests(found))):
        print(f"Left out: {chosen_on} numbers of videos that settings are chosen on.", file=sys.stderr)
    if json:
        lines = [score.as_json() for score in found]
        if leaks:
            for line, clean in zip(lines, without_leaks(found), strict=True):
                line["without_leaks"] = {n: clean.as_json()[n] for n in ("top1", "top5", "videos", "groups")}
        print_json(lines)
    elif which == "all":
        summary = overview.summarise(found, exclude_leaks=leaks)
        layout = overview.layout(summary)
        if format == "terminal":
            print_frame(layout, None, overview.legend(summary))
        else:
            print(f"{overview.markdown(layout)}\n{overview.legend(summary)}")
    elif which == "findings":
        index = Index(tests(found), demo, exclude_leaks=leaks)
        left_out = ["Test videos that are trained on too are left out."] if leaks else []
        print(*findings(index), NOTE, *left_out, tables.videos_note(index), sep="\n")
    elif which == "transfer":
        print_paper_table(transfer_table(found, demo, exclude_leaks=leaks), format)
    else:
        print_paper_table(tables.paper_table(int(which), found, demo, exclude_leaks=leaks), format)


def chart(
    place: Path,
    picture: str = "pretraining",
    output: Path | None = None,
    architecture: str | None = None,
    demo: bool | None = None,
) -> None:
    """Draw ImageNet against Kinetics pretraining as bars, or networks' accuracy against compute (PNG).

    Args:
        picture: `pretraining` or `transfer`.
        output: The picture to write, `pretraining.png` or `transfer.png` among the runs if not said.
        architecture: Whose bars, `i3d` if not said.
        demo: For `transfer`, draw the rendered data sets; by default, where nothing else was run.
        place: Folder of the runs.
    """
    from i3d_lightning.networks import ARCHITECTURES
    from i3d_lightning.results import charts
    from i3d_lightning.results.runs import collect
    from i3d_lightning.results.scores import scores
    from i3d_lightning.results.transfer_chart import transfer_chart

    check_known("picture", picture, ("pretraining", "transfer"))
    output = output or place / f"{picture}.png"
    if architecture is not None:
        check_known("architecture", architecture, ARCHITECTURES.names())
        if picture == "transfer":
            raise InputError("--architecture is for chart pretraining: chart transfer shows all, drop it.")
    if demo is not None and picture == "pretraining":
        raise InputError("--demo is for chart transfer: chart pretraining shows all data sets, drop it.")
    check_picture(output)
    found = scores(collect(place))
    if not found:
        first = "i3d grid experiments/networks.yaml" if picture == "transfer" else "make compare"
        raise InputError(f"There are no complete runs in {place}: run {first} first.")
    if picture == "transfer":
        figure = transfer_chart(found, demo)
    else:
        figure = charts.pretraining_chart(found, architecture or "i3d")
    charts.save(figure, output)
    print(f"Drawn to {output}.")


def compare(
    one: str,
    other: str,
    place: Path,
    confusion: Path | None = None,
    json: bool = False,
) -> None:
    """Say whether two runs differ on the same videos, and in which classes.

    Args:
        one: A run by its name, such as `demo-ucf101-1/i3d-rgb+flow/none/origin/seed0`.
        other: The run to compare it with.
        confusion: Draw the confusion matrix of `other` to this picture (PNG).
        place: Folder of the runs.
        json: Print one JSON object instead.
    """
    from i3d_lightning.results import charts, statistics
    from i3d_lightning.results.runs import collect
    from i3d_lightning.results.scores import scores

    if confusion is not None:
        check_picture(confusion)
    complete = collect(place)
    known = {score.name: score for score in scores(complete)}
    for wanted in (one, other):
        check_known("run", wanted, known)
    before, after = known[one].predictions, known[other].predictions
    classes, others = (
        next(run.classes for run in complete if run.experiment == known[name].experiment)
        for name in (other, one)
    )
    if classes != others:
        raise InputError(f"{one} and {other} cannot be compared: their data sets' classes differ.")
    difference = statistics.compare([[before]], [[after]], known[one].cell.dataset)
    differently = known[one].reading.differently(known[other].reading)
    if json:
        unlike = {video: list(much) for video, much in differently.items()}
        print_json([{"one": one, "other": other, **plain(difference), "read_differently": unlike}])
    else:
        width = max(len(one), len(other))
        for name in (one, other):
            score = known[name]
            print(f"{name:<{width}}  {score.predictions.accuracy():5.1f} %{score.reading.in_words()}")
        print(f"{difference}.")
        if differently:
            video, (ours, theirs) = next(iter(differently.items()))
            print(
                f"They did not read the same of {len(differently)} test videos, such as {video}: {ours}, and "
                f"{theirs}."
            )
        changes = statistics.class_changes(before, after, classes).round(1)
        print(f"\nTop-1 of each class, in percent:\n{changes.to_string()}")
    if confusion is not None:
        charts.save(charts.confusion_chart(statistics.confusion(after, classes)), confusion)
        print(f"Drawn to {confusion}.", file=sys.stderr)

"""The paper's Tables 1 to 5, ours beside the paper's, for the terminal, Markdown, LaTeX and wandb.

Everything is computed from stored predictions. A cell reads `ours (paper, difference)`; where a data
set is one the project renders itself, the paper has no number and the cell is ours alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from i3d_lightning import architectures, plan, published
from i3d_lightning.plan import FUSION, Architecture, InputError
from i3d_lightning.results import Score, summarise

NONE = "–"


@dataclass(frozen=True)
class PaperTable:
    """A table as people read it.

    Attributes:
        title: What it shows.
        frame: Row titles as index, columns of two levels: group and column.
        note: What a reader must know: how many videos, what is ours.
    """

    title: str
    frame: pd.DataFrame
    note: str


@dataclass(frozen=True)
class Numbers:
    """The summary of all runs, addressed by cell.

    Attributes:
        summary: `results.summarise` of all scores.
        demo: Whether the rendered data sets are shown instead of the real ones.
    """

    summary: pd.DataFrame
    demo: bool

    def dataset(self, name: str) -> str:
        return f"demo-{name}" if self.demo else name

    def find(
        self, architecture: str, stream: str, pretraining: str, protocol: str, dataset: str, splits: int = 1
    ) -> pd.Series | None:
        """The row of a cell over this many splits (1: the first), if it was run."""
        s = self.summary
        if s.empty:
            return None
        wanted = (1,) if splits == 1 else tuple(range(1, splits + 1))
        rows = s[
            (s["architecture"] == architecture)
            & (s["stream"] == stream)
            & (s["pretraining"] == pretraining)
            & (s["protocol"] == protocol)
            & (s["dataset"] == self.dataset(dataset))
            & np.array([row == wanted for row in s["splits"]])
        ]
        return None if rows.empty else rows.iloc[0]

    def cell(
        self, architecture: str, stream: str, pretraining: str, protocol: str, dataset: str, splits: int = 1
    ) -> str:
        """A cell as text; the paper's number stands alone where ours was not run."""
        ours = self.find(architecture, stream, pretraining, protocol, dataset, splits)
        over = (1,) if splits == 1 else tuple(range(1, splits + 1))
        theirs = None
        if not self.demo:
            theirs = published.paper(architecture, stream, pretraining, protocol, dataset, over)
        return beside(ours, theirs.top1 if theirs else None)


def beside(ours: pd.Series | None, theirs: float | None) -> str:
    """`ours ± spread (paper, difference)`, or what there is of it."""
    if ours is None:
        return NONE if theirs is None else f"({theirs:.1f})"
    text = f"{ours['top1']:.1f}"
    if not np.isnan(ours["spread"]):
        text += f" ± {ours['spread']:.1f}"
    return text if theirs is None else f"{text} ({theirs:.1f}, {ours['top1'] - theirs:+.1f})"


def paper_table(number: int, found: Sequence[Score], demo: bool | None = None) -> PaperTable:
    """One of the paper's Tables 1 to 5.

    Args:
        number: Which.
        found: All scores, as `results.scores` gives them.
        demo: Show the rendered data sets; by default, where nothing else was run.

    Raises:
        InputError: There is no such table.
    """
    if number not in TABLES:
        raise InputError(f"There is no table {number}: there are {', '.join(map(str, TABLES))}.")
    summary = summarise(found)
    if demo is None:
        demo = bool(found) and all(plan.is_demo(score.experiment.dataset) for score in found)
    table = TABLES[number](Numbers(summary, demo))
    return (
        table
        if number == 1
        else PaperTable(table.title, table.frame, f"{table.note} {_videos(summary, demo)}")
    )


def _videos(summary: pd.DataFrame, demo: bool) -> str:
    """How many videos the numbers of each data set are over, and how many official ones were missing."""
    if summary.empty:
        return "Nothing was run yet."
    parts = []
    for dataset, rows in summary.groupby("dataset", sort=True):
        if plan.is_demo(str(dataset)) == demo:
            counts = sorted({int(n) for n in rows["videos"]})
            missing = int(rows["missing_test"].max())
            absent = f", {missing} of the official list missing" if missing else ""
            parts.append(f"{dataset}: {' / '.join(map(str, counts))} test videos{absent}")
    return f"Videos: {'; '.join(parts)}." if parts else "Nothing was run yet."


LEGEND = "Top-1 %: ours (paper, difference); a number in brackets alone is the paper's, not run here."


def table1(numbers: Numbers) -> PaperTable:
    """Parameters and clips."""
    rows = {}
    for name in plan.PAPER:
        size = architectures.size(name)
        rows[_title(name)] = {
            ("", "parameters"): f"{size.parameters / 1e6:.1f} M",
            ("", "multiply-adds"): f"{size.multiply_adds / 1e9:.1f} G",
            ("training", "clip"): str(size.train),
            ("test", "clip"): str(size.test),
        }
    return PaperTable(
        "Table 1: parameters and clips",
        _frame(rows),
        "400 classes; multiply-adds of one training clip, all streams together.",
    )


def table2(numbers: Numbers) -> PaperTable:
    """Architectures on each data set, trained on it after ImageNet (the 3D-ConvNet from scratch)."""
    rows = {}
    for name in plan.PAPER:
        start = "none" if name == "c3d" else "imagenet"
        rows[_title(name)] = {
            (numbers.dataset(dataset), title): numbers.cell(name, stream, start, "origin", dataset)
            for dataset in ("ucf101", "hmdb51", "kinetics")
            for stream, title in _columns(name)
        }
    return PaperTable("Table 2: architectures, trained on the target", _frame(rows), LEGEND)


def table3(numbers: Numbers) -> PaperTable:
    """Kinetics with and without ImageNet."""
    rows: dict[str, dict[tuple[str, str], str]] = {}
    for name in plan.PAPER:
        row = rows[_title(name)] = {}
        for start, group in (("none", "from scratch"), ("imagenet", "ImageNet first")):
            for stream, title in _columns(name):
                row[group, title] = numbers.cell(name, stream, start, "origin", "kinetics")
    top5 = rows[f"{_title('i3d')}, top-5"] = {}
    for start, group in (("none", "from scratch"), ("imagenet", "ImageNet first")):
        for stream, title in _columns("i3d"):
            ours = numbers.find("i3d", stream, start, "origin", "kinetics")
            theirs = published.paper("i3d", stream, start, "origin", "kinetics", (1,))
            paper = theirs.top5 if theirs and not numbers.demo else None
            row5 = None if ours is None else pd.Series({"top1": ours["top5"], "spread": float("nan")})
            top5[group, title] = beside(row5, paper)
    tested = "The paper reports Kinetics' test set; see the split that each of our runs was tested on."
    return PaperTable(f"Table 3: {numbers.dataset('kinetics')}", _frame(rows), f"{LEGEND} {tested}")


def table4(numbers: Numbers) -> PaperTable:
    """Transfer: origin, fixed and full-ft, with / without ImageNet."""
    rows: dict[str, dict[tuple[str, str], str]] = {}
    for name in plan.PAPER:
        row = rows[_title(name)] = {}
        for dataset in ("ucf101", "hmdb51"):
            for protocol in ("origin", "fixed", "full-ft"):
                pair = [
                    numbers.cell(name, plan.combined_stream(name), start, protocol, dataset)
                    for start in _starts(protocol)
                ]
                row[numbers.dataset(dataset), protocol] = " / ".join(pair)
            changes = [_change(numbers, name, dataset, with_imagenet) for with_imagenet in (True, False)]
            row[numbers.dataset(dataset), "Δ (ours)"] = " / ".join(changes)
    note = (
        "With / without ImageNet. Δ is this project's column: the change of the error, "
        "(100 - max(fixed, full-ft)) / (100 - origin) - 1, of our numbers."
    )
    return PaperTable("Table 4: transfer", _frame(rows), f"{LEGEND} {note}")


def _starts(protocol: str) -> tuple[str, str]:
    return ("imagenet", "none") if protocol == "origin" else ("imagenet+kinetics", "kinetics")


def _change(numbers: Numbers, name: Architecture, dataset: str, with_imagenet: bool) -> str:
    """How much of the error pretraining on Kinetics takes away, in percent."""
    top1 = {}
    for protocol in ("origin", "fixed", "full-ft"):
        start = _starts(protocol)[0 if with_imagenet else 1]
        found = numbers.find(name, plan.combined_stream(name), start, protocol, dataset)
        if found is not None:
            top1[protocol] = found["top1"]
    transferred = [top1[p] for p in ("fixed", "full-ft") if p in top1]
    if "origin" not in top1 or not transferred or top1["origin"] == 100:
        return NONE
    return f"{100 * ((100 - max(transferred)) / (100 - top1['origin']) - 1):+.0f} %"


def table5(numbers: Numbers) -> PaperTable:
    """The state of the art of 2017, and I3D fine-tuned, over the three splits."""
    group = "mean of 3 splits"
    rows: dict[str, dict[tuple[str, str], str]] = {}
    if not numbers.demo:
        rows |= {
            method.name: {
                (group, "ucf101"): f"({method.ucf101:.1f})",
                (group, "hmdb51"): f"({method.hmdb51:.1f})" if method.hmdb51 else NONE,
            }
            for method in published.OTHERS
        }
    for start, title in (("kinetics", "Kinetics"), ("imagenet+kinetics", "ImageNet+Kinetics")):
        for stream, name in (("rgb", "RGB-I3D"), ("flow", "Flow-I3D"), (FUSION, "Two-Stream I3D")):
            rows[f"{name}, {title}"] = {
                (group, numbers.dataset(dataset)): numbers.cell("i3d", stream, start, "full-ft", dataset, 3)
                for dataset in ("ucf101", "hmdb51")
            }
    return PaperTable("Table 5: comparison with the state of the art of 2017", _frame(rows), LEGEND)


TABLES: dict[int, Callable[[Numbers], PaperTable]] = {
    1: table1,
    2: table2,
    3: table3,
    4: table4,
    5: table5,
}


def _title(architecture: Architecture) -> str:
    row = architectures.spec(architecture)
    return f"{row.row} {row.title}"


def _columns(architecture: Architecture) -> list[tuple[str, str]]:
    """Streams under RGB, Flow and RGB+Flow; what does not exist leaves its column to the frame."""
    columns: list[tuple[str, str]] = [
        (stream, title)
        for stream, title in (("rgb", "RGB"), ("flow", "Flow"))
        if stream in plan.streams(architecture)
    ]
    both = plan.combined_stream(architecture)
    return [*columns, (both, "RGB+Flow")] if both != "rgb" else columns


def _frame(rows: dict[str, dict[tuple[str, str], str]]) -> pd.DataFrame:
    columns: list[tuple[str, str]] = list(dict.fromkeys(c for row in rows.values() for c in row))
    groups = list(dict.fromkeys(group for group, _ in columns))
    titles = list(dict.fromkeys(title for _, title in columns))
    order = [(group, title) for group in groups for title in titles if (group, title) in set(columns)]
    frame = pd.DataFrame([[row.get(c, NONE) for c in order] for row in rows.values()], list(rows))
    frame.columns = pd.MultiIndex.from_tuples(order)
    return frame


def flat(table: PaperTable) -> pd.DataFrame:
    """The table with one level of columns and its rows' titles as the first."""
    frame = table.frame.copy()
    frame.columns = pd.Index([" ".join(part for part in column if part) for column in frame.columns])
    return frame.rename_axis("architecture" if table.frame.index[0].startswith("(") else "").reset_index()


def as_latex(table: PaperTable) -> str:
    """The table for a paper, with booktabs rules."""
    columns = "l" + "r" * table.frame.shape[1]
    body = table.frame.style.format(escape="latex").format_index(escape="latex", axis=0)
    text = body.format_index(escape="latex", axis=1).to_latex(
        hrules=True, column_format=columns, multicol_align="c", caption=f"{table.title}. {table.note}"
    )
    return text.replace("–", "--").replace("±", "$\\pm$").replace("Δ", "$\\Delta$")


def all_tables(found: Iterable[Score]) -> dict[str, PaperTable]:
    """Tables 2 to 5, of the real data sets and of the rendered ones, where anything of them was run."""
    scores = list(found)
    made = {}
    for demo in (False, True):
        if any(plan.is_demo(score.experiment.dataset) == demo for score in scores):
            for number in (2, 3, 4, 5):
                made[f"{'demo_' if demo else ''}table{number}"] = paper_table(number, scores, demo)
    return made

"""The paper's Tables 1 to 5, ours beside the paper's, for the terminal, Markdown, LaTeX and wandb.

Everything is computed from stored predictions. A cell reads `ours (paper, difference)`; where a data
set is one the project renders itself, the paper has no number and the cell is ours alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import FUSION
from i3d_lightning.networks import ARCHITECTURES, Architecture, paper
from i3d_lightning.networks.inception import Inception
from i3d_lightning.networks.receptive_field import receptive_fields
from i3d_lightning.networks.registry import unallocated
from i3d_lightning.networks.size import size
from i3d_lightning.recipe import Training
from i3d_lightning.results import published
from i3d_lightning.results.numbers import Numbers
from i3d_lightning.results.overview import leaks_note, pretrainings_in_words, written
from i3d_lightning.results.reading import KINDS, PARTS
from i3d_lightning.results.resampling import bound, percentiles
from i3d_lightning.results.scores import Cell, Index, Score, Summary, is_demo, tests

MISSING = "–"


@dataclass(frozen=True)
class PaperTable:
    """A table as people read it.

    Attributes:
        title: What it shows.
        frame: Row titles as index, columns of two levels: group and column.
        note: What a reader must know: how many videos, what is ours.
        rows: What its rows are.
    """

    title: str
    frame: pd.DataFrame
    note: str
    rows: str = "architecture"


def _text(index: Index, cell: Cell, splits: tuple[int, ...] = (1,)) -> str:
    """Write a cell as text; the paper's number stands alone where ours was not run."""
    ours, theirs = index.find(cell, splits), published.paper(*cell, splits)
    if ours is None:
        return _beside(None, "", theirs.top1 if theirs else None)
    text = _beside(ours.top1, own_number(ours), theirs.top1 if theirs else None)
    return text + own_number_without_leaks(ours)


def own_number(ours: Summary) -> str:
    """Write a number of ours as all tables do, with its spread and interval."""
    shared = ours.spread_over == "seeds" and ours.pretrainings == 1
    return written(ours.top1, ours.interval, ours.spread, shared)


def own_number_without_leaks(ours: Summary) -> str:
    """Write it without leaks, to follow the number; nothing where there are none, or nobody asked."""
    clean = ours.without_leaks
    if clean is None or not ours.leaked:
        return ""
    return f", without leaks {written(clean.top1, clean.interval)}"


def _beside(ours: float | None, text: str, theirs: float | None) -> str:
    """Write `ours (paper, difference)`, or what there is of it; `text` is ours in words."""
    if ours is None or np.isnan(ours):
        return MISSING if theirs is None else f"({theirs:.1f})"
    return text if theirs is None else f"{text} ({theirs:.1f}, {ours - theirs:+.1f})"


def paper_table(
    number: int, found: Iterable[Score], demo: bool | None = None, *, exclude_leaks: bool = False
) -> PaperTable:
    """Make one of the paper's Tables 1 to 5.

    Args:
        number: Which.
        found: All scores, as `scores.scores` gives them.
        demo: Show the rendered data sets; by default, where nothing else was run.
        exclude_leaks: Show every number without the test videos that are trained on too as well.

    Raises:
        InputError: There is no such table.
    """
    if number not in TABLES:
        raise InputError(f"There is no table {number}: there are {', '.join(map(str, TABLES))}.")
    return _table_of(number, Index(tests(found), demo, exclude_leaks=exclude_leaks))


def _table_of(number: int, index: Index) -> PaperTable:
    table = TABLES[number](index)
    return table if number == 1 else with_videos(table, index)


def with_videos(table: PaperTable, index: Index) -> PaperTable:
    """Add to a table's note what its numbers are over."""
    unchecked = (summary.cell.dataset for summary in index if not summary.near_duplicates)
    notes = (table.note, *([leaks_note(unchecked)] if index.exclude_leaks else []), videos_note(index))
    return replace(table, note=" ".join(notes))


def videos_note(index: Index) -> str:
    """Say how many videos the numbers of each data set are over, and how many were not there or not read."""
    by_dataset: dict[str, list[Summary]] = defaultdict(list)
    for summary in index:
        if is_demo(summary.cell.dataset) == index.demo:
            by_dataset[summary.cell.dataset].append(summary)
    parts = [_videos_of(dataset, by_dataset[dataset]) for dataset in sorted(by_dataset)]
    return f"Videos: {'; '.join(parts)}." if parts else "Nothing was run yet."


def _videos_of(dataset: str, summaries: Sequence[Summary]) -> str:
    counts = sorted({summary.sums.distinct for summary in summaries})
    known = all(summary.groups_known for summary in summaries)
    groups = sorted({len(summary.sums.groups) for summary in summaries})
    over = f"in {' / '.join(map(str, groups))} groups" if known else "(groups unknown: intervals over videos)"
    words = [f"{dataset}: {' / '.join(map(str, counts))} test videos {over}"]
    pretrained = [summary.pretrainings for summary in summaries if summary.pretrainings]
    if pretrained:
        number = pretrainings_in_words(pretrained)
        words.append(number if max(pretrained) == 1 else f"{number} pretrainings")
    leaked = max(summary.leaked for summary in summaries)
    if leaked:
        words.append(f"{leaked} of them trained on too")
    missing = max(sum(s.missing["test"] for s in summary.first) for summary in summaries)
    if missing:
        words.append(f"{missing} of the official list missing")
    for kind, title in KINDS.items():
        train, test = (max(summary.most(kind, part) for summary in summaries) for part in PARTS)
        if train or test:
            words.append(f"{title} {train} train and {test} test")
    return ", ".join(words)


LEGEND = (
    "Top-1 %: ours ± standard deviation of a run [95 % interval over groups of videos] (paper, difference); "
    "† is over seeds that share one pretraining; a number in brackets alone is the paper's, not run here."
)


def architecture_table(architectures: Iterable[Architecture] | None = None) -> PaperTable:
    """List networks with their streams, sizes and clips; by default all, the paper's five first."""
    if architectures is None:
        architectures = (*paper(), *(a for a in ARCHITECTURES if not a.row))
    rows: dict[str, dict[tuple[str, str], str]] = {}
    missing: dict[str, None] = {}
    for architecture in architectures:
        try:
            found = size(architecture)
        except InputError as error:  # its library is an extra
            missing[str(error)] = None
            rows[_title(architecture)] = {
                ("", "name"): architecture.name,
                ("", "streams"): ", ".join(architecture.streams),
            }
            continue
        rows[_title(architecture)] = {
            ("", "name"): architecture.name,
            ("", "library"): architecture.library or MISSING,
            ("", "streams"): ", ".join(architecture.streams),
            ("", "parameters"): f"{found.parameters / 1e6:.1f} M",
            ("", "multiply-adds"): f"{found.multiply_adds / 1e9:.1f} G",
            ("training", "clip"): str(found.train),
            ("test", "clip"): str(found.test),
        }
    note = "400 classes; multiply-adds of one training clip, all streams together."
    return PaperTable("Architectures", _frame(rows), " ".join([note, *missing]))


def endpoint_table(name: str) -> PaperTable:
    """List the stages of a network's Inception-v1, with what one position of their output sees.

    Raises:
        InputError: There is no network of this name, or it has no Inception-v1.
    """
    inception = _inception(ARCHITECTURES[name])
    if inception is None:
        raise InputError(f"{name} is not an Inception-v1, the only network whose stages are listed.")
    rows = {
        field.endpoint: {
            ("receptive field", "frames"): str(field.frames),
            ("receptive field", "pixels"): str(field.pixels),
            ("stride", "frames"): str(field.frame_stride),
            ("stride", "pixels"): str(field.pixel_stride),
        }
        for field in receptive_fields(inception)
    }
    note = "What one position of a stage's output sees, and how far apart neighbours look."
    return PaperTable(f"Stages of {name}", _frame(rows), note, "stage")


def has_stages(name: str) -> bool:
    """Say whether this is the name of a network whose stages are listed."""
    known = ARCHITECTURES.get(name)
    return known is not None and not known.library and _inception(known) is not None


def _inception(architecture: Architecture) -> Inception | None:
    with unallocated():
        network = architecture.build(2, architecture.streams[0], architecture.clips, Training())
    found = getattr(network, "inception", None)
    return found if isinstance(found, Inception) else None


def table1(index: Index) -> PaperTable:
    """Parameters and clips."""
    every = architecture_table(paper())
    frame = every.frame.drop(columns=[("", "name"), ("", "library"), ("", "streams")])
    return replace(every, title="Table 1: parameters and clips", frame=frame)


def table2(index: Index) -> PaperTable:
    """Architectures on each data set, trained on it after ImageNet (the 3D-ConvNet from scratch)."""
    rows = {
        _title(a): {
            (index.dataset(dataset), title): _text(index, trained(index, a, stream, dataset))
            for dataset in ("ucf101", "hmdb51", "kinetics")
            for stream, title in _columns(a)
        }
        for a in paper()
    }
    return PaperTable("Table 2: architectures, trained on the target", _frame(rows), LEGEND)


def trained(index: Numbers, architecture: Architecture, stream: str, dataset: str) -> Cell:
    """Name a cell of Table 2: trained on the target, after ImageNet where it can start from images."""
    start = "imagenet" if architecture.from_images else "none"
    return index.cell(architecture.name, stream, start, "origin", dataset)


def table3(index: Index) -> PaperTable:
    """Kinetics with and without ImageNet."""
    starts = (("none", "from scratch"), ("imagenet", "ImageNet first"))
    rows = {
        _title(a): {
            (group, title): _text(index, index.cell(a.name, stream, start, "origin", "kinetics"))
            for start, group in starts
            for stream, title in _columns(a)
        }
        for a in paper()
    }
    i3d = ARCHITECTURES["i3d"]
    top5 = rows[f"{_title(i3d)}, top-5"] = {}
    for start, group in starts:
        for stream, title in _columns(i3d):
            cell = index.cell("i3d", stream, start, "origin", "kinetics")
            ours, theirs = index.find(cell), published.paper(*cell, (1,))
            text = written(ours.top5, ours.top5_interval) if ours else ""
            top5[group, title] = _beside(ours.top5 if ours else None, text, theirs.top5 if theirs else None)
    tested = "The paper reports Kinetics' test set; see the split that each of our runs was tested on."
    return PaperTable(f"Table 3: {index.dataset('kinetics')}", _frame(rows), f"{LEGEND} {tested}")


def table4(index: Index) -> PaperTable:
    """Transfer: origin, fixed and full-ft, with / without ImageNet."""
    rows: dict[str, dict[tuple[str, str], str]] = {}
    for architecture in paper():
        row = rows[_title(architecture)] = {}
        for dataset in ("ucf101", "hmdb51"):
            for protocol in PROTOCOLS:
                pair = (transfer(index, architecture, protocol, first, dataset) for first in (True, False))
                row[index.dataset(dataset), protocol] = " / ".join(_text(index, cell) for cell in pair)
            changes = [_change(index, architecture, dataset, first) for first in (True, False)]
            row[index.dataset(dataset), "Δ (ours)"] = " / ".join(changes)
    note = (
        "With / without ImageNet. Δ is this project's column: the change of the error, "
        "(100 - max(fixed, full-ft)) / (100 - origin) - 1, of our numbers, with its 95 % interval."
    )
    return PaperTable("Table 4: transfer", _frame(rows), f"{LEGEND} {note}")


PROTOCOLS = ("origin", "fixed", "full-ft")
"""The columns of Table 4."""


def transfer(
    index: Numbers, architecture: Architecture, protocol: str, imagenet_first: bool, dataset: str
) -> Cell:
    """Name a cell of Table 4, of the stream of the architecture's two-stream result."""
    start = "none" if protocol == "origin" else "kinetics"
    if imagenet_first:
        start = "imagenet" if protocol == "origin" else "imagenet+kinetics"
    return index.cell(architecture.name, architecture.combined_stream, start, protocol, dataset)


def _change(index: Index, architecture: Architecture, dataset: str, imagenet_first: bool) -> str:
    """Say how much of the error pretraining on Kinetics takes away, in percent, with its interval."""
    cells = {p: transfer(index, architecture, p, imagenet_first, dataset) for p in PROTOCOLS}
    found = {p: summary for p, cell in cells.items() if (summary := index.find(cell))}
    text = _error_taken_away(found)
    clean = {p: summary.without_leaks for p, summary in found.items() if summary.without_leaks}
    if text == MISSING or not any(found[p].leaked for p in clean):
        return text
    return f"{text}, without leaks {_error_taken_away(clean)}"


def _error_taken_away(found: Mapping[str, Summary]) -> str:
    """Of the better of fixed and full-ft against origin, of which each replicate takes its own better one."""
    after = [found[p] for p in ("fixed", "full-ft") if p in found]
    origin = found.get("origin")
    if origin is None or not after or origin.top1 == 100:
        return MISSING
    if any(set(s.first[0].predictions.ids) != set(origin.first[0].predictions.ids) for s in after):
        return "other videos"

    def change(before: Any, after: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(before < 100, 100 * ((100 - after) / (100 - before) - 1), np.nan)

    best = max(after, key=lambda summary: summary.top1)
    replicates = change(origin.draws, np.max([summary.draws for summary in after], axis=0))
    low, high = percentiles(replicates)
    most = bound(best.sums.effective_groups)
    known = replicates[~np.isnan(replicates)]
    if best.top1 in (0, 100) or (known.size and np.ptp(known) < 1e-3):  # alike, which others may not be
        low = min(low, change(origin.top1, best.top1 + most))
        high = max(high, change(origin.top1, best.top1 - most))
    if origin.top1 == 0:
        high = max(high, change(min(most, 99.9), best.top1))
    end = f"{high:+.0f}" if np.isfinite(high) else "∞"
    return f"{change(origin.top1, best.top1):+.0f} % [{max(low, -100.0):+.0f} to {end}]"


def table5(index: Index) -> PaperTable:
    """The state of the art of 2017, and I3D fine-tuned, over the three splits."""
    group = "mean of 3 splits"
    rows: dict[str, dict[tuple[str, str], str]] = {}
    if not index.demo:
        rows |= {
            method.name: {
                (group, "ucf101"): f"({method.ucf101:.1f})",
                (group, "hmdb51"): f"({method.hmdb51:.1f})" if method.hmdb51 else MISSING,
            }
            for method in published.OTHERS
        }
    for start, title in (("kinetics", "Kinetics"), ("imagenet+kinetics", "ImageNet+Kinetics")):
        for stream, name in (("rgb", "RGB-I3D"), ("flow", "Flow-I3D"), (FUSION, "Two-Stream I3D")):
            rows[f"{name}, {title}"] = {
                (group, index.dataset(d)): _text(
                    index, index.cell("i3d", stream, start, "full-ft", d), (1, 2, 3)
                )
                for d in ("ucf101", "hmdb51")
            }
    title = "Table 5: comparison with the state of the art of 2017"
    return PaperTable(title, _frame(rows), LEGEND, rows="")


TABLES: dict[int, Callable[[Index], PaperTable]] = {1: table1, 2: table2, 3: table3, 4: table4, 5: table5}


def _title(architecture: Architecture) -> str:
    return f"{architecture.row} {architecture.title}".strip()


def _columns(architecture: Architecture) -> list[tuple[str, str]]:
    """Streams under RGB, Flow and RGB+Flow; what does not exist leaves its column to the frame."""
    titles = {"rgb": "RGB", "flow": "Flow"}
    columns = [(stream, title) for stream, title in titles.items() if stream in architecture.streams]
    both = architecture.combined_stream
    return columns if both in titles else [*columns, (both, "RGB+Flow")]


def _frame(rows: dict[str, dict[tuple[str, str], str]]) -> pd.DataFrame:
    return frame_of(list(rows), list(rows.values()))


def frame_of(names: Sequence[str], rows: Sequence[Mapping[tuple[str, str], str]]) -> pd.DataFrame:
    """Make the frame of a table from its rows' titles, and of each row the cells by group and column."""
    columns: list[tuple[str, str]] = list(dict.fromkeys(c for row in rows for c in row))
    groups = list(dict.fromkeys(group for group, _ in columns))
    titles = list(dict.fromkeys(title for _, title in columns))
    order = [(group, title) for group in groups for title in titles if (group, title) in set(columns)]
    made = pd.DataFrame([[row.get(c, MISSING) for c in order] for row in rows], list(names))
    made.columns = pd.MultiIndex.from_tuples(order)
    return made


def flat(table: PaperTable) -> pd.DataFrame:
    """Give the table with one level of columns and its rows' titles as the first."""
    frame = table.frame.copy()
    frame.columns = pd.Index([" ".join(part for part in column if part) for column in frame.columns])
    return frame.rename_axis(table.rows).reset_index()


def as_latex(table: PaperTable) -> str:
    """Write the table for a paper, with booktabs rules."""
    columns = "l" + "r" * table.frame.shape[1]
    body = table.frame.style.format(escape="latex").format_index(escape="latex", axis=0)
    caption = re.sub(r"([%&_#$])", r"\\\1", f"{table.title}. {table.note}")  # which pandas leaves as it is
    text = body.format_index(escape="latex", axis=1).to_latex(
        hrules=True, column_format=columns, multicol_align="c", caption=caption
    )
    for sign, latex in _SIGNS.items():
        text = text.replace(sign, latex)
    return text


_SIGNS = {"–": "--", "±": "$\\pm$", "Δ": "$\\Delta$", "†": "$\\dagger$", "∞": "$\\infty$", "≠": "$\\neq$"}


def all_tables(found: Iterable[Score], *, exclude_leaks: bool = False) -> dict[str, PaperTable]:
    """Make Tables 2 to 5, of the real data sets and of the rendered ones, where anything of them was run."""
    scores = tests(found)
    kinds = {is_demo(score.experiment.dataset) for score in scores}
    indices = {demo: Index(scores, demo, exclude_leaks=exclude_leaks) for demo in sorted(kinds)}
    return {
        f"{'demo_' if demo else ''}table{number}": _table_of(number, index)
        for demo, index in indices.items()
        for number in (2, 3, 4, 5)
    }

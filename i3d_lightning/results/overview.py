"""The table of all runs, of whatever architectures, data sets and protocols they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from i3d_lightning.experiment import FUSION, STREAMS
from i3d_lightning.files import write_atomically
from i3d_lightning.results import published
from i3d_lightning.results.reading import KINDS, PARTS, in_words
from i3d_lightning.results.scores import Index, Score, Summary, tests

COLUMNS = (*STREAMS, FUSION)
STREAM_TITLES = {"rgb": "RGB", "flow": "Flow", "joint": "Joint", FUSION: "RGB+Flow"}
LEGEND = (
    "Top-1 %, mean over seeds. [low–high] is its 95 % interval over other videos like these: over groups "
    "that share a source, or over videos where no groups are known. ± is the standard deviation of a run "
    "over seeds, and over the pretraining where that was repeated; † leaves it out, as all start from one."
)
LEAKS = "Numbers without leaks leave out the test videos that are trained on too."
"""What is to be added where these are shown, see `leaks_note`."""


def summarise(found: Iterable[Score], *, exclude_leaks: bool = False) -> pd.DataFrame:
    """Make one row for each data set, split (or mean of all), architecture, pretraining, protocol and stream.

    Columns: dataset, splits, architecture, stream, pretraining, protocol, control, top1, top5
    (percent, mean over seeds; no top5 of five classes or fewer), low, high (95 % interval of top1 over
    groups), spread (the standard deviation of a run's top1, where seeds or pretrainings were repeated),
    spread_over (`seeds`, or `pretraining and seeds`), seeds, pretrainings (0 from scratch), runs (of each
    split), tested_on, videos, groups, groups_known, leaked,
    near_duplicates, missing_train, missing_test, unreadable_train,
    unreadable_test, partly_train, partly_test (of each split the most over its seeds), paper.

    Args:
        found: All scores.
        exclude_leaks: Give top1, low and high without the test videos that are trained on too as well, in
            columns of their own: top1_without_leaks and so on.
    """
    index = Index(found, exclude_leaks=exclude_leaks)
    return pd.DataFrame([_row(summary) for summary in sorted(index, key=_place)])


def _place(summary: Summary) -> tuple[Any, ...]:
    cell, splits = summary.cell, summary.splits
    protocol = (summary.first[0].order, cell.protocol)
    stream = COLUMNS.index(cell.stream)
    return cell.dataset, len(splits), splits, cell.architecture, protocol, cell.pretraining, stream


def _row(summary: Summary) -> dict[str, Any]:
    cell, first = summary.cell, summary.first
    theirs = published.paper(*cell, summary.splits) if tests(first) else None
    clean = summary.without_leaks
    return {
        "dataset": cell.dataset,
        "splits": summary.splits,
        "architecture": cell.architecture,
        "stream": cell.stream,
        "pretraining": cell.pretraining,
        "protocol": cell.protocol,
        "control": first[0].control,
        "top1": summary.top1,
        "top5": summary.top5,
        **dict(zip(("low", "high"), summary.interval, strict=True)),
        "spread": summary.spread,
        "spread_over": summary.spread_over,
        "seeds": summary.seeds,
        "pretrainings": summary.pretrainings,
        "runs": len(summary.by_seed),
        "tested_on": first[0].tested_on,
        "videos": summary.sums.distinct,
        "groups": len(summary.sums.groups),
        "groups_known": summary.groups_known,
        "leaked": summary.leaked,
        "near_duplicates": summary.near_duplicates,
        **(_clean(clean) if clean else {}),
        "missing_train": sum(s.missing["train"] for s in first),
        "missing_test": sum(s.missing["test"] for s in first),
        **{f"{kind}_{part}": summary.most(kind, part) for kind in KINDS for part in PARTS},
        "paper": theirs.top1 if theirs else float("nan"),
    }


def _clean(summary: Summary) -> dict[str, float]:
    found = (summary.top1, *summary.interval)
    names = ("top1_without_leaks", "low_without_leaks", "high_without_leaks")
    return dict(zip(names, found, strict=True))


def layout(summary: pd.DataFrame) -> pd.DataFrame:
    """Lay the summary out as people read it: a row for each protocol, a column for each stream.

    The paper's numbers stand beside ours where it gives them for the same cell.
    """
    rows = []
    keys = ["dataset", "splits", "architecture", "pretraining", "protocol", "tested_on"]
    for key, part in summary.groupby(keys, sort=False):
        dataset, splits, architecture, pretraining, protocol, tested_on = cast(tuple[Any, ...], key)
        by_stream = {row["stream"]: row for _, row in part.iterrows()}
        row: dict[str, Any] = {
            "data set": dataset,
            "split": str(splits[0]) if len(splits) == 1 else f"mean of {len(splits)}",
            "architecture": architecture,
            "pretraining": pretraining,
            "protocol": protocol + (" (control)" if part["control"].any() else ""),
        }
        for stream in COLUMNS:
            if stream in set(summary["stream"]):
                row[STREAM_TITLES[stream]] = _cell(by_stream[stream]) if stream in by_stream else "–"
        if summary["paper"].notna().any():
            row["paper"] = _paper_cell(by_stream)
        any_row = part.iloc[0]
        if tested_on != "test":
            row["split"] += f" ({tested_on})"
        row["seeds"] = _span(part["seeds"])
        row["pretrainings"] = pretrainings_in_words(part["pretrainings"])
        row["videos"] = _span(part["videos"])
        row["groups"] = _span(part["groups"]) if any_row["groups_known"] else "unknown"
        if summary["leaked"].any() or "top1_without_leaks" in summary:
            row["leaked"] = str(int(part["leaked"].max()))
        if summary[["missing_train", "missing_test"]].to_numpy().any():
            row["missing"] = in_words(*part[["missing_train", "missing_test"]].max())
        for kind, title in KINDS.items():
            columns = [f"{kind}_{part}" for part in PARTS]
            if summary[columns].to_numpy().any():
                row[title] = in_words(*part[columns].max())  # of all streams: a fusion has those of both
        rows.append(row)
    return pd.DataFrame(rows)


def _cell(row: pd.Series) -> str:
    shared = row["spread_over"] == "seeds" and row["pretrainings"] == 1
    text = written(row["top1"], (row["low"], row["high"]), row["spread"], shared)
    if not row["leaked"] or "top1_without_leaks" not in row:
        return text
    low, high = row["low_without_leaks"], row["high_without_leaks"]
    return f"{text}, without leaks {written(row['top1_without_leaks'], (low, high))}"


def written(
    value: float, interval: tuple[float, float], spread: float = float("nan"), shared: bool = False
) -> str:
    """Write `value ± spread [low–high]`, or what there is of it.

    Args:
        value: In percent.
        interval: Its ends.
        spread: NaN where there is none.
        shared: Whether the spread is over runs that share one pretraining, which is marked: †.
    """
    low, high = interval
    deviation = "" if np.isnan(spread) else f" ± {spread:.1f}{'†' if shared else ''}"
    return f"{value:.1f}{deviation} [{low:.1f}–{high:.1f}]"


def pretrainings_in_words(numbers: Iterable[int]) -> str:
    """Say how many pretrainings there are behind numbers: nothing is known of how one varies."""
    most = max(numbers := list(numbers))
    if most <= 1:
        return "one pretraining" if most else "–"
    return _span(numbers)


def _span(numbers: Iterable[int]) -> str:
    """Write a count; where it is not the same of all streams, the least and the most."""
    least, most = min(numbers := sorted(numbers)), max(numbers)
    return str(most) if least == most else f"{least} to {most}"


def _paper_cell(by_stream: dict[str, pd.Series]) -> str:
    values = {s: by_stream[s]["paper"] for s in COLUMNS if s in by_stream}
    return " / ".join(f"{STREAM_TITLES[s]} {v:.1f}" for s, v in values.items() if not np.isnan(v)) or "–"


def legend(summary: pd.DataFrame) -> str:
    """Say what the numbers of a summary's layout are."""
    if "top1_without_leaks" not in summary:
        return LEGEND
    return f"{LEGEND} {leaks_note(summary['dataset'][~summary['near_duplicates']])}"


def leaks_note(unchecked: Iterable[str]) -> str:
    """Say what leaks are, and of which data sets near-duplicates were not looked for."""
    names = ", ".join(sorted(set(unchecked)))
    return f"{LEAKS} Of {names} these are exact duplicates only (see i3d data check)." if names else LEAKS


def markdown(table: pd.DataFrame) -> str:
    """Write a table as GitHub-flavoured Markdown."""
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(str(value) for value in row) + " |" for row in table.to_numpy()]
    return "\n".join(lines) + "\n"


def write_tables(root: Path, summary: pd.DataFrame) -> tuple[Path, Path]:
    """Write `table.csv` (every number) and `table.md` (as people read it) into the run folder."""
    csv, md = root / "table.csv", root / "table.md"
    text = markdown(layout(summary)) + f"\n{legend(summary)}\n"
    flat = summary.assign(splits=[" ".join(map(str, s)) for s in summary["splits"]])
    write_atomically(csv, lambda file: file.write(flat.to_csv(index=False).encode()))
    write_atomically(md, lambda file: file.write(text.encode()))
    return csv, md

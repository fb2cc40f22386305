"""The table of all runs, of whatever architectures, data sets and protocols they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from i3d_lightning.experiment import FUSION, NONE, STREAMS
from i3d_lightning.files import write_atomically
from i3d_lightning.results import published
from i3d_lightning.results.reading import KINDS, PARTS, in_words
from i3d_lightning.results.scores import Index, Score, Summary, tests

COLUMNS = (*STREAMS, FUSION)
STREAM_TITLES = {"rgb": "RGB", "flow": "Flow", "joint": "Joint", FUSION: "RGB+Flow"}
LEGEND = (
    "Top-1 %. Mean ± standard deviation over seeds; [low–high] is a 95 % bootstrap interval over test "
    "videos, where seeds were not repeated or would hide that all start from one pretraining."
)


def summarise(found: Iterable[Score]) -> pd.DataFrame:
    """Make one row for each data set, split (or mean of all), architecture, pretraining, protocol and stream.

    Columns: dataset, splits, architecture, stream, pretraining, protocol, control, top1, top5
    (percent, mean over seeds), spread (the sample standard deviation of top-1 over seeds, where
    seeds or pretrainings were repeated), low, high (95 % bootstrap interval over videos, where
    not), seeds, one_pretraining, tested_on, videos, missing_train, missing_test, unreadable_train,
    unreadable_test, partly_train, partly_test (of each split the most over its seeds), paper.
    """
    return pd.DataFrame([_row(summary) for summary in sorted(Index(found), key=_place)])


def _place(summary: Summary) -> tuple[Any, ...]:
    cell, splits = summary.cell, summary.splits
    protocol = (summary.first[0].order, cell.protocol)
    stream = COLUMNS.index(cell.stream)
    return cell.dataset, len(splits), splits, cell.architecture, protocol, cell.pretraining, stream


def _row(summary: Summary) -> dict[str, Any]:
    cell, first = summary.cell, summary.first
    low, high = summary.interval
    theirs = published.paper(*cell, summary.splits) if tests(first) else None
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
        "spread": summary.spread,
        "low": low,
        "high": high,
        "seeds": len(summary.by_seed),
        "one_pretraining": cell.pretraining != NONE and summary.pretrainings == 1,
        "tested_on": first[0].tested_on,
        "videos": sum(len(s.predictions.ids) for s in first),
        "missing_train": sum(s.missing["train"] for s in first),
        "missing_test": sum(s.missing["test"] for s in first),
        **{f"{kind}_{part}": summary.most(kind, part) for kind in KINDS for part in PARTS},
        "paper": theirs.top1 if theirs else float("nan"),
    }


def layout(summary: pd.DataFrame) -> pd.DataFrame:
    """Lay the summary out as people read it: a row for each protocol, a column for each stream.

    The paper's numbers stand beside ours where it gives them for the same cell.
    """
    rows = []
    keys = ["dataset", "splits", "architecture", "pretraining", "protocol"]
    for key, part in summary.groupby(keys, sort=False):
        dataset, splits, architecture, pretraining, protocol = cast(tuple[Any, ...], key)
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
        if any_row["tested_on"] != "test":
            row["split"] += f" ({any_row['tested_on']})"
        row["seeds"] = str(int(part["seeds"].max()))
        row["videos"] = str(int(any_row["videos"]))
        if summary[["missing_train", "missing_test"]].to_numpy().any():
            row["missing"] = in_words(any_row["missing_train"], any_row["missing_test"])
        for kind, title in KINDS.items():
            columns = [f"{kind}_{part}" for part in PARTS]
            if summary[columns].to_numpy().any():
                row[title] = in_words(*part[columns].max())  # of all streams: a fusion has those of both
        rows.append(row)
    return pd.DataFrame(rows)


def _cell(row: pd.Series) -> str:
    if not np.isnan(row["spread"]):
        return f"{row['top1']:.1f} ± {row['spread']:.1f}"
    return f"{row['top1']:.1f} [{row['low']:.0f}–{row['high']:.0f}]"


def _paper_cell(by_stream: dict[str, pd.Series]) -> str:
    values = {s: by_stream[s]["paper"] for s in COLUMNS if s in by_stream}
    return " / ".join(f"{STREAM_TITLES[s]} {v:.1f}" for s, v in values.items() if not np.isnan(v)) or "–"


def markdown(table: pd.DataFrame) -> str:
    """Write a table as GitHub-flavoured Markdown."""
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(str(value) for value in row) + " |" for row in table.to_numpy()]
    return "\n".join(lines) + "\n"


def write_tables(root: Path, summary: pd.DataFrame) -> tuple[Path, Path]:
    """Write `table.csv` (every number) and `table.md` (as people read it) into the run folder."""
    csv, md = root / "table.csv", root / "table.md"
    text = markdown(layout(summary)) + f"\n{LEGEND}\n"
    flat = summary.assign(splits=[" ".join(map(str, s)) for s in summary["splits"]])
    write_atomically(csv, lambda file: file.write(flat.to_csv(index=False).encode()))
    write_atomically(md, lambda file: file.write(text.encode()))
    return csv, md

"""Stored predictions -> metrics -> tables. Nothing here runs a network.

Every number is computed from per-video predictions: fusion of two streams, averages over splits
and seeds, intervals and the comparison with the paper are arithmetic on files.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import yaml

from i3d_lightning import published
from i3d_lightning.files import write_atomically
from i3d_lightning.plan import FUSION, Experiment, InputError, is_control

RESULT = "result.json"
CONFIG = "config.yaml"
PREDICTIONS = "predictions.npz"


@dataclass(frozen=True)
class Predictions:
    """What one experiment says of every test video.

    Attributes:
        ids: Video ids, shape (n,).
        labels: True classes, shape (n,).
        logits: float32, shape (n, k), averaged over time before softmax, over the official class
            list; NaN for a video that could not be read, which counts as wrong.
    """

    ids: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray

    def correct(self, k: int = 1) -> np.ndarray:
        """Whether the true class is among the k best, shape (n,); never for an unreadable video."""
        readable = ~np.isnan(self.logits).any(axis=1)
        own = np.take_along_axis(self.logits, self.labels[:, None], axis=1)
        rank = (self.logits > own).sum(axis=1)
        return readable & (rank < k)

    def accuracy(self, k: int = 1) -> float:
        """Share of videos whose true class is among the k best, in percent."""
        return 100.0 * float(self.correct(k).mean())

    def interval(self, samples: int = 2000, level: float = 0.95) -> tuple[float, float]:
        """Percentile bootstrap interval of top-1 over videos, in percent."""
        correct = self.correct().astype(np.float64)
        draws = np.random.default_rng(0).integers(0, len(correct), (samples, len(correct)))
        tail = 50.0 * (1.0 - level)
        low, high = np.percentile(100.0 * correct[draws].mean(axis=1), [tail, 100.0 - tail])
        return float(low), float(high)

    def save(self, path: Path) -> None:
        write_atomically(
            path,
            lambda file: np.savez_compressed(
                file, ids=np.array(self.ids), labels=self.labels, logits=self.logits.astype(np.float32)
            ),
        )

    @classmethod
    def load(cls, path: Path) -> Predictions:
        with np.load(path, allow_pickle=False) as stored:
            return cls(tuple(stored["ids"].tolist()), stored["labels"], stored["logits"])


def fuse(first: Predictions, second: Predictions) -> Predictions:
    """The mean of two streams' logits, video by video.

    Raises:
        InputError: A video is missing on one side.
    """
    alone = set(first.ids) ^ set(second.ids)
    if alone:
        raise InputError(
            f"Cannot fuse: {len(alone)} videos were predicted by one stream only, such as {min(alone)}."
        )
    where = {video: row for row, video in enumerate(second.ids)}
    order = [where[video] for video in first.ids]
    if not np.array_equal(first.labels, second.labels[order]):
        raise InputError("Cannot fuse: the two streams were scored against different labels.")
    return replace(first, logits=(first.logits + second.logits[order]) / 2)


@dataclass(frozen=True)
class Run:
    """A complete experiment on disk.

    Attributes:
        experiment: What was run.
        folder: Where it is.
        metrics: What its result file holds.
    """

    experiment: Experiment
    folder: Path
    metrics: dict[str, Any]

    @property
    def predictions(self) -> Predictions:
        return Predictions.load(self.folder / PREDICTIONS)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return tuple(yaml.safe_load((self.folder / CONFIG).read_text())["classes"])


def load_run(folder: Path) -> Run | None:
    """The run in this folder, or None where it is not complete.

    Raises:
        InputError: Its result is damaged.
    """
    try:
        metrics = json.loads((folder / RESULT).read_text())
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{folder / RESULT} is damaged: delete {folder} and run the experiment again."
        ) from error
    return Run(Experiment(**metrics["experiment"]), folder, metrics)


def collect(root: Path) -> list[Run]:
    """All complete runs of a run folder, but for those kept apart below it under a name of their own."""
    depth = "*/" * len(Experiment("i3d", "rgb", "none", "origin", "ucf101").folder.parts)
    runs = (load_run(path.parent) for path in sorted(root.glob(depth + RESULT)))
    return [run for run in runs if run is not None]


@dataclass(frozen=True)
class Score:
    """Top-1 and top-5 of one stream, or of the fusion of two, in one experiment.

    Attributes:
        experiment: What was run; for the fusion, its RGB half.
        stream: `rgb`, `flow`, `joint`, or `rgb+flow`.
        predictions: What the score is computed from.
        missing: Official videos that were not there: `train`, `test`.
        pretrained_by: The weights it started from, None for none.
        tested_on: What the data set calls the part tested on.
    """

    experiment: Experiment
    stream: str
    predictions: Predictions
    missing: dict[str, int]
    pretrained_by: str | None
    tested_on: str = "test"

    @property
    def name(self) -> str:
        parts = self.experiment.name.split("/")
        parts[1] = f"{self.experiment.architecture}-{self.stream}"
        return "/".join(parts)

    def as_json(self) -> dict[str, Any]:
        """The machine-readable line of `i3d experiment --json`."""
        return {
            "run": self.name,
            "top1": round(self.predictions.accuracy(1), 4),
            "top5": round(self.predictions.accuracy(5), 4),
            "videos": len(self.predictions.ids),
            "missing": self.missing,
        }


def scores(runs: Iterable[Run]) -> list[Score]:
    """The score of every run, and of every pair of RGB and flow streams that can be fused."""
    found: list[Score] = []
    halves: dict[Experiment, dict[str, Score]] = defaultdict(dict)
    for run in runs:
        score = Score(
            run.experiment,
            run.experiment.stream,
            run.predictions,
            run.metrics["missing"],
            (run.metrics.get("weights") or {}).get("sha256"),
            run.metrics["tested_on"],
        )
        found.append(score)
        if run.experiment.stream in ("rgb", "flow"):
            halves[replace(run.experiment, stream="rgb")][run.experiment.stream] = score
    for experiment, pair in halves.items():
        if len(pair) == 2:
            rgb, flow = pair["rgb"], pair["flow"]
            both = None
            if rgb.pretrained_by and flow.pretrained_by:
                both = f"{rgb.pretrained_by}+{flow.pretrained_by}"
            fused = fuse(rgb.predictions, flow.predictions)
            found.append(Score(experiment, FUSION, fused, rgb.missing, both, rgb.tested_on))
    return found


COLUMNS = ("rgb", "flow", "joint", FUSION)


def summarise(found: Iterable[Score]) -> pd.DataFrame:
    """One row for each data set, split (or mean of three), pretraining, protocol and stream.

    Columns: dataset, splits, architecture, stream, pretraining, protocol, control, top1, top5
    (percent, mean over seeds), spread (the sample standard deviation of top-1 over seeds, where
    seeds or pretrainings were repeated), low, high (95 % bootstrap interval over videos, where
    not), seeds, one_pretraining, tested_on, videos, missing_train, missing_test, paper.
    """
    cells: dict[tuple[Any, ...], dict[int, dict[int, Score]]] = defaultdict(lambda: defaultdict(dict))
    for score in found:
        e = score.experiment
        key = (e.dataset, e.architecture, score.stream, e.pretraining, e.protocol)
        cells[key][e.split][e.seed] = score
    rows: list[dict[str, Any]] = []
    for key, by_split in cells.items():
        for split in sorted(by_split):
            rows.append(_row(key, (split,), {seed: [score] for seed, score in by_split[split].items()}))
        if len(by_split) == 3:
            seeds = set.intersection(*(set(by_seed) for by_seed in by_split.values()))
            if seeds:
                mean = {seed: [by_split[split][seed] for split in sorted(by_split)] for seed in sorted(seeds)}
                rows.append(_row(key, tuple(sorted(by_split)), mean))
    order = {"origin": 0, "fixed": 1, "full-ft": 2}
    rows.sort(
        key=lambda r: (r["dataset"], len(r["splits"]), r["splits"], r["architecture"], order[r["protocol"]],
                       r["pretraining"], COLUMNS.index(r["stream"]))
    )  # fmt: skip
    return pd.DataFrame(rows)


def _row(key: tuple[Any, ...], splits: tuple[int, ...], by_seed: dict[int, list[Score]]) -> dict[str, Any]:
    dataset, architecture, stream, pretraining, protocol = key
    top1 = [float(np.mean([s.predictions.accuracy(1) for s in parts])) for parts in by_seed.values()]
    top5 = [float(np.mean([s.predictions.accuracy(5) for s in parts])) for parts in by_seed.values()]
    first = next(iter(by_seed.values()))
    pretrained_by = {s.pretrained_by for parts in by_seed.values() for s in parts}
    # A convex classifier on frozen features hardly varies with the seed: its spread over seeds
    # would look like certainty, so it is shown only where the pretraining was repeated too.
    repeated = len(top1) > 1 and (protocol != "fixed" or len(pretrained_by) > 1)
    low, high = _interval(first)
    theirs = published.paper(architecture, stream, pretraining, protocol, dataset, splits)
    return {
        "dataset": dataset,
        "splits": splits,
        "architecture": architecture,
        "stream": stream,
        "pretraining": pretraining,
        "protocol": protocol,
        "control": is_control(first[0].experiment),
        "top1": float(np.mean(top1)),
        "top5": float(np.mean(top5)),
        "spread": float(np.std(top1, ddof=1)) if repeated else float("nan"),
        "low": low,
        "high": high,
        "seeds": len(top1),
        "one_pretraining": pretraining != "none" and len(pretrained_by) == 1,
        "tested_on": first[0].tested_on,
        "videos": sum(len(s.predictions.ids) for s in first),
        "missing_train": sum(s.missing["train"] for s in first),
        "missing_test": sum(s.missing["test"] for s in first),
        "paper": theirs.top1 if theirs else float("nan"),
    }


def _interval(parts: list[Score]) -> tuple[float, float]:
    """Bootstrap over the videos of all splits at once, so that each counts where it was tested."""
    everything = Predictions(
        tuple(i for s in parts for i in s.predictions.ids),
        np.concatenate([s.predictions.labels for s in parts]),
        np.concatenate([s.predictions.logits for s in parts]),
    )
    return everything.interval()


STREAM_TITLES = {"rgb": "RGB", "flow": "Flow", "joint": "Joint", FUSION: "RGB+Flow"}
LEGEND = (
    "Top-1 %. Mean ± standard deviation over seeds; [low–high] is a 95 % bootstrap interval over test "
    "videos, where seeds were not repeated or would hide that all start from one pretraining."
)


def layout(summary: pd.DataFrame) -> pd.DataFrame:
    """The summary as people read it: a row for each protocol, a column for each stream.

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
            row["missing"] = f"{any_row['missing_train']} train, {any_row['missing_test']} test"
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
    """A table as GitHub-flavoured Markdown."""
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

"""A data set described by a CSV with groups, in which left-right flips would change the class."""

from __future__ import annotations

import csv
from pathlib import Path

from i3d_lightning.datasets.registry import Dataset, register
from i3d_lightning.datasets.split import DatasetSplit, Video


def read_toy_csv(root: Path, split: int) -> DatasetSplit:
    """Read `videos.csv`: path, label, part, group."""
    with (root / "videos.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    classes = tuple(sorted({row["label"] for row in rows}))
    parts = {
        part: tuple(
            Video(row["path"], root / row["path"], classes.index(row["label"]), row["group"])
            for row in rows
            if row["part"] == part
        )
        for part in ("train", "dev")
    }
    return DatasetSplit("toy-csv", split, classes, parts["train"], parts["dev"], tested_on="dev")


register(Dataset("toy-csv", read_toy_csv, recipe={"clips": {"flip": False}}))

"""Which data sets there are, and all that the rest of the package asks of one.

A data set is one file: a reader of its lists, and its registration, which says how it is trained on:

    register(Dataset("my-set", read_my_set, recipe={"clips": {"flip": False}}))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from i3d_lightning.datasets.split import DEVELOPMENT, DatasetSplit, checked
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.pretraining import CORPORA
from i3d_lightning.recipe import Changes, merge
from i3d_lightning.registry import Registry

_ONE_FRAME: Changes = {"clips": {"train_frames": 1, "test_frames": 1}}
"""An image, as a clip."""

Read = Callable[[Path, int], DatasetSplit]


@dataclass(frozen=True)
class Dataset:
    """A data set as the rest of the package knows it.

    Attributes:
        name: What users call it by.
        read: Reads one split below a root, from 1; raises InputError where it cannot. It is called again only
            when a folder or list below the root has changed, or the code.
        splits: Numbers of its official splits.
        recipe: What training on it changes of the paper's recipe for UCF-101 and HMDB-51, or a function that
            says so for an experiment.
        teaches: What weights trained on it are said to have seen, such as `kinetics`; None for a target,
            whose weights nothing starts from.
        images: Whether it holds images, on which only image networks are trained.
        groups: Whether its reader knows which videos share a source; where not, each is its own group and
            intervals are over videos, which tables say.
        family: Data sets of one family pretrain for each other; the rendered ones are `demo`.
        stands_for: The data set of the paper whose place in the tables it takes.
        root: Its folder, where it has one of its own; else the user says it.
        prepare: Makes what is missing below the root before it is read.
        development: Tells whether what is below a root is there to choose settings on, its test videos too.
        asks: What only the user knows of it: settings without which nothing is trained on it by steps, such
            as `clips.flip`, each with the question.
        source: The user's own list or folder that it was made of, see `own`.
    """

    name: str
    read: Read
    splits: tuple[int, ...] = (1,)
    recipe: Changes | Callable[[Experiment], Changes] = field(default_factory=dict)
    teaches: str | None = None
    images: bool = False
    groups: bool = True
    family: str = ""
    stands_for: str = ""
    root: Path | None = None
    prepare: Callable[[Path], object] | None = None
    development: Callable[[Path], bool] | None = None
    asks: Mapping[str, str] = field(default_factory=dict)
    source: Path | None = None

    @property
    def own_list(self) -> Path | None:
        """The user's own list, which names all of its videos, where it is made of one."""
        return self.source if self.source != self.root else None

    def place(self, root: Path) -> str:
        """Say where it is, so that nothing kept of it is taken for what is kept of another."""
        return "#".join(map(str, (root.resolve(), *([self.own_list] if self.own_list else []))))

    def recipe_for(self, experiment: Experiment) -> Changes:
        """Say what an experiment on it changes of the paper's recipe."""
        changes = self.recipe(experiment) if callable(self.recipe) else self.recipe
        return merge(changes, _ONE_FRAME) if self.images else changes


DATASETS: Registry[Dataset] = Registry("data set")
register = DATASETS.register


def teacher(word: str, family: str) -> Dataset | None:
    """Find the data set of a family whose training is a stage of pretraining, such as `kinetics`."""
    found = [d for d in DATASETS if d.teaches == word]
    return next((d for d in found if d.family == family), None)


def is_video(stage: str) -> bool:
    """Say whether a stage of pretraining is video: whatever is not known to be images."""
    images = {d.teaches for d in DATASETS if d.images} | {c.name for c in CORPORA if not c.video}
    return stage not in images


def root_of(dataset: Dataset, root: Path | None) -> Path:
    """Find the folder of a data set.

    Raises:
        InputError: It has none of its own, and none is given.
    """
    root = root or dataset.root
    if root is None:
        raise InputError(f"Say where the videos and lists of {dataset.name} are: --root FOLDER.")
    return root


def read_dataset(name: str, root: Path | None, split: int) -> DatasetSplit:
    """Read one split of a data set.

    Args:
        name: Name of a registered data set.
        root: Its folder, as downloaded; the rendered ones know theirs.
        split: Official split, from 1.

    Raises:
        InputError: The data set is unknown, its lists or videos are not below `root`, it has no such split,
            or a video is listed with two labels, or to train and to test on.
    """
    dataset = DATASETS[name]
    root = root_of(dataset, root)
    if split not in dataset.splits:
        known = ", ".join(map(str, dataset.splits))
        raise InputError(f"{name} has no split {split}: it has {known}.")
    if dataset.prepare is not None:
        dataset.prepare(root)
    read = checked(replace(dataset.read(root, split), name=name))
    for part, videos in (("training", read.train), ("test", read.test)):
        if not videos:
            raise InputError(f"No {part} video of {name}, split {split}, is below {root}: check the root.")
    if dataset.development is not None and dataset.development(root):
        return replace(read, tested_on=DEVELOPMENT)
    return read

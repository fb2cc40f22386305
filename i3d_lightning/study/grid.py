"""A grid of experiments, described by a file.

    cells:                      # every combination that exists, of each entry's words
      - {architecture: [i3d, c3d], protocol: [origin, fixed], pretraining: [none, kinetics]}
    dataset: [ucf101, hmdb51]   # words that all entries share
    split: [1, 2, 3]
    recipe: {training: {weight_decay: 1.0e-4}}
    recipes:                    # of an architecture, data set, stream, protocol, or the first two together
      c3d: {training: {batch_size: 32}}
      full-ft: {training: {learning_rate: 0.003}}
      c3d/hmdb51: {training: {steps: 2000, stages: [[1200, 0.1]]}}

A cell without `stream` stands for the streams of its architecture's two-stream result; one without
`pretraining` for those of the paper, and of published weights, that its protocol may start from. A data set
of one's own is named by its path, or as NAME=PATH, and by its name in `recipes`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from i3d_lightning import yaml_text
from i3d_lightning.datasets import own
from i3d_lightning.datasets.registry import DATASETS
from i3d_lightning.errors import InputError, check_known
from i3d_lightning.experiment import STREAMS, Experiment, check_number, seeds_from
from i3d_lightning.networks.registry import ARCHITECTURES
from i3d_lightning.protocols.base import PROTOCOLS
from i3d_lightning.recipe import Changes, Recipe, compose, merge
from i3d_lightning.study.cells import all_pretraining, pretrainings
from i3d_lightning.weights.registry import published_pretraining

_PAPER = ("none", "imagenet", "kinetics", "imagenet+kinetics")
"""Pretraining in the paper's tables."""
WORDS = ("architecture", "stream", "pretraining", "protocol", "dataset", "split", "seed", "pretraining_seed")


@dataclass(frozen=True)
class Grid:
    """Experiments and their settings.

    Attributes:
        cells: What to run, in the order of the file.
        recipe: Settings that differ from the data sets' recipes.
        recipes: Further ones of an architecture, a data set, a stream, a protocol, or an architecture on a
            data set (`c3d/hmdb51`), each over those before.
    """

    cells: tuple[Experiment, ...]
    recipe: Changes = field(default_factory=dict)
    recipes: Mapping[str, Changes] = field(default_factory=dict)

    def settings(self, cell: Experiment) -> Changes:
        """Collect the settings of one cell that differ from its data set's recipe."""
        both = f"{cell.architecture}/{cell.dataset}"
        names = (cell.architecture, cell.dataset, cell.stream, cell.protocol, both)
        return merge(self.recipe, *(self.recipes.get(name, {}) for name in names))


def read_grid(path: Path) -> Grid:
    """Read a grid.

    Raises:
        InputError: The file is missing or not YAML, says something unknown, or an entry stands for no cell.
    """
    content = yaml_text.read(path)
    if isinstance(content, dict) and "sweep" in content:
        raise InputError(f"{path} is a sweep, to choose settings: run it by i3d sweep {path}.")
    return grid_of(content, path)


def grid_of(content: Any, path: Path) -> Grid:
    """Make a grid of what a file says, see `read_grid`.

    Args:
        content: What it says.
        path: Where, for what is wrong with it.

    Raises:
        InputError: As `read_grid`.
    """
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list) or not content["cells"]:
        raise InputError(f"{path} is not a grid: it needs a list 'cells', see experiments/table4.yaml.")
    for word in content:
        check_known(f"word in {path}", word, ("cells", "recipe", "recipes", *WORDS))
    content = _with_own(content) | {"cells": [_with_own(entry) for entry in content["cells"]]}
    recipe, recipes = content.get("recipe") or {}, content.get("recipes") or {}
    _check_recipes(path, recipe, recipes)
    shared = {word: content[word] for word in WORDS if word in content}
    cells: dict[Experiment, None] = {}
    for entry in content["cells"]:
        if not isinstance(entry, dict):
            raise InputError(f"{path}: an entry of 'cells' is {entry!r}, but must be a mapping.")
        found = list(_combinations({**shared, **entry}, path))
        if not found:
            raise InputError(f"{path}: no cell of {entry} exists; see Table 4 for those that do.")
        cells |= dict.fromkeys(found)
    return Grid(tuple(cells), recipe, recipes)


def _with_own(words: Any) -> Any:
    """Words with the names of data sets that are given by their paths."""
    if not isinstance(words, dict) or "dataset" not in words:
        return words
    said = words["dataset"]
    found = [own.named(name) for name in said] if isinstance(said, list) else own.named(said)
    return words | {"dataset": found}


def _check_recipes(path: Path, recipe: Any, recipes: Any) -> None:
    """Whom each recipe is for; its settings are checked with those of the cells."""
    if not isinstance(recipe, dict) or not isinstance(recipes, dict):
        raise InputError(f"{path}: 'recipe' and 'recipes' must be mappings of settings.")
    for name, changes in recipes.items():
        first, _, second = str(name).partition("/")
        whom = f"architecture, data set, stream or protocol in 'recipes' of {path}"
        alone = [] if second else [*DATASETS.names(), *STREAMS, *PROTOCOLS.names()]
        check_known(whom, first, [*ARCHITECTURES.names(), *alone])
        if second:
            check_known(whom, second, DATASETS.names())
        if not isinstance(changes, dict):
            raise InputError(f"{path}: the recipe of '{name}' is {changes!r}, but must be a mapping.")
    for changes in (recipe, *recipes.values()):
        check_known_settings(changes)


def check_known_settings(changes: Changes) -> None:
    """Refuse unknown settings at once, also of cells that are not run.

    Raises:
        InputError: A setting is unknown.
    """
    known = Recipe()
    for part, settings in changes.items():
        compose(known, {str(part): None})
        if isinstance(settings, Mapping):
            compose(known, {part: dict.fromkeys(map(str, settings))})


def _combinations(entry: Mapping[str, Any], path: Path) -> Iterator[Experiment]:
    """The cells of an entry that exist."""
    for word in entry:
        check_known(f"word in {path}", word, WORDS)
    for word in ("architecture", "protocol", "dataset"):
        if word not in entry:
            raise InputError(f"{path}: a cell does not say its {word}.")
    lists = {word: value if isinstance(value, list) else [value] for word, value in entry.items()}
    for word, value in ((word, value) for word, values in lists.items() for value in values):
        if not isinstance(value, (str, int)):
            raise InputError(f"{path}: {word} is {value!r}, but must be a word, a number or a list of them.")
    for word, values in lists.items():
        if twice := [value for i, value in enumerate(values) if value in values[:i]]:
            raise InputError(f"{path}: {word} names {twice[0]} twice: name each once.")
    for stream in lists.get("stream", ()):
        check_known("stream", stream, STREAMS)
    for architecture, protocol, dataset in itertools.product(
        lists["architecture"], lists["protocol"], lists["dataset"]
    ):
        network = ARCHITECTURES[architecture]
        valid = pretrainings(architecture, protocol, dataset)
        for word in lists.get("pretraining", ()):
            check_known("pretraining", word, all_pretraining())
        for pretraining, stream, split, seed, before in itertools.product(
            lists.get("pretraining", _usual(architecture, valid)),
            lists.get("stream", network.usual_streams),
            lists.get("split", [1]),
            lists.get("seed", [0]),
            lists.get("pretraining_seed", [0]),
        ):
            check_number("pretraining_seed", before)
            if pretraining in valid and stream in network.streams:
                cell = Experiment(architecture, stream, pretraining, protocol, dataset, split)
                yield cell.at(seed, before)


def _usual(architecture: str, valid: Sequence[str]) -> Sequence[str]:
    """What a network starts from where nothing is said: what the paper says, or what was published of it."""
    usual = {*_PAPER, *published_pretraining(architecture)}
    return [word for word in valid if word in usual] or valid


def with_settings(grid: Grid, changes: Changes) -> Grid:
    """Make the same grid with further settings, but for cells whose own recipe says otherwise."""
    return replace(grid, recipe=merge(changes, grid.recipe))


def with_seeds(grid: Grid, seeds: int, pretrainings: int | None = None) -> Grid:
    """Make the same grid at so many seeds, from so many pretrainings instead of those that it names.

    Raises:
        InputError: There are none, or more than anybody can mean.
    """
    cells = dict.fromkeys(
        cell.at(seed, cell.pretraining_seed if pretrainings is None else before)
        for seed, before in seeds_from(0, seeds, 1 if pretrainings is None else pretrainings)
        for cell in grid.cells
    )
    return replace(grid, cells=tuple(cells))

from __future__ import annotations

import pytest
import yaml

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.study.grid import Grid, read_grid, with_seeds, with_settings


def write(folder, **content):
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_an_entry_stands_for_every_combination_that_exists(tmp_path):
    grid = read_grid(
        write(
            tmp_path,
            dataset=["ucf101", "hmdb51"],
            cells=[{"architecture": ["i3d", "c3d"], "protocol": ["origin", "full-ft"], "seed": [0, 1]}],
        )
    )
    found = {(c.architecture, c.stream, c.protocol, c.pretraining) for c in grid.cells}
    assert found == {
        *(("i3d", s, "origin", p) for s in ("rgb", "flow") for p in ("none", "imagenet")),
        *(("i3d", s, "full-ft", p) for s in ("rgb", "flow") for p in ("kinetics", "imagenet+kinetics")),
        ("c3d", "rgb", "origin", "none"),
        ("c3d", "rgb", "full-ft", "kinetics"),
    }
    assert len(grid.cells) == len(found) * 2 * 2
    assert len(with_seeds(grid, 3).cells) == len(found) * 2 * 3


def test_the_control_is_a_network_of_its_own(tmp_path):
    entry = {"architecture": "i3d", "protocol": "fixed", "dataset": "ucf101", "stream": "rgb"}
    assert {c.pretraining for c in read_grid(write(tmp_path, cells=[entry])).cells} == {
        "kinetics",
        "imagenet+kinetics",
    }
    asked = read_grid(write(tmp_path, cells=[{**entry, "architecture": "convnet"}]))
    assert [c.pretraining for c in asked.cells] == ["imagenet"]


def seeds_of(grid: Grid, pretraining: str) -> list[tuple[int, int]]:
    return [(c.seed, c.pretraining_seed) for c in grid.cells if c.pretraining == pretraining]


def test_seeds_take_turns_at_the_pretrainings(tmp_path):
    entry = {"architecture": "c3d", "dataset": "ucf101", "protocol": ["origin", "fixed"]}
    grid = read_grid(write(tmp_path, cells=[entry]))
    assert seeds_of(with_seeds(grid, 6, 3), "kinetics") == [(0, 0), (1, 1), (2, 2), (3, 0), (4, 1), (5, 2)]
    assert seeds_of(with_seeds(grid, 1, 3), "kinetics") == [(0, 0), (1, 1), (2, 2)]
    assert seeds_of(with_seeds(grid, 1, 3), "none") == [(0, 0), (1, 0), (2, 0)]
    said = read_grid(write(tmp_path, cells=[entry], seed=[0, 1], pretraining_seed=[2, 3]))
    assert seeds_of(said, "kinetics") == [(0, 2), (0, 3), (1, 2), (1, 3)]
    assert seeds_of(said, "none") == [(0, 0), (1, 0)]
    assert seeds_of(with_seeds(said, 1), "kinetics") == [(0, 2), (0, 3)]


def test_settings_of_the_grid_its_architectures_and_data_sets_add_up(tmp_path):
    grid = read_grid(
        write(
            tmp_path,
            dataset="ucf101",
            cells=[{"architecture": ["i3d", "c3d"], "protocol": "origin", "pretraining": "none"}],
            recipe={"training": {"steps": 10, "batch_size": 4}},
            recipes={
                "c3d": {"training": {"batch_size": 2}},
                "ucf101": {"clips": {"crop": 32}},
                "c3d/ucf101": {"clips": {"crop": 48}},
            },
        )
    )
    by_name = {c.architecture: grid.settings(c) for c in grid.cells}
    assert by_name["i3d"] == {"training": {"steps": 10, "batch_size": 4}, "clips": {"crop": 32}}
    assert by_name["c3d"] == {"training": {"steps": 10, "batch_size": 2}, "clips": {"crop": 48}}


CELL = {"architecture": "i3d", "protocol": "fixed", "dataset": "ucf101"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"dataset": "ucf101"}, "needs a list 'cells'"),
        ({"cells": [{"architecture": "i3d", "protocol": "fixed"}]}, "does not say its dataset"),
        ({"cells": [CELL], "datset": "ucf101"}, "did you mean 'dataset'"),
        ({"cells": [CELL], "recipes": {"i3d/ufc101": {}}}, "did you mean 'ucf101'"),
        (
            {"cells": [CELL], "recipes": {"hmdb51/ucf101": {}}},
            "Unknown architecture, data set, stream or protocol in 'recipes'",
        ),
        ({"cells": [{**CELL, "architecture": {"i3d": 1}}]}, "must be a word"),
        ({"cells": [CELL], "recipes": {"c3": {}}}, "did you mean 'c3d'"),
        ({"cells": [CELL], "recipe": {"trainig": {"steps": 5}}}, "did you mean 'training'"),
        ({"cells": [CELL], "recipes": {"c3d": {"training": {"step": 5}}}}, "did you mean 'training.steps'"),
        ({"cells": [{**CELL, "architecture": "c3"}]}, "did you mean 'c3d'"),
        ({"cells": [{**CELL, "stream": "rbg"}]}, "did you mean 'rgb'"),
        ({"cells": [{**CELL, "pretraining": "kinetic"}]}, "did you mean 'kinetics'"),
        ({"cells": [{**CELL, "split": "one"}]}, "split is 'one'"),
        ({"cells": [{**CELL, "pretraining_seed": -1}]}, "pretraining_seed is -1"),
        ({"cells": ["i3d"]}, "must be a mapping"),
        ({"cells": [{**CELL, "architecture": "c3d", "pretraining": "imagenet"}]}, "exists; see Table 4"),
    ],
)
def test_a_grid_that_is_wrong_is_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_grid(write(tmp_path, **content))


def test_a_missing_grid_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.yaml cannot be read"):
        read_grid(tmp_path / "gone.yaml")
    (tmp_path / "bad.yaml").write_text("cells: [")
    with pytest.raises(InputError, match="is not valid YAML"):
        read_grid(tmp_path / "bad.yaml")


def test_further_settings_hold_for_every_cell_but_those_that_say_their_own():
    cells = [Experiment(name, "rgb", "none", "origin", "ucf101") for name in ("i3d", "c3d")]
    wanted = Grid(tuple(cells), {"training": {"steps": 5}}, {"c3d": {"training": {"precision": "bf16"}}})
    exact = with_settings(wanted, {"training": {"precision": "float32"}})
    assert exact.settings(cells[0])["training"] == {"steps": 5, "precision": "float32"}
    assert exact.settings(cells[1])["training"] == {"steps": 5, "precision": "bf16"}
    said = Grid(tuple(cells), {"training": {"precision": "bf16"}})
    assert with_settings(said, {"training": {"precision": "float32"}}).recipe == said.recipe

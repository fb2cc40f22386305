"""Runs on data sets of one's own: segments come to what the same clips in files of their own do."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import yaml
from numbered import write
from study.test_rerun import FLAGS, PLUGIN, stranger
from tiny import save_untrained

from i3d_lightning.cli.main import main
from i3d_lightning.datasets import DATASETS
from i3d_lightning.errors import InputError
from i3d_lightning.registry import import_plugins
from i3d_lightning.results.runs import collect, load_run
from i3d_lightning.results.scores import Index, scores
from i3d_lightning.study.grid import read_grid
from i3d_lightning.study.planner import load_cell, plan, save_cell
from i3d_lightning.study.workspace import Workspace

FILMS = 6
RUN = "small-rgb/kinetics/fixed/seed0"
EXPERIMENT = ["--import", str(PLUGIN), "experiment", "--architecture=small", "--stream=rgb"]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Films of a red and then a green square, each also as two files, lists of both, and runs on them."""
    folder = tmp_path_factory.mktemp("own") / "home"
    parts = ["path,label,split1,split2,group,start,end"]
    alone = ["path,label,split1,split2,group"]
    for film in range(FILMS):
        random, shots = np.random.default_rng(film), []
        for label, colour in enumerate(("Red", "Green")):
            frames = np.full((12, 32, 40, 3), 110, np.uint8) + random.integers(
                0, 30, (12, 32, 40, 1), np.uint8
            )
            frames[:, 8:20, 4 + film : 16 + film, label] = 220
            shots.append(frames)
            split = ",".join("test" if film // 2 == tested else "train" for tested in (0, 1))
            begin = 0.48 * label
            parts.append(f"films/{film}.mkv,{colour},{split},{film},{begin},{begin + 0.48}")
            alone.append(f"shots/{film}-{colour}.mkv,{colour},{split},{film}")
            save(folder / f"shots/{film}-{colour}.mkv", frames)
        save(folder / f"films/{film}.mkv", np.concatenate(shots))
    (folder / "parts.csv").write_text("\n".join(parts))
    (folder / "alone.csv").write_text("\n".join(alone))
    with stranger(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        import_plugins([str(PLUGIN)])
        save_untrained(folder / "w.safetensors", "small")
        for name in ("parts", "alone"):
            main([*EXPERIMENT, "--protocol=fixed", f"--dataset={name}.csv", "--split=1,2",
                  "--weights=w.safetensors", *(f for f in FLAGS if "flip" not in f)])  # fmt: skip
    return folder


def save(path: Path, frames: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, list(frames), "ffv1", "bgr0", Fraction(25), None, {}, {})


@pytest.fixture
def home(made, monkeypatch):
    monkeypatch.chdir(made)
    with stranger():
        yield made
    shutil.rmtree(made / "runs" / "rerun", ignore_errors=True)


@pytest.mark.parametrize("split", [1, 2])
def test_segments_come_to_what_files_of_their_own_do(home, split):
    parts, alone = (load_run(home / "runs" / f"{name}-{split}" / RUN) for name in ("parts", "alone"))
    tested = (2 * (split - 1), 2 * (split - 1) + 1)
    assert parts.predictions.ids == tuple(
        f"films/{film}.mkv#t={times}" for film in tested for times in ("0,0.48", "0.48,0.96")
    )
    assert parts.predictions.groups == alone.predictions.groups == tuple(str(f) for f in tested for _ in "ab")
    np.testing.assert_array_equal(parts.predictions.logits, alone.predictions.logits)
    assert np.ptp(parts.predictions.logits) > 0.1
    assert parts.metrics["data"] != alone.metrics["data"]


def test_a_run_is_repeated_where_nobody_knows_its_data_set(home, capsys):
    assert "parts" not in DATASETS
    main(["rerun", f"parts-2/{RUN}"])
    assert "Equal: all 4 predictions bit for bit" in capsys.readouterr().out
    assert "parts" in DATASETS


def test_a_list_that_was_moved_is_asked_for(home, capsys):
    """It may be moved with its videos, or lie in a folder of lists apart from them."""
    ask = ["rerun", f"parts-1/{RUN}", "--dry_run=true"]
    (home / "moved" / "lists").mkdir(parents=True)
    for name in ("parts.csv", "films"):
        shutil.move(home / name, home / "moved" / name)
    try:
        with pytest.raises(SystemExit):
            main(ask)
        assert (
            "which parts was made of, is gone: bring it back, or say with --dataset PATH"
            in capsys.readouterr().err
        )
        main([*ask, "--root=moved"])
        shutil.move(home / "moved" / "parts.csv", home / "moved" / "lists" / "v2.csv")
        del DATASETS._known["parts"]
        with pytest.raises(SystemExit):
            main([*ask, "--root=moved"])
        assert (
            "is gone, and not in moved: bring it back, or say with --dataset PATH" in capsys.readouterr().err
        )
        main([*ask, "--root=moved", "--dataset=moved/lists/v2.csv"])
        assert capsys.readouterr().out.count("can be repeated") == 1
    finally:
        shutil.move(home / "moved" / "lists" / "v2.csv", home / "parts.csv")
        shutil.move(home / "moved" / "films", home / "films")
        shutil.rmtree(home / "moved")


def test_a_list_that_was_changed_is_never_averaged_with_what_it_was(home, capsys, caplog):
    """Between its splits, so that no split was run on both; and what was run on it is not run again."""
    before = (home / "parts.csv").read_text()
    argv = [*EXPERIMENT, "--protocol=fixed", "--dataset=parts.csv", "--weights=w.safetensors",
            "--name=changed", *(f for f in FLAGS if "flip" not in f)]  # fmt: skip
    shutil.copytree(home / "runs" / "parts-1", home / "runs" / "changed" / "parts-1")
    try:
        (home / "parts.csv").write_text(
            before.replace("Red", "?").replace("Green", "Red").replace("?", "Green")
        )
        main([*argv, "--split=2"])
        with pytest.raises(SystemExit):
            main([*argv, "--split=1"])
        said = capsys.readouterr().err
        assert "holds a run with other settings (data was" in said and "; list was" in said
        with pytest.raises(SystemExit):
            main(["rerun", f"parts-2/{RUN}", "--dry_run=true"])
        assert "is not what parts-2/small-rgb/kinetics/fixed/seed0 saw" in capsys.readouterr().err
    finally:
        (home / "parts.csv").write_text(before)
        found = scores(collect(home / "runs" / "changed"))
        shutil.rmtree(home / "runs" / "changed")
    assert {s.experiment.split for s in found} == {1, 2}
    assert [summary.splits for summary in Index(found)] == [(1,)]
    assert "parts-2/small-rgb/kinetics/fixed/seed0 was run with another list than parts-1/" in caplog.text
    unchanged = scores(r for r in collect(home / "runs") if r.experiment.dataset == "parts")
    assert [summary.splits for summary in Index(unchanged)] == [(1,), (2,), (1, 2)]


def test_a_planned_cell_is_loaded_where_nobody_knows_its_data_set(home, caplog):
    space = Workspace(home / "runs", home / "cache")
    import_plugins([str(PLUGIN)])
    grid = {
        "dataset": ["mine=parts.csv"],
        "cells": [{"architecture": "small", "stream": "rgb", "protocol": "origin", "pretraining": "none"}],
        "recipes": {"mine": {"clips": {"flip": False}}},
    }
    (home / "grid.yaml").write_text(yaml.safe_dump(grid))
    wanted = read_grid(home / "grid.yaml")
    (cell,) = plan(wanted.cells, space, settings=wanted.settings).cells.values()
    assert (cell.experiment.dataset, cell.root, cell.recipe.clips.flip) == ("mine", home, False)
    save_cell(cell, space, [str(PLUGIN)], home / "cell.json")
    del DATASETS._known["mine"]
    loaded, place = load_cell(json.loads((home / "cell.json").read_text()))
    assert (loaded, place) == (cell, space)
    assert DATASETS["mine"].splits == (1, 2)


def test_what_only_the_user_knows_is_asked_for_before_training_alone(home, capsys):
    flags = [f for f in FLAGS if "flip" not in f]
    for dataset in ("parts.csv", "clips=parts.csv"):
        with pytest.raises(SystemExit):
            main([*EXPERIMENT, "--protocol=origin", f"--dataset={dataset}", *flags])
        said = capsys.readouterr().err.splitlines()[-1]
        assert "whether a video flipped from left to right keeps its label: say --recipe.clips.flip" in said
    with pytest.raises(InputError, match=r"recipe: {clips: {flip: false}}"):
        from i3d_lightning.experiment import Experiment

        plan(
            [Experiment("small", "rgb", "none", "origin", "parts")], Workspace(home / "runs", home / "cache")
        )
    main([*EXPERIMENT, "--protocol=origin", "--dataset=parts.csv", "--recipe.clips.flip=true", *flags])
    config = yaml.safe_load((home / "runs/parts-1/small-rgb/none/origin/seed0/config.yaml").read_text())
    assert (config["recipe"]["clips"]["flip"], config["source"]) == (True, str(home / "parts.csv"))

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny import TINY, recipe_flags

from i3d_lightning.cli import experiments
from i3d_lightning.cli.main import main
from i3d_lightning.datasets import DATASETS
from i3d_lightning.protocols.base import PROTOCOLS
from i3d_lightning.recipe import merge
from i3d_lightning.results.runs import collect

CONTROL = "tiny-ucf101-1/convnet-rgb"


@pytest.fixture
def family(tiny_ucf, tmp_path, monkeypatch):
    """Tiny images and tiny videos, the ones of which pretrain for the others."""
    random = np.random.default_rng(0)
    for part, label, number in np.ndindex(2, 3, 4):
        folder = tmp_path / "images" / ("train", "val")[part] / f"class{label}"
        folder.mkdir(parents=True, exist_ok=True)
        image = random.integers(0, 80, (32, 40, 3), dtype=np.uint8)
        image[..., label] += 150
        cv2.imwrite(str(folder / f"{number}.png"), image)
    for name, root in (("imagenet", tmp_path / "images"), ("ucf101", tiny_ucf)):
        made = replace(DATASETS[name], name=f"tiny-{name}", family="tiny", root=root)
        monkeypatch.setitem(DATASETS._known, made.name, made)
    monkeypatch.chdir(tmp_path)


def run_control(*flags: str) -> list[dict]:
    """Run the control from pretraining on tiny images; its results."""
    changes = merge(TINY, {"clips": {"train_frames": 1}, "training": {"steps": 2, "stages": [[1, 0.1]]}})
    main([
        "experiment", "--protocol=fixed", "--architecture=convnet", "--dataset=tiny-ucf101",
        *recipe_flags(changes), *flags,
    ])  # fmt: skip
    return [run.metrics for run in collect(Path("runs"))]


@pytest.fixture
def short_pretraining(monkeypatch):
    """Pretraining that is run first takes over little of an experiment's settings: here all of them."""
    monkeypatch.setattr(experiments, "_shared", lambda changes: changes)


def test_each_pretraining_is_run_and_those_that_are_there_are_not_run_again(
    family, short_pretraining, monkeypatch, capsys
):
    real = PROTOCOLS["fixed"]

    def break_off(job):
        if job.experiment.pretraining_seed:
            raise RuntimeError("the power failed")
        return real.run(job)

    with monkeypatch.context() as broken:
        broken.setitem(PROTOCOLS._known, "fixed", replace(real, run=break_off))
        with pytest.raises(SystemExit):
            run_control("--pretraining_seeds=2")
    origin = replace(PROTOCOLS["origin"], run=lambda job: pytest.fail("it was pretrained again"))
    monkeypatch.setitem(PROTOCOLS._known, "origin", origin)

    found = run_control("--pretraining_seeds=2", "--seeds=3")
    by_name = {Path(*run.folder.parts[1:]).as_posix(): run for run in collect(Path("runs"))}
    assert list(by_name) == [
        "tiny-imagenet-1/convnet-rgb/none/origin/seed0",
        "tiny-imagenet-1/convnet-rgb/none/origin/seed1",
        f"{CONTROL}/imagenet/fixed/seed0",
        f"{CONTROL}/imagenet/fixed/seed2",
        f"{CONTROL}/imagenet-seed1/fixed/seed1",
    ]
    first, second, zero, two, one = by_name.values()
    made, other = first.metrics["weights_sha256"], second.metrics["weights_sha256"]
    assert made != other
    assert [run.metrics["weights"]["sha256"] for run in (zero, two, one)] == [made, made, other]
    assert not np.array_equal(zero.predictions.logits, one.predictions.logits)
    assert [run.metrics["settings"] for run in (two, one)] == [zero.metrics["settings"]] * 2
    assert one.metrics["experiment"]["pretraining_seed"] == 1

    capsys.readouterr()
    names = [f"{CONTROL}/imagenet/fixed/seed0", f"{CONTROL}/imagenet-seed1/fixed/seed1"]
    main(["compare", *names, "--json"])
    assert json.loads(capsys.readouterr().out)["videos"] == 8

    fixed = replace(real, run=lambda job: pytest.fail("it was run again"))
    monkeypatch.setitem(PROTOCOLS._known, "fixed", fixed)
    assert run_control("--pretraining_seeds=2", "--seeds=3") == found


def cells_of(monkeypatch, *argv: str) -> list[str]:
    """The experiments that a command line stands for, which are not run."""
    asked: list[str] = []
    monkeypatch.setattr(experiments, "_run", lambda cells, *_: asked.extend(cell.name for cell in cells))
    main(list(argv))
    return asked


def test_pretrain_makes_what_pretraining_of_its_seed_is(monkeypatch):
    kinetics = ("pretrain", "--stream=rgb", "--seed=1")
    assert cells_of(monkeypatch, *kinetics) == ["demo-kinetics-1/i3d-rgb/none/origin/seed1"]
    assert cells_of(monkeypatch, *kinetics, "--pretraining=imagenet") == [
        "demo-kinetics-1/i3d-rgb/imagenet-seed1/origin/seed1"
    ]


def test_seeds_share_pretrainings_in_turn(monkeypatch):
    argv = ("experiment", "--dataset=ucf101", "--stream=rgb", "--pretraining_seeds=3")
    assert cells_of(monkeypatch, *argv, "--protocol=full-ft", "--seeds=4") == [
        "ucf101-1/i3d-rgb/kinetics/full-ft/seed0",
        "ucf101-1/i3d-rgb/kinetics-seed1/full-ft/seed1",
        "ucf101-1/i3d-rgb/kinetics-seed2/full-ft/seed2",
        "ucf101-1/i3d-rgb/kinetics/full-ft/seed3",
    ]
    assert cells_of(monkeypatch, *argv, "--protocol=origin") == [
        f"ucf101-1/i3d-rgb/none/origin/seed{seed}" for seed in range(3)
    ]


def test_a_grid_is_run_from_several_pretrainings(tmp_path, capsys):
    grid = tmp_path / "grid.yaml"
    grid.write_text("cells: [{architecture: c3d, protocol: [origin, fixed], dataset: demo-ucf101}]")
    main(["grid", str(grid), "--pretraining_seeds=2", "--dry_run=true", f"--runs={tmp_path}"])
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == [
        "demo-kinetics-1/c3d-rgb/none/origin/seed0",
        "demo-kinetics-1/c3d-rgb/none/origin/seed1",
        "demo-ucf101-1/c3d-rgb/kinetics/fixed/seed0",
        "demo-ucf101-1/c3d-rgb/kinetics-seed1/fixed/seed1",
        "demo-ucf101-1/c3d-rgb/none/origin/seed0",
        "demo-ucf101-1/c3d-rgb/none/origin/seed1",
    ]

"""Every file under experiments/ runs: with its own settings, but on the smallest clips and for few steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from tiny import SMALLEST, TINY
from torch._subclasses.fake_tensor import FakeTensorMode

from i3d_lightning import architectures, grid, plan, recipes, runner
from i3d_lightning.cli import main
from i3d_lightning.datasets.demo import DemoSettings, render_demo
from i3d_lightning.plan import Clips, Experiment, Training
from i3d_lightning.results import collect
from i3d_lightning.streams import VideoStream
from i3d_lightning.weights import save_weights

EXPERIMENTS = sorted(Path(__file__).parents[1].glob("experiments/*.yaml"))
GRIDS = [path for path in EXPERIMENTS if "cells" in yaml.safe_load(path.read_text())]
RECIPES = [path for path in EXPERIMENTS if path not in GRIDS]

FEW = DemoSettings(
    pretraining_clips=1, validation_clips=1, images=2, validation_images=1,
    groups=4, training_groups=2, clips_per_group=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Path:
    """The demo sets with a clip a class, which are also data sets in the layouts of the real ones."""
    root = tmp_path_factory.mktemp("few")
    render_demo(root, FEW)
    return root


@pytest.fixture
def smallest(few, tmp_path, monkeypatch):
    """Recipes keep what they say of optimiser, schedule and loss, on the smallest clips for two steps."""
    real = recipes.recipe_for

    def shrunk(experiment, changes):
        recipe = real(experiment, changes)
        training = {**TINY["training"], "steps": 2, "batch_size": 4, "device_batch": 2}
        clips = {**TINY["clips"], **SMALLEST[experiment.architecture]}
        return plan.compose(recipe, {"clips": clips, "flow": TINY["flow"], "training": training})

    monkeypatch.setattr(recipes, "recipe_for", shrunk)
    monkeypatch.setattr(runner, "recipe_for", shrunk)
    monkeypatch.setattr(runner, "render_demo", lambda root: render_demo(root, FEW))
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/demo").symlink_to(few)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Weights of an untrained RGB I3D that claim Kinetics."""
    path = tmp_path_factory.mktemp("weights") / "kinetics.safetensors"
    torch.manual_seed(0)
    save_weights(
        path, architectures.spec("i3d").network(4, "rgb", Training(), Clips()), architecture="i3d",
        stream="rgb", pretraining="kinetics", labels=tuple("abcd"), clips=Clips(),
    )  # fmt: skip
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs(path, few, weights, smallest):
    settings = yaml.safe_load(path.read_text())
    argv = ["experiment" if "protocol" in settings else "pretrain", "--config", str(path)]
    dataset = settings.get("dataset", "demo")
    if not plan.is_demo(dataset) and dataset != "demo":
        argv += ["--root", str(few / dataset)]
    if path.stem in ("demo-origin", "demo-full-ft"):  # demo-fixed runs both streams
        argv += ["--stream", "rgb"]
    if "weights" in settings:
        argv += ["--weights", str(weights)]
    main(argv)
    found = {run.experiment for run in collect(Path("runs"))}
    wanted = dataset if dataset != "demo" else "demo-hmdb51"
    assert {cell.split for cell in found if cell.dataset == wanted} == {
        int(split) for split in str(settings.get("split", 1)).split(",")
    }


def _run(path: Path, few: Path, architectures: tuple[str, ...]) -> None:
    described = grid.read_grid(path)
    names = {c.architecture for c in described.cells} & set(architectures)
    # of each architecture the cell with the longest way to it
    cells = [
        max((c for c in described.cells if c.architecture == name), key=_steps) for name in sorted(names)
    ]
    roots = {name: few / name for name in ("ucf101", "hmdb51", "kinetics", "imagenet")}
    overview = grid.run_grid(grid.Grid(tuple(cells)), runner.Workspace(), roots)
    assert overview.failed == {}
    assert {c.architecture for c in cells} <= {run.experiment.architecture for run in overview.done}


def _steps(cell: Experiment) -> int:
    before = runner.pretraining_run(cell)
    return 0 if before is None else 1 + _steps(before)


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_a_grid_runs_the_longest_way_of_i3d(path, few, smallest):
    _run(path, few, ("i3d",))


@pytest.mark.slow
@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_a_grid_runs_the_longest_way_of_each_architecture(path, few, smallest):
    _run(path, few, plan.PAPER)


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_every_cell_of_a_grid_can_be_built(path):
    described = grid.read_grid(path)
    kinds = {}
    for cell in grid.ordered(described.cells, ("ucf101", "hmdb51", "kinetics", "imagenet")):
        kinds[cell.architecture, cell.stream] = cell, recipes.recipe_for(cell, described.changes(cell))
    for cell, recipe in kinds.values():
        with FakeTensorMode():  # 80 million parameters need not be drawn
            assert architectures.build(cell, 10, recipe).classifier is not None


@pytest.mark.parametrize("path", [p for p in RECIPES if not p.stem.startswith("demo")], ids=lambda p: p.stem)
def test_a_written_recipe_says_what_its_data_set_gets_by_default(path):
    settings = yaml.safe_load(path.read_text())
    architecture = "convnet" if settings["dataset"] == "imagenet" else "i3d"
    protocol = settings.get("protocol", "origin")
    pretraining = "none" if protocol == "origin" else "kinetics"
    cell = Experiment(architecture, settings.get("stream", "rgb"), pretraining, protocol, settings["dataset"])
    assert plan.plain(recipes.recipe_for(cell, settings.get("recipe", {}))) == plan.plain(
        recipes.recipe_for(cell, {})
    )


def test_the_learning_rate_keeps_to_its_stages():
    training = Training(
        learning_rate=0.1, reference_batch=96, schedule="stages", stages=((2, 0.1), (3, 0.01), (5, 1.0))
    )
    cell = Experiment("i3d", "rgb", "none", "origin", "kinetics")
    stream = VideoStream(architectures.build(cell, 2, plan.Recipe()), 2, training, 0)
    (optimizer,), (entry,) = stream.configure_optimizers()
    assert entry["interval"] == "step"
    rates = []
    for _ in range(7):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        entry["scheduler"].step()
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.001, 0.001, 0.1, 0.1])


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.025), ("adamw", 0.05)])
def test_the_learning_rate_is_scaled_with_the_batch(optimizer, rate):
    training = Training(learning_rate=0.1, reference_batch=384, batch_size=96, optimizer=optimizer)
    assert training.scaled_learning_rate == pytest.approx(rate)

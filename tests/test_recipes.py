"""Every file under experiments/ runs: with its own settings, but on the smallest clips and for few steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tiny import SMALLEST, TINY, save_untrained
from torch._subclasses.fake_tensor import FakeTensorMode

from i3d_lightning import networks
from i3d_lightning.cli.main import main
from i3d_lightning.datasets import DATASETS, ucf10
from i3d_lightning.datasets.ucf101 import read_ucf101
from i3d_lightning.demo import DemoSettings, render_demo
from i3d_lightning.experiment import Experiment
from i3d_lightning.launch import LAUNCHERS
from i3d_lightning.recipe import Recipe, Training, compose, plain
from i3d_lightning.results.runs import collect
from i3d_lightning.study import planner
from i3d_lightning.study.grid import read_grid
from i3d_lightning.study.planner import plan, pretraining_of
from i3d_lightning.study.recipes import recipe_for
from i3d_lightning.study.sweep import read_sweep
from i3d_lightning.study.workspace import Workspace
from i3d_lightning.training.streams import VideoStream

EXPERIMENTS = sorted(Path(__file__).parents[1].glob("experiments/*.yaml"))
GRIDS = [path for path in EXPERIMENTS if "cells" in yaml.safe_load(path.read_text())]
RECIPES = [path for path in EXPERIMENTS if path not in GRIDS]
SWEEPS = [path for path in GRIDS if "sweep" in yaml.safe_load(path.read_text())]

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

    def shrunk(experiment, changes, expected):
        recipe, differences = recipe_for(experiment, changes, expected)
        training = {**TINY["training"], "steps": 2, "batch_size": 4, "device_batch": 2}
        clips = {**TINY["clips"], **SMALLEST[experiment.architecture]}
        return compose(recipe, {"clips": clips, "flow": TINY["flow"], "training": training}), differences

    monkeypatch.setattr(planner, "recipe_for", shrunk)
    split = read_ucf101(few / "ucf101", 1)
    listed = tuple(video.id for video in (*split.train, *split.test))
    monkeypatch.setattr(ucf10, "listed", lambda: listed)
    for dataset in list(DATASETS):
        if dataset.family == "demo":
            small = replace(dataset, prepare=lambda root: render_demo(root, FEW))
            monkeypatch.setitem(DATASETS._known, dataset.name, small)
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/demo").symlink_to(few)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Weights of an untrained RGB I3D that claim Kinetics."""
    return save_untrained(tmp_path_factory.mktemp("weights") / "kinetics.safetensors")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs(path, few, weights, smallest):
    settings = yaml.safe_load(path.read_text())
    argv = ["experiment" if "protocol" in settings else "pretrain", "--config", str(path)]
    dataset = settings.get("dataset", "demo")
    if dataset != "demo" and DATASETS[dataset].family != "demo":
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
    described = read_grid(path)
    names = {c.architecture for c in described.cells} & set(architectures)
    # of each architecture the cell with the longest way to it
    cells = [
        max((c for c in described.cells if c.architecture == name), key=_steps) for name in sorted(names)
    ]
    roots = {name: few / name for name in ("ucf101", "hmdb51", "kinetics", "imagenet")}
    roots["ucf10"] = few / "ucf101"
    space = Workspace()
    overview = LAUNCHERS["local"](plan(cells, space, roots=roots), space)
    assert overview.failed == {}
    assert {c.architecture for c in cells} <= {run.experiment.architecture for run in overview.done}


def _steps(cell: Experiment) -> int:
    before = pretraining_of(cell)
    return 0 if before is None else 1 + _steps(before)


@pytest.mark.parametrize("path", [path for path in GRIDS if path not in SWEEPS], ids=lambda path: path.stem)
def test_a_grid_runs_the_longest_way_of_i3d(path, few, smallest):
    _run(path, few, ("i3d",))


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in GRIDS if path not in SWEEPS], ids=lambda path: path.stem)
def test_a_grid_runs_the_longest_way_of_each_architecture(path, few, smallest):
    _run(path, few, tuple(a.name for a in networks.paper()))


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_every_cell_of_a_grid_can_be_built(path):
    described = read_sweep(path).grid if path in SWEEPS else read_grid(path)
    planned = plan(described.cells, Workspace(), settings=described.settings, dry=True)
    kinds = {(c.experiment.architecture, c.experiment.stream): c for c in planned.cells.values()}
    for cell in kinds.values():
        with FakeTensorMode():  # 80 million parameters need not be drawn
            assert networks.build(cell.experiment, 10, cell.recipe).classifier is not None


@pytest.mark.parametrize("path", [p for p in RECIPES if not p.stem.startswith("demo")], ids=lambda p: p.stem)
def test_a_written_recipe_says_what_its_data_set_gets_by_default(path):
    settings = yaml.safe_load(path.read_text())
    architecture = "convnet" if settings["dataset"] == "imagenet" else "i3d"
    protocol = settings.get("protocol", "origin")
    pretraining = "none" if protocol == "origin" else "kinetics"
    cell = Experiment(architecture, settings.get("stream", "rgb"), pretraining, protocol, settings["dataset"])
    assert plain(recipe_for(cell, settings.get("recipe", {}))) == plain(recipe_for(cell, {}))


def test_the_sweep_of_ucf10_is_of_what_is_run_on_it():
    folder = EXPERIMENTS[0].parent
    sweep, grid = read_sweep(folder / "ucf10-sweep.yaml"), read_grid(folder / "ucf10-laptop.yaml")
    assert set(sweep.grid.cells) <= set(grid.cells)
    rates = {float(combination["training.learning_rate"]) for combination in sweep.settings.values()}
    for cell in sweep.grid.cells:
        tried, run = (
            compose(Recipe(), changes) for changes in (sweep.grid.settings(cell), grid.settings(cell))
        )
        chosen = run.training.learning_rate
        assert cell.protocol == "fixed" or chosen in rates
        assert compose(tried, {"training": {"learning_rate": chosen}, "flow": plain(run.flow)}) == run


def test_the_learning_rate_keeps_to_its_stages():
    training = Training(
        learning_rate=0.1, reference_batch=96, schedule="stages", stages=((2, 0.1), (3, 0.01), (5, 1.0))
    )
    cell = Experiment("i3d", "rgb", "none", "origin", "kinetics")
    recipe = Recipe(training=training)
    stream = VideoStream(networks.build(cell, 2, recipe), 2, recipe, 0)
    (optimizer,), (entry,) = stream.configure_optimizers()
    assert entry["interval"] == "step"
    rates = []
    for _ in range(7):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        entry["scheduler"].step()
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.001, 0.001, 0.1, 0.1])

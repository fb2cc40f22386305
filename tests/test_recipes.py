"""Every file under experiments/ runs: with its own settings, but on the smallest clips and for few steps."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tiny import SMALLEST, TINY, save_untrained

from i3d_lightning import networks
from i3d_lightning.cli.main import main
from i3d_lightning.datasets import DATASETS, ucf10
from i3d_lightning.datasets.demo import TARGETS
from i3d_lightning.datasets.ucf101 import read_ucf101
from i3d_lightning.demo import DemoSettings, render_demo
from i3d_lightning.experiment import FUSION, Experiment
from i3d_lightning.launch import LAUNCHERS
from i3d_lightning.networks.registry import unallocated
from i3d_lightning.recipe import Recipe, Training, compose, merge, plain
from i3d_lightning.results.runs import collect
from i3d_lightning.study import planner
from i3d_lightning.study.cells import pretraining_of
from i3d_lightning.study.grid import read_grid
from i3d_lightning.study.planner import plan
from i3d_lightning.study.recipes import recipe_for
from i3d_lightning.study.sweep import read_sweep
from i3d_lightning.study.workspace import Workspace
from i3d_lightning.training.streams import VideoStream

EXPERIMENTS = sorted(Path(__file__).parents[1].glob("experiments/*.yaml"))
CONTENTS = {path: yaml.safe_load(path.read_text()) for path in EXPERIMENTS}
SWEEPS = [path for path, content in CONTENTS.items() if "sweep" in content]
GRIDS = [path for path, content in CONTENTS.items() if "cells" in content and path not in SWEEPS]
RECIPES = [path for path in EXPERIMENTS if path not in (*GRIDS, *SWEEPS)]
WHOLE = [path for path in RECIPES if path.stem in ("ucf101-full-ft", "hmdb51-full-ft")]
"""Recipes that hold every setting."""

FEW = DemoSettings(
    pretraining_clips=2, validation_clips=1, images=2, validation_images=1,
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
        few = {"steps": 2, "stages": [[1, 0.1]], "batch_size": 4, "reference_batch": 4, "device_batch": 2}
        training = {**TINY["training"], **few}
        clips = {**TINY["clips"], **SMALLEST[experiment.architecture]}
        return compose(recipe, {"clips": clips, "flow": TINY["flow"], "training": training}), differences

    monkeypatch.setattr(planner, "recipe_for", shrunk)
    split = read_ucf101(few / "ucf101", 1)
    listed = tuple(video.id for video in (*split.train, *split.test))
    monkeypatch.setattr(ucf10, "listed", lambda: listed)
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


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.slow] * (path.stem in ("demo-tables", "table4", "table5")))
        for path in GRIDS
    ],
    ids=[path.stem for path in GRIDS],
)
def test_a_grid_runs_the_longest_way_of_i3d_and_the_control(path, few, smallest):
    _run(path, few, ("i3d", "convnet"))


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in GRIDS if path not in SWEEPS], ids=lambda path: path.stem)
def test_a_grid_runs_the_longest_way_of_each_architecture(path, few, smallest):
    _run(path, few, tuple(a.name for a in networks.paper()))


@pytest.mark.parametrize("path", [*GRIDS, *SWEEPS], ids=lambda path: path.stem)
def test_every_cell_of_a_grid_or_sweep_can_be_built(path):
    """With its pretraining, and with each setting of a sweep."""
    described = read_sweep(path).grid if path in SWEEPS else read_grid(path)
    planned = plan(described.cells, Workspace(), settings=described.settings, dry=True)
    if path in SWEEPS:
        roots = {name: Path() for name in ("ucf101", "hmdb51", "kinetics")}
        for tried in read_sweep(path).settings.values():
            plan(described.cells, Workspace(), roots=roots, settings=_also(described, tried), dry=True)
    kinds = {(c.experiment.architecture, c.experiment.stream): c for c in planned.cells.values()}
    for cell in kinds.values():
        with unallocated():  # 80 million parameters need not be drawn
            assert networks.build(cell.experiment, 10, cell.recipe).classifier is not None


def _also(described, tried):
    """The settings of a sweep's grid with those that are tried."""
    changes = [{part: {name: value}} for key, value in tried.items() for part, name in [key.split(".")]]
    return lambda cell: merge(described.settings(cell), *(changes if cell in described.cells else ()))


@pytest.mark.parametrize("path", [p for p in RECIPES if not p.stem.startswith("demo")], ids=lambda p: p.stem)
def test_a_written_recipe_says_what_its_data_set_gets_by_default(path):
    settings = yaml.safe_load(path.read_text())
    architecture = settings.get("architecture", "convnet" if settings["dataset"] == "imagenet" else "i3d")
    protocol = settings.get("protocol", "origin")
    pretraining = "none" if protocol == "origin" else "kinetics"
    cell = Experiment(architecture, settings.get("stream", "rgb"), pretraining, protocol, settings["dataset"])
    assert plain(recipe_for(cell, settings.get("recipe", {}))) == plain(recipe_for(cell, {}))


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_a_whole_recipe_takes_nothing_from_elsewhere(path, stream, monkeypatch):
    """Every setting is written: other defaults of package, network and data set change nothing."""
    said = CONTENTS[path]
    cell = Experiment("i3d", stream, "kinetics", "full-ft", said["dataset"])
    before, _ = recipe_for(cell, said["recipe"])
    assert said["recipe"] == {
        part: {name: plain(value) for name, value in vars(settings).items()}
        for part, settings in vars(before).items()
    }
    other = {
        "clips": {"train_frames": 32, "test_frames": 100, "short_side": 240, "flip": False},
        "flow": {"bound": 15.0, "scales": 3, "source": "computed"},
        "training": {
            "steps": 40, "validate_every": 10, "stages": [[5, 0.5]], "validation_fraction": 0.1,
            "patience": 5, "learning_rate": 1.0, "optimizer": "adamw", "batch_size": 32,
            "reference_batch": 32, "batchnorm_momentum": 0.1, "dropout": 0.1, "momentum": 0.0,
            "weight_decay": 0.1, "first_layer": "new", "precision": "float32", "schedule": "plateau",
        },
    }  # fmt: skip
    network, data = networks.ARCHITECTURES["i3d"], DATASETS[said["dataset"]]
    shrunk = replace(network, clips=replace(network.clips, crop=112), device_batch=3)
    monkeypatch.setitem(networks.ARCHITECTURES._known, "i3d", shrunk)
    monkeypatch.setitem(DATASETS._known, data.name, replace(data, recipe=other))
    assert recipe_for(cell, {})[0] != before
    assert recipe_for(cell, said["recipe"])[0] == before


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_a_sweep_chooses_the_rate_of_the_recipe_beside_it(path):
    recipe, sweep = CONTENTS[path]["recipe"], CONTENTS[path.with_name(f"{path.stem}-sweep.yaml")]
    rates = sweep["sweep"]["training.learning_rate"]
    assert recipe["training"].pop("learning_rate") in rates
    assert "recipe" not in sweep  # which pretraining would take over, where it is run first
    assert sweep["recipes"] == {CONTENTS[path]["dataset"]: recipe}
    assert {cell["split"] for cell in sweep["cells"]} == {1}
    assert 0 < sweep["hold_out"] < 0.5


@pytest.mark.parametrize(
    ("sweep", "stream", "datasets"), [("ucf10", "rgb", ("ucf10",)), ("demo", FUSION, TARGETS)]
)
def test_recipes_are_what_their_stored_sweep_chose(sweep, stream, datasets):
    folder = EXPERIMENTS[0].parent
    said = read_grid(folder / "ucf10-laptop.yaml").settings if sweep == "ucf10" else lambda cell: {}
    with (folder / f"{sweep}-sweep.csv").open() as file:
        best = {
            tuple(r["cell"].split()[:4]): r["setting"] for r in csv.DictReader(file) if r["best"] == "True"
        }
    for start, protocol in (("none", "origin"), ("kinetics", "full-ft")):
        chosen = dict(setting.split("=") for setting in best["i3d", stream, start, protocol].split(","))
        for dataset in datasets:
            cell = Experiment("i3d", "rgb", start, protocol, dataset)
            training = recipe_for(cell, said(cell))[0].training
            for setting, value in chosen.items():
                assert getattr(training, setting.removeprefix("training.")) == float(value)


@pytest.mark.parametrize(
    ("architecture", "stream", "steps", "rates"),
    [
        ("i3d", "rgb", 115_000, "stages"),
        ("i3d", "flow", 155_000, "stages"),
        ("convnet-lstm", "rgb", 110_000, "plateau"),
        ("c3d", "rgb", 110_000, "plateau"),
        ("two-stream", "joint", 110_000, "plateau"),
        ("fused-3d", "flow", 110_000, "plateau"),
    ],
)
def test_on_kinetics_only_i3d_has_the_schedules_of_the_released_weights(architecture, stream, steps, rates):
    training = recipe_for(Experiment(architecture, stream, "none", "origin", "kinetics"), {})[0].training
    assert (training.steps, training.schedule) == (steps, rates)
    assert (training.validation_fraction > 0) == (rates == "plateau")
    assert training.stages[-1][0] < steps
    assert training.batchnorm_momentum == 0.001


@pytest.mark.parametrize("dataset", ["ucf101", "kinetics"])
def test_networks_that_normalise_over_the_batch_alone_hold_more_of_it_at_once(dataset):
    """As the paper's 15 do of the 3D-ConvNet (section 2.2); all of them divide a step."""
    held = {}
    for network in networks.paper():
        cell = Experiment(network.name, network.streams[0], "none", "origin", dataset)
        training = recipe_for(cell, {})[0].training
        assert training.batch_size % training.device_batch == 0
        held[network.name] = training.device_batch
    assert held == {"convnet-lstm": 16, "c3d": 16, "two-stream": 6, "fused-3d": 6, "i3d": 6}


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


def test_the_grid_of_networks_is_eight_under_all_protocols_each_pretrained_on_the_same_clips():
    described = read_grid(EXPERIMENTS[0].parent / "networks.yaml")
    names = {cell.architecture for cell in described.cells}
    assert len(names) == 8
    assert {networks.ARCHITECTURES[name].library for name in names} == {"", "torchvision", "pytorchvideo"}
    ways = {("origin", "none"), ("fixed", "kinetics"), ("full-ft", "kinetics")}
    targets = {"demo-ucf101", "demo-hmdb51"}
    assert {(c.architecture, c.dataset, c.protocol, c.pretraining) for c in described.cells} == {
        (name, dataset, *way) for name in names for dataset in targets for way in ways
    }
    planned = plan(described.cells, Workspace(), settings=described.settings, dry=True).cells
    assert len(planned) == len(described.cells) + len(names) == 56
    clips = [(c.experiment.architecture, c.recipe.clips) for c in planned.values()]
    seen = {(name, clip.train_frames, clip.crop, clip.fps) for name, clip in clips}
    assert seen == {(name, 16, 32 if name == "c3d" else 48, 25) for name in names}
    trained = {
        cell.experiment.dataset: cell.recipe.training.course.steps * cell.recipe.training.batch_size
        for cell in planned.values()
    }
    assert trained == {"demo-kinetics": 2240, "demo-ucf101": 480, "demo-hmdb51": 480}


def test_the_learning_rate_keeps_to_its_stages():
    training = Training(learning_rate=0.1, stages=((2, 0.1), (3, 0.01), (5, 1.0)))
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

"""Runs repeated from their folders: on a small network, its own pretraining, and data sets of two colours."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from results.made import predictions, write_run
from tiny import recipe_flags, save_untrained
from videos import CLASSES, write_video

from i3d_lightning import demo, networks, registry
from i3d_lightning.cli.main import main
from i3d_lightning.datasets import DATASETS
from i3d_lightning.experiment import Experiment
from i3d_lightning.protocols.base import PROTOCOLS
from i3d_lightning.results.runs import is_complete
from i3d_lightning.study import environment, rerun
from i3d_lightning.study.workspace import Workspace

PLUGIN = Path(__file__).parents[1] / "chaos" / "small.py"
TARGET = "small-target-1/small"
RUNS = {
    "origin": f"{TARGET}-flow/none/origin/seed3",
    "fixed": f"{TARGET}-rgb/kinetics/fixed/seed0",
    "full-ft": f"{TARGET}-rgb/kinetics/full-ft/seed0",
}
STARTED_FROM = "small-kinetics-1/small-rgb/none/origin/seed0"
FLAGS = [
    *(flag for flag in recipe_flags() if "frames" not in flag and "batch" not in flag),
    *(f"--recipe.training.{name}=2" for name in ("batch_size", "reference_batch", "device_batch")),
]


@contextmanager
def stranger() -> Iterator[None]:
    """A process that does not know the plugin, and forgets it."""
    with pytest.MonkeyPatch.context() as patch:
        for registered in (networks.ARCHITECTURES, DATASETS):
            patch.setattr(registered, "_known", dict(registered._known))
        for name in ("_imported", "_plugins"):
            patch.setattr(registry, name, {})
        patch.setattr(demo, "DemoSettings", demo.DemoSettings)
        patch.setattr(sys, "path", list(sys.path))
        sys.modules.pop("small", None)
        yield
        sys.modules.pop("small", None)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with videos and, below `runs`, a complete run of each protocol."""
    folder = tmp_path_factory.mktemp("made") / "home"
    seed = 0
    for name, train, test in (("target", 4, 2), ("kinetics", 2, 1)):
        for part, count in (("train", train), ("test", test)):
            for label, number in itertools.product((0, 1), range(count)):
                seed += 1
                write_video(folder / name / part / CLASSES[label] / f"{number}.avi", label, seed)
    with stranger(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        small = ["--import", str(PLUGIN)]
        main([*small, "pretrain", "--dataset=small-kinetics", "--architecture=small", "--root=kinetics",
              "--stream=rgb", *FLAGS])  # fmt: skip
        for protocol, name in RUNS.items():
            stream = name.split("/")[1].removeprefix("small-")
            main([*small, "experiment", f"--protocol={protocol}", "--dataset=small-target",
                  "--architecture=small", "--root=target", f"--stream={stream}", f"--seed={name[-1]}",
                  *FLAGS])  # fmt: skip
    return folder


@pytest.fixture
def home(made, monkeypatch) -> Iterator[Path]:
    """That folder, to work in; what a test adds is removed."""
    monkeypatch.chdir(made)
    before = set(made.rglob("*"))
    with stranger():
        yield made
    for path in sorted(set(made.rglob("*")) - before, reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.fixture
def moved(made, tmp_path, monkeypatch) -> Iterator[Path]:
    """The same folder in another place, with nothing left where it was."""
    place = made.rename(tmp_path / "home")
    monkeypatch.chdir(place)
    with stranger():
        yield place
    shutil.rmtree(place / "runs" / "rerun", ignore_errors=True)
    place.rename(made)


def repeat(capsys, *argv: str) -> SimpleNamespace:
    """What `i3d rerun` comes to: its exit status, what it prints, and its last line of errors."""
    capsys.readouterr()
    try:
        main(["rerun", *argv])
        status = 0
    except SystemExit as stop:
        status = stop.code
    said = capsys.readouterr()
    return SimpleNamespace(status=status, out=said.out, error=(said.err.splitlines() or [""])[-1])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("protocol", RUNS)
def test_a_run_comes_out_equal_from_its_folder_alone(protocol, home, capsys):
    """It says its plugin, settings, weights and place of the data; nothing else is reused or changed."""
    (home / "cache").rename(home / "gone")
    first = home / "runs" / RUNS[protocol]
    before = contents(first)
    try:
        done = repeat(capsys, RUNS[protocol])
        assert "Software and machine are those of the first time." in done.out
        assert "Equal: all 4 predictions bit for bit" in done.out
        assert done.status == 0
        assert not (home / "cache").exists()
    finally:
        (home / "gone").rename(home / "cache")
    (again,) = home.glob(f"runs/rerun/*/{RUNS[protocol]}")
    assert again.name == first.name and is_complete(again)
    assert not list(home.glob("runs/rerun/*/cache"))
    assert contents(first) == before


def test_what_is_done_is_not_done_again_and_what_was_interrupted_goes_on(home, capsys, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        patch.setattr(rerun.study_run, "_store", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            main(["rerun", f"runs/{RUNS['origin']}"])
    assert not list(home.glob("runs/rerun/*/*/*/*/*/*/result.json"))
    caplog.set_level("INFO")
    done = repeat(capsys, f"runs/{RUNS['origin']}", "--json")
    assert "Resuming" in caplog.text
    said = json.loads(done.out.splitlines()[-1])
    assert (done.status, said["equal"], said["changed"], said["largest"], said["p"]) == (0, True, 0, 0, 1)
    assert said["differs"] == {} and said["fresh"] and is_complete(Path(said["repeat"]))
    caplog.clear()
    again = repeat(capsys, str(home / "runs" / RUNS["origin"]), "--json")
    assert json.loads(again.out.splitlines()[-1]) == said
    assert "not run again" in caplog.text
    assert len(list(home.glob("runs/rerun/*"))) == 1


def test_what_was_moved_is_asked_for(moved, capsys):
    """But for pretraining, which is found where it was moved to with the runs."""
    run = RUNS["full-ft"]
    assert "target is not a folder: say where small-target is now with --root." in repeat(capsys, run).error
    done = repeat(capsys, run, "--root=target", "--dry_run=true")
    assert (done.status, done.out.splitlines()[-1]) == (0, f"{run} can be repeated.")
    assert not (moved / "runs" / "rerun").exists()
    shutil.move(moved / "runs" / STARTED_FROM, moved / "elsewhere")
    try:
        refused = repeat(capsys, run, "--root=target")
        assert f"started from weights of {STARTED_FROM} (sha256 " in refused.error
        assert refused.error.endswith("say where they are with --weights.") and refused.status == 2
        done = repeat(capsys, run, "--root=target", "--weights=elsewhere/weights.safetensors")
        assert "Equal" in done.out
    finally:
        shutil.move(moved / "elsewhere", moved / "runs" / STARTED_FROM)


def test_other_data_and_other_weights_are_refused(home, tmp_path, capsys):
    run = RUNS["fixed"]
    shutil.copytree("target", tmp_path / "target")
    write_video(tmp_path / "target" / "test" / CLASSES[0] / "0.avi", 0, seed=99)
    refused = repeat(capsys, run, f"--root={tmp_path / 'target'}")
    assert refused.status == 2
    assert f"{tmp_path / 'target'} is not what {run} saw" in refused.error

    weights = save_untrained(tmp_path / "weights.safetensors", "convnet", classes=2)
    refused = repeat(capsys, run, f"--weights={weights}")
    assert refused.status == 2
    assert f"{weights} is not what {run} started from (sha256 " in refused.error
    refused = repeat(capsys, RUNS["origin"], f"--weights={weights}")
    assert f"{RUNS['origin']} started from scratch: drop --weights {weights}." in refused.error
    refused = repeat(capsys, RUNS["origin"], "--flow_images=target")
    assert "read no flow images" in refused.error


def test_other_software_is_named_and_gets_a_repeat_of_its_own(home, capsys, monkeypatch):
    run = RUNS["origin"]

    def place() -> str:
        original = rerun.read(home / "runs" / run)
        return rerun.prepare(original, Workspace(), rerun.Moved(), fresh=True, dry=True).space.name

    before, here = place(), environment.environment()
    other = {**here, "packages": {**here["packages"], "torch": "9.9"}, "devices": ["a GPU"]}
    monkeypatch.setattr(rerun, "environment", lambda: other)
    done = repeat(capsys, run, "--dry_run=true", "--json")
    assert json.loads(done.out)["differs"] == {
        "devices": [["cpu"], ["a GPU"]],
        "packages.torch": [here["packages"]["torch"], "9.9"],
    }
    assert "9.9" in repeat(capsys, run, "--dry_run=true").out
    assert place() != before

    better = replace(PROTOCOLS["origin"], version=PROTOCOLS["origin"].version + 1)
    monkeypatch.setitem(PROTOCOLS._known, "origin", better)
    refused = repeat(capsys, run)
    assert "cannot be repeated with this version of the software" in refused.error
    assert f"protocol was origin, version {better.version - 1}, now origin" in refused.error


def test_what_comes_out_different_is_measured(home, capsys, monkeypatch):
    """By exit status 1, and by how much."""

    def otherwise(job):
        done = PROTOCOLS["full-ft"].run(job)
        logits = done.predictions.logits.copy()
        logits[0] = np.where(np.arange(2) == done.predictions.answers()[0], -3, 3)
        return replace(done, predictions=replace(done.predictions, logits=logits))

    monkeypatch.setitem(PROTOCOLS._known, "fixed", replace(PROTOCOLS["fixed"], run=otherwise))
    done = repeat(capsys, RUNS["fixed"])
    assert done.status == 1
    assert "Different: top-1 " in done.out and " of 4 videos changed their answer" in done.out


def test_a_repeat_is_compared_in_numbers():
    before = predictions([[1, 0], [0, 1], [2, 0], [np.nan, np.nan]], [0, 1, 0, 0])
    now = predictions([[1, 0], [1, 0.5], [2.25, 0], [np.nan, np.nan]], [0, 1, 0, 0])
    same = rerun.compare(before, before, "ucf101")
    assert same.equal and (same.changed, same.largest, same.p) == (0, 0.0, 1.0)
    other = rerun.compare(before, now, "ucf101")
    assert not other.equal
    assert (other.top1, other.changed, other.largest) == ((75.0, 50.0), 1, 1.0)
    assert other.p == pytest.approx(1.0)
    unread = predictions([[np.nan, np.nan], *before.logits[1:]], [0, 1, 0, 0])
    assert not rerun.compare(before, unread, "ucf101").equal
    assert rerun.compare(before, unread, "ucf101").changed == 1


def test_what_cannot_be_repeated_is_refused_in_one_sentence(home, tmp_path, capsys):
    def said(run: Path) -> str:
        done = repeat(capsys, str(run))
        assert done.status == 2
        return done.error

    assert "holds no complete run" in said(tmp_path)
    assert "holds no complete run" in said(Path("runs/no/such/run"))
    earlier = write_run(tmp_path, Experiment("i3d", "rgb", "none", "origin", "ucf101"), 6)
    assert "was made by an earlier version, which did not say all that a repeat needs" in said(earlier)
    copy = tmp_path / RUNS["origin"]
    shutil.copytree(Path("runs") / RUNS["origin"], copy)
    (copy / "environment.json").write_text("{}")
    assert "environment.json is missing or damaged" in said(copy)


def test_a_module_that_is_gone_is_asked_for(made, home, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(rerun, "Path", lambda path: Path(str(path).replace("chaos", "gone")))
    refused = repeat(capsys, RUNS["fixed"])
    assert "small.py, which is gone: say --import and where it is now." in refused.error
    monkeypatch.undo()
    monkeypatch.chdir(made)
    shutil.copy(PLUGIN, tmp_path / "small.py")
    done = repeat(capsys, RUNS["fixed"], "--import", str(tmp_path / "small.py"))
    assert "Equal" in done.out and "Software and machine" in done.out

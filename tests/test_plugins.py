"""What is added from outside the package: a network, a data set, a protocol and a launcher, one file each.

The modules are under tests/plugins/. Everything runs in processes of its own, so that nothing stays
registered here.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from videos import CLASSES, write_video

PLUGINS = Path(__file__).parent / "plugins"
FILES = ("toy_network.py", "toy_dataset.py", "toy_protocol.py", "toy_launcher.py")


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """Random weights in torchvision's names; statistics are random too, so that logits differ."""
    from torchvision.models.video import r2plus1d_18

    torch.manual_seed(0)
    network = r2plus1d_18()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
    path = tmp_path_factory.mktemp("published") / "r2plus1d_18.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("toy-csv")
    rows = []
    for label, name in enumerate(CLASSES):
        for group in range(4):
            path = f"clips/{name}-{group}.avi"
            write_video(root / path, label, seed=10 * label + group)
            part = "train" if group < 3 else "dev"
            rows.append({"path": path, "label": name, "part": part, "group": f"{name}{group}"})
    with (root / "videos.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return root


@pytest.fixture
def i3d(published, tmp_path):
    """The command line in another process, which knows the four modules; gives what it printed."""

    def call(*argv: str, imports: bool = True, path: Path | None = None, check: bool = True) -> str:
        environment = os.environ | {
            "TOY_WEIGHTS": str(published),
            "I3D_CACHE": str(tmp_path / "weights"),
            "WANDB_MODE": "disabled",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *([str(path)] if path else [])]),
        }
        named = [f"--import={PLUGINS / name}" for name in FILES] if imports else []
        done = subprocess.run(
            [sys.executable, "-m", "i3d_lightning", *argv, *named],
            capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=300,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, done.stderr
        return done.stdout if check else done.stderr

    return call


TINY = (
    "--architecture=toy-r2plus1d", "--dataset=toy-csv", "--precision=float32",
    "--recipe.clips.short_side=32", "--recipe.clips.crop=32",
    "--recipe.clips.train_frames=4", "--recipe.clips.test_frames=6",
    "--recipe.training.steps=2", "--recipe.training.validate_every=1", "--recipe.training.batch_size=2",
    "--recipe.training.reference_batch=2", "--recipe.training.stages=[[1, 0.1]]",
    "--recipe.training.workers=0",
)  # fmt: skip


@pytest.mark.slow  # tests/test_docs.py runs those of CONTRIBUTING.md
def test_the_four_go_through_the_command_line_into_the_table(i3d, videos, tmp_path):
    said = i3d("experiment", "--protocol=fixed", f"--root={videos}", "--on=subprocess", "--json", *TINY)
    assert json.loads(said.splitlines()[-1])["run"] == "toy-csv-1/toy-r2plus1d-rgb/kinetics/fixed/seed0"
    said = i3d("experiment", "--protocol=layer-wise", f"--root={videos}", *TINY)
    for protocol in ("fixed", "layer-wise"):
        assert protocol in said
        folder = tmp_path / f"runs/toy-csv-1/toy-r2plus1d-rgb/kinetics/{protocol}/seed0"
        config = (folder / "config.yaml").read_text()
        assert "0.43216" in config  # the weights' own normalisation was used
        assert "flip: false" in config
        assert "clips.short_side is 32, the weights' 128" in config
        result = json.loads((folder / "result.json").read_text())
        assert result["tested_on"] == "dev"
        assert result["videos"] == 3
        assert json.loads((folder / "fingerprint.json").read_text())["weights"]
    # Whoever does not import the modules sees their runs in the table all the same.
    alone = i3d("table", imports=False)
    assert alone.index("fixed") < alone.index("layer-wise")


@pytest.mark.slow
def test_what_a_launcher_runs_elsewhere_holds_out_what_was_planned(i3d, videos, tmp_path):
    recipe = {
        "clips": {"short_side": 32, "crop": 32, "train_frames": 4, "test_frames": 6},
        "training": {"workers": 0, "precision": "float32"},
    }
    content = {
        "cells": [{"architecture": "toy-r2plus1d", "protocol": "fixed", "dataset": "toy-csv"}],
        "sweep": {"clips.test_frames": [6]},
        "hold_out": 0.34,
        "recipe": recipe,
    }
    (tmp_path / "frames.json").write_text(json.dumps(content))  # which is YAML too
    i3d("sweep", "frames.json", f"--root={{toy-csv: {videos}}}", "--on=subprocess")
    run = "frames/clips.test_frames=6/toy-csv-1/toy-r2plus1d-rgb/kinetics/fixed/seed0"
    result = json.loads((tmp_path / "runs" / run / "result.json").read_text())
    assert (result["tested_on"], result["videos"], result["train_videos"]) == ("held out of train", 3, 6)


def test_they_are_found_through_an_entry_point(i3d, videos, tmp_path):
    """As those of an installed package."""
    installed = tmp_path / "site"
    (installed / "toy-1.0.dist-info").mkdir(parents=True)
    (installed / "toy-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n"
    )
    (installed / "toy-1.0.dist-info" / "entry_points.txt").write_text("[i3d_lightning]\nmine = toy_dataset\n")
    (installed / "toy_dataset.py").write_text((PLUGINS / "toy_dataset.py").read_text())
    said = i3d("data", "preview", "--dataset=toy-csv", f"--root={videos}", imports=False, path=installed)
    assert said.strip() == "preview.png"
    assert (tmp_path / "preview.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_imported_is_one_sentence(i3d, tmp_path):
    said = i3d("table", "--import=no_such_module", imports=False, check=False)
    assert said.strip().startswith("error: --import no_such_module: it cannot be imported (No module named")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "json.py").write_text("")
    said = i3d("table", "--import=mine/json.py", imports=False, check=False)
    assert said.startswith("error: --import mine/json.py: there is another module 'json'")
    said = i3d("experiment", "--protocol=fixed", "--architecture=toy-r2plus1d", imports=False, check=False)
    assert "Unknown architecture 'toy-r2plus1d'" in said


def test_the_converted_network_gives_the_logits_of_torchvisions(published):
    """On the same clip, prepared as torchvision prepares it."""
    code = f"""
import sys, torch
sys.path.insert(0, {str(PLUGINS)!r})
import toy_network
from torchvision.models.video import r2plus1d_18
from i3d_lightning import create_model, list_models, list_weights
from i3d_lightning.training.streams import prepare
assert "toy-r2plus1d" in list_models()
assert "r2plus1d-18-toy" in [entry.name for entry in list_weights()]
theirs = r2plus1d_18().eval()
theirs.load_state_dict(torch.load({str(published)!r}, weights_only=True))
ours = create_model("toy-r2plus1d", pretrained={str(published)!r}).eval()
clip = torch.randint(0, 256, (2, 3, 8, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
mean, std = (torch.tensor(v).view(3, 1, 1, 1) for v in (toy_network.CLIPS.mean, toy_network.CLIPS.std))
with torch.inference_mode():
    expected = theirs((clip / 255 - mean) / std)
    found = ours.pool_time(ours(prepare(clip, toy_network.CLIPS)))
assert expected.std(0).max() > 1e-3
torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
"""
    environment = os.environ | {"TOY_WEIGHTS": str(published)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

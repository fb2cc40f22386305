from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from tiny import recipe_flags, save_untrained

from i3d_lightning.cli.main import main
from i3d_lightning.study import planner
from i3d_lightning.study import run as study_run
from i3d_lightning.weights import native


def refused(capsys, *argv: str) -> str:
    """The one sentence that a wrong command line is answered with."""
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code not in (0, None)
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "Traceback" not in said
    return said


def test_origin_with_both_streams_prints_table_and_json(tiny_ucf, tmp_path, capsys, monkeypatch):
    main(
        [
            "experiment", "--protocol=origin", "--dataset=ucf101", f"--root={tiny_ucf}",
            f"--runs={tmp_path / 'runs'}", f"--cache={tmp_path / 'cache'}", *recipe_flags(), "--json",
        ]
    )  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    rows = [json.loads(line) for line in lines[-3:]]
    assert [r["run"].split("/")[1] for r in rows] == ["i3d-rgb", "i3d-flow", "i3d-rgb+flow"]
    for row in rows:
        counts = {"tested_on", "videos", "groups", "leaked", "missing", "unreadable", "partly_read"}
        assert row.keys() == {"run", "top1", "top5", *counts}
        assert (row["videos"], row["leaked"]) == (8, 0)
        assert row["missing"] == {"train": 0, "test": 4}
        assert row["unreadable"] == row["partly_read"] == {"train": 0, "test": 0}
        assert 0 <= row["top1"] <= 100
        assert row["top5"] is None  # of three classes it says nothing
    table = (tmp_path / "runs" / "table.md").read_text()
    assert "RGB+Flow" in table
    assert "0 train, 4 test" in table
    assert "unreadable" not in table
    assert "partly read" not in table
    assert (tmp_path / "runs" / "table.csv").read_text().count("\n") == 4

    # Looking at tables writes nothing, to wandb neither.
    (tmp_path / "runs" / "table.md").unlink()
    monkeypatch.setenv("WANDB_MODE", "offline")
    before = sorted(tmp_path.rglob("*"))
    main(["table", f"--runs={tmp_path / 'runs'}", "--json"])
    assert len(capsys.readouterr().out.splitlines()) == 3
    for which in ("all", "2", "findings"):
        main(["table", which, f"--runs={tmp_path / 'runs'}"])
    assert "RGB+Flow" in capsys.readouterr().out
    assert sorted(tmp_path.rglob("*")) == before


def test_findings_by_the_papers_own_numbers_need_no_run(tmp_path, capsys):
    main(["table", "findings", "--paper=true", f"--runs={tmp_path / 'none'}"])
    said = capsys.readouterr().out
    assert "supported     Two-Stream I3D is the best architecture" in said
    assert "on ucf101: +2.2 [+1.1, +3.4], p = 0.00033 (Holm = 0.00033), 3783 videos" in said
    assert "contradicted" not in said
    assert "as sure as so many independent test videos make them" in said
    assert "--paper is for table findings" in refused(capsys, "table", "2", "--paper=true")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--protocol=fixd"], "did you mean 'fixed'"),
        (["--protocol=fixed", "--dataset=ucf11"], "did you mean 'ucf101'"),
        (["--protocol=fixed", "--stream=rgb+flo"], "did you mean 'rgb'"),
        (["--protocol=fixed", "--dataset=ucf101"], "--root FOLDER"),
        (["--protocol=fixed", "--dataset=ucf101", "--root=/nowhere"], "/nowhere is not a folder"),
        (["--protocol=origin", "--pretraining=kinetics"], "origin never sees Kinetics"),
        (["--protocol=full-ft", "--pretraining=imagenet"], "full-ft from imagenet is origin from imagenet"),
        (
            ["--protocol=fixed", "--architecture=c3d", "--stream=flow", "--dataset=demo-ucf101"],
            "Architecture 'c3d' has no stream 'flow'; it has rgb",
        ),
        (["--protocol=fixed", "--weights=no/such/file.pt", "--stream=rgb"], "no/such/file.pt"),
        (
            ["--protocol=fixed", "--weights=i3d-rgb-kinetics40", "--stream=rgb"],
            "did you mean 'i3d-rgb-kinetics400'",
        ),
        (["--protocol=fixed", "--weights=a.pt"], "for one stream, but two are to be run"),
        (["--protocol=fixed", "--weights=rgb=a.pt,flo=b.pt"], "the streams to run are rgb, flow"),
        (["--protocol=fixed", "--split=one"], "split is 'one'"),
        (["--protocol=fixed", "--seeds=0"], "seeds is 0, but must be a whole number of at least 1"),
    ],
)
def test_bad_input_is_one_sentence(argv, sentence, tmp_path, capsys):
    said = refused(
        capsys, "experiment", *argv, f"--runs={tmp_path / 'runs'}", f"--cache={tmp_path / 'cache'}"
    )
    assert sentence in said
    assert not (tmp_path / "runs").exists()


def test_kinetics_weights_make_no_origin(assets, tmp_path, capsys):
    weights = assets / "weights" / "i3d-kinetics-400.ckpt"
    said = refused(
        capsys,
        "experiment",
        "--protocol=origin",
        f"--weights={weights}",
        "--stream=rgb",
        f"--runs={tmp_path}",
    )
    assert "origin never sees Kinetics" in said


def test_a_split_that_does_not_exist(tiny_ucf, tmp_path, capsys):
    said = refused(
        capsys, "experiment", "--protocol=origin", "--dataset=ucf101", f"--root={tiny_ucf}", "--split=4",
        f"--runs={tmp_path}",
    )  # fmt: skip
    assert "4" in said


def test_no_runs_yet(tmp_path, capsys):
    assert "run i3d experiment first" in refused(capsys, "table", f"--runs={tmp_path}")


def test_predict_goes_on_after_a_bad_video_and_says_so(assets, tmp_path, capsys):
    bad = tmp_path / "half.mp4"
    bad.write_bytes((assets / "clips" / "arm_wrestling.mp4").read_bytes()[:1000])
    weights = assets / "weights" / "i3d-kinetics-400.ckpt"
    clip = assets / "clips" / "arm_wrestling.mp4"
    with pytest.raises(SystemExit) as stop:
        main(["predict", str(bad), str(clip), f"--weights={weights}", "--json"])
    assert stop.value.code == 1
    said = capsys.readouterr()
    assert str(bad) in said.err
    unread, first = (json.loads(line) for line in said.out.splitlines())
    assert unread["video"] == str(bad)
    assert f"error: {unread['error']}" in said.err
    assert (first["video"], len(first["predictions"])) == (str(clip), 5)
    assert first["predictions"][0]["label"] == "arm wrestling"
    assert first["predictions"][0]["probability"] == pytest.approx(1.0, abs=0.005)


def test_weights_are_listed(capsys):
    main(["weights", "list", "--pattern=*rgb*", "--json"])
    names = [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()]
    assert "i3d-rgb-kinetics400" in names
    assert not any("flow" in name for name in names)


def test_a_printed_config_can_be_used(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["experiment", "--protocol=fixed", "--recipe.training.steps=7", "--print_config"])
    config = capsys.readouterr().out
    assert yaml.safe_load(config)["recipe"]["training"]["steps"] == 7
    (tmp_path / "config.yaml").write_text(config)
    said = refused(capsys, "experiment", f"--config={tmp_path / 'config.yaml'}", "--dataset=ucf101")
    assert "--root FOLDER" in said


EXPERIMENTS = sorted(Path(__file__).parents[2].glob("experiments/*.yaml"))
CONTENTS = {path: yaml.safe_load(path.read_text()) for path in EXPERIMENTS}
GRIDS = [path for path, content in CONTENTS.items() if "cells" in content and "sweep" not in content]


@pytest.mark.parametrize("path", GRIDS, ids=lambda p: p.stem)
def test_every_grid_under_experiments_lists_its_cells(path, tmp_path, capsys):
    main(["grid", str(path), "--dry_run=true", f"--runs={tmp_path}"])
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.startswith("to run") for line in lines)
    assert path.read_text().startswith("# ")


def test_flow_is_computed_ahead_part_by_part(tiny_ucf, tmp_path, capsys):
    few = tmp_path / "videos"
    few.mkdir()
    for number, video in enumerate(sorted(tiny_ucf.rglob("*.avi"))[:3]):
        (few / f"{number}.avi").write_bytes(video.read_bytes())
    settings = ["--short_side=32", "--preset=fast"]
    main(["flow", str(few), str(tmp_path / "flow"), "--part=2/2", *settings])
    assert "1 of 1 videos have their flow in" in capsys.readouterr().out
    (few / "bad.avi").write_bytes(b"no video")
    with pytest.raises(SystemExit) as stop:
        main(["flow", str(few), str(tmp_path / "flow"), *settings])
    assert stop.value.code == 1
    assert "3 of 4 videos have their flow" in capsys.readouterr().out
    assert len(list((tmp_path / "flow").rglob("*.flow"))) == 3


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["flow", "nowhere"], "There is no video below nowhere: check the path."),
        (["flow", ".", "--preset=fats"], "Unknown preset 'fats': did you mean 'fast'?"),
        (["flow", ".", "--part=3/2"], "part is '3/2', but must be like 2/8"),
    ],
)
def test_flow_of_nothing(argv, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("one.avi").touch()
    assert refused(capsys, *argv).startswith(f"error: {sentence}")


def test_two_runs_are_compared_on_the_same_videos(tiny_ucf, tmp_path, capsys):
    runs = f"--runs={tmp_path / 'runs'}"
    for seed in (0, 1):
        main([
            "experiment", "--protocol=origin", "--dataset=ucf101", "--stream=rgb", f"--root={tiny_ucf}",
            f"--seed={seed}", f"--cache={tmp_path}", runs, *recipe_flags(),
        ])  # fmt: skip
    names = [f"ucf101-1/i3d-rgb/none/origin/seed{seed}" for seed in (0, 1)]
    capsys.readouterr()
    picture = tmp_path / "confusion.png"
    main(["compare", *names, runs, f"--confusion={picture}"])
    shown = capsys.readouterr().out
    assert "on 8 videos" in shown
    assert "paired permutation test over " in shown
    assert "exact McNemar test, as if videos were independent, p = " in shown
    assert "Green" in shown
    assert picture.read_bytes().startswith(b"\x89PNG")
    main(["compare", *names, runs, "--json"])
    line = json.loads(capsys.readouterr().out)
    assert line["videos"] == 8
    assert 0 < line["p"] <= 1
    assert 0 < line["mcnemar"] <= 1
    assert "did you mean" in refused(capsys, "compare", names[0], names[1] + "0", runs)


def test_help_waits_for_no_torch():
    """Describing the flags takes a third of a second without it, and seven with it."""
    code = (
        "import sys; from i3d_lightning.cli.main import build_parser; build_parser(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_signal_after_all_is_done_changes_nothing():
    """Python takes a while to end, and whoever asks it to stop then does not get a failure."""
    code = (
        "import atexit, os, signal, sys; from i3d_lightning.cli.main import main; sys.argv[1:] = ['--help']; "
        "atexit.register(os.kill, os.getpid(), signal.SIGUSR1); main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_data_set_of_images_has_a_preview_too(tmp_path, capsys):
    random = np.random.default_rng(0)
    for part, name in itertools.product(("train", "val"), ("cat", "dog")):
        folder = tmp_path / "imagenet" / part / name
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "one.png"), random.integers(0, 256, (300, 260, 3), dtype=np.uint8))
    output = tmp_path / "preview.png"
    main(
        ["data", "preview", "--dataset=imagenet", f"--root={tmp_path / 'imagenet'}", f"--output={output}",
         f"--cache={tmp_path / 'cache'}"]
    )  # fmt: skip
    assert capsys.readouterr().out.strip() == str(output)
    assert min(cv2.imread(str(output)).shape[:2]) > 100


def test_a_data_set_is_checked_and_fails_by_choice(tiny_ucf, tmp_path, capsys):
    argv = ["data", "check", "--dataset=ucf101", f"--root={tiny_ucf}", f"--cache={tmp_path}", "--split=1"]
    main(argv)
    assert " missing " in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main([*argv, "--fail_on=leak,missing", "--json"])
    assert stop.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    missing = [row["video"] for row in map(json.loads, lines) if row["fault"] == "missing"]
    assert missing == [f"Blue/v_Blue_g0{group}_c0{clip}.avi" for group in (1, 2) for clip in (1, 2)]
    assert (tmp_path / "checks" / "ucf101.jsonl").read_text().splitlines() == lines
    assert "did you mean 'missing'" in refused(capsys, *argv, "--fail_on=mising")
    assert "split is 'one'" in refused(capsys, *argv[:-1], "--split=one")


def test_settings_data_and_weights_are_read_once_for_each_cell(tiny_ucf, tmp_path, monkeypatch):
    """Planning and running share what they read."""
    calls: Counter[str] = Counter()

    def counted(module, name: str) -> None:
        real = getattr(module, name)

        def call(*given, **more):
            calls[name] += 1
            return real(*given, **more)

        monkeypatch.setattr(module, name, call)

    weights = save_untrained(tmp_path / "kinetics.safetensors")
    counted(planner, "recipe_for")
    counted(study_run, "load_manifest")
    counted(native, "read")
    main([
        "experiment", "--protocol=fixed", "--dataset=ucf101", "--stream=rgb", f"--root={tiny_ucf}",
        f"--weights={weights}", "--seeds=2", f"--cache={tmp_path / 'cache'}", f"--runs={tmp_path / 'runs'}",
        *recipe_flags(),
    ])  # fmt: skip
    assert calls == {"recipe_for": 2, "load_manifest": 2, "read": 1}

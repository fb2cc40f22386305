"""Verbs that look at runs which are there."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from results.made import write_run

from i3d_lightning.cli.main import main
from i3d_lightning.datasets.split import DEVELOPMENT, HELD_OUT
from i3d_lightning.experiment import Experiment
from i3d_lightning.recipe import Clips
from i3d_lightning.results.runs import collect
from i3d_lightning.results.scores import scores
from i3d_lightning.results.tables import all_tables

RUN = Experiment("i3d", "rgb", "kinetics", "full-ft", "ucf101")


def shown(capsys, *argv: str) -> str:
    main(argv)
    return " ".join(capsys.readouterr().out.split())


def test_every_table_gives_both_numbers_where_leaks_are_excluded(tmp_path, capsys):
    """6 of 12 are right, v0 and v1 among them: without these, 4 of 10."""
    write_run(tmp_path, RUN, right=6, leaked=("v0", "v1"))
    runs = f"--runs={tmp_path}"
    line = json.loads(shown(capsys, "table", runs, "--json", "--exclude=leaks"))
    assert (line["top1"], line["leaked"], line["groups"]) == (50, 2, 12)
    assert line["without_leaks"] == {"top1": 40, "top5": None, "videos": 10, "groups": 10}
    assert "without_leaks" not in json.loads(shown(capsys, "table", runs, "--json"))
    markdown = shown(capsys, "table", runs, "--format=markdown", "--exclude=leaks")
    assert "50.0 [21.1–78.9], without leaks 40.0 [12.2–73.8]" in markdown
    paper = shown(capsys, "table", "4", runs, "--format=markdown", "--exclude=leaks")
    assert "50.0 [21.1–78.9], without leaks 40.0 [12.2–73.8]" not in paper  # of rgb+flow, which was not run
    assert "2 of them trained on too" in paper
    assert "Numbers without leaks leave out" in paper
    findings = shown(capsys, "table", "findings", runs, "--exclude=leaks")
    assert "Test videos that are trained on too are left out. Videos: ucf101: 12 test videos" in findings
    assert "2 of them trained on too" in findings


@pytest.mark.parametrize("part", [DEVELOPMENT, HELD_OUT])
def test_videos_that_settings_are_chosen_on_judge_no_conclusion_and_are_named_in_json(tmp_path, capsys, part):
    for cell in (RUN, replace(RUN, pretraining="none", protocol="origin")):
        for stream in ("rgb", "flow"):
            right = 150 if cell is RUN else 50
            for place, tested_on in (("chosen", part), ("tested", "test")):
                reading = {"tested_on": tested_on}
                write_run(tmp_path / place, replace(cell, stream=stream), right, 200, reading)
    assert "supported" in shown(capsys, "table", "findings", f"--runs={tmp_path / 'tested'}")
    assert "supported" not in shown(capsys, "table", "findings", f"--runs={tmp_path / 'chosen'}")
    lines = shown(capsys, "table", "--json", f"--runs={tmp_path / 'chosen'}")
    assert lines.count(f'"tested_on": "{part}"') == 6
    assert all_tables(scores(collect(tmp_path / "chosen"))) == {}


def test_what_else_might_be_excluded_is_unknown(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["table", f"--runs={tmp_path}", "--exclude=leeks"])
    assert "did you mean 'leaks'" in capsys.readouterr().err


def test_a_comparison_says_what_each_p_value_assumes(tmp_path, capsys):
    for seed, right in ((0, 6), (1, 11)):
        write_run(tmp_path, Experiment("i3d", "rgb", "none", "origin", "ucf101", seed=seed), right=right)
    names = [f"ucf101-1/i3d-rgb/none/origin/seed{seed}" for seed in (0, 1)]
    text = shown(capsys, "compare", *names, f"--runs={tmp_path}")
    assert "on 12 videos: 5 gained, 0 lost; paired permutation test over videos p = 0.062" in text
    assert "exact McNemar test, as if videos were independent, p = 0.062." in text


def test_findings_are_of_test_videos_and_say_what_was_left_out(tmp_path, capsys):
    for stream, right in (("rgb", 3), ("flow", 12)):
        cell = Experiment("i3d", stream, "imagenet", "origin", "ucf101")
        write_run(tmp_path, cell, right=right, reading={"tested_on": "held out of train"})
    main(["table", "findings", f"--runs={tmp_path}"])
    said = capsys.readouterr()
    assert "not run       Flow beats RGB on UCF-101 and HMDB-51" in said.out
    assert "Left out: 3 numbers of videos that settings are chosen on." in said.err


def test_a_table_in_markdown_says_what_its_numbers_are(tmp_path, capsys):
    for seed in (0, 1):
        write_run(tmp_path, replace(RUN, seed=seed), right=6 + seed)
    text = shown(capsys, "table", f"--runs={tmp_path}", "--format=markdown")
    assert "54.2 ± 5.9† [" in text
    assert "† leaves it out, as all start from one." in text


SMALL = Clips(train_frames=9, crop=32, short_side=32, test_frames=12)


def test_how_networks_transfer_is_a_table_and_a_picture(tmp_path, capsys):
    runs = f"--runs={tmp_path}"
    for cell, right in ((RUN, 9), (replace(RUN, pretraining="none", protocol="origin"), 3)):
        write_run(tmp_path, cell, right=right, clips=SMALL)
    text = shown(capsys, "table", "transfer", runs, "--format=markdown")
    assert "| i3d | rgb | kinetics | Kinetics-400 (labels) | 12.7 M |" in text
    assert "| 9 x 32 px | whole | 25.0 [5.5–57.2] | – | 75.0 [42.8–94.5] |" in text
    assert "Videos: ucf101: 12 test videos" in text
    assert "\\toprule" in shown(capsys, "table", "transfer", runs, "--format=latex")
    assert "transfer.png" in shown(capsys, "chart", "transfer", runs)
    assert (tmp_path / "transfer.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("table", "transfer", "--json"), "--json prints all runs, not table transfer"),
        (("table", "transfr"), "did you mean 'transfer'"),
        (("chart", "transfr"), "did you mean 'transfer'"),
        (("chart", "transfer", "--architecture=i3d"), "--architecture is for chart pretraining"),
        (("chart", "--demo=true"), "--demo is for chart transfer"),
        (("chart", "transfer"), "There are no complete runs in"),
    ],
)
def test_what_does_not_go_with_transfer_is_one_sentence(tmp_path, capsys, argv, words):
    with pytest.raises(SystemExit):
        main([*argv, f"--runs={tmp_path}"])
    assert words in capsys.readouterr().err.strip().splitlines()[-1]

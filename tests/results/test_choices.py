"""What a sweep chooses: the best of the settings that were tried to the end."""

from __future__ import annotations

import shutil

from results.made import write_run

from i3d_lightning.experiment import FUSION, Experiment
from i3d_lightning.results.choices import choose
from i3d_lightning.results.runs import collect

CELLS = [
    Experiment("i3d", stream, "none", "origin", "ucf101", split)
    for stream in ("rgb", "flow")
    for split in (1, 2)
]
PLANNED = dict.fromkeys(("slow", "fast"), CELLS)


def run_all(root):
    for setting, right in (("slow", 6), ("fast", 9)):
        for cell in CELLS:
            write_run(root / setting, cell, right)


def chosen(root):
    found = choose({setting: collect(root / setting) for setting in PLANNED}, PLANNED)
    return {choice.cell.stream: (choice.best.setting, choice.left_out) for choice in found}


def test_the_best_of_all_settings_is_chosen_of_each_stream_and_their_fusion(tmp_path):
    run_all(tmp_path)
    assert chosen(tmp_path) == dict.fromkeys(("rgb", "flow", FUSION), ("fast", ()))


def test_a_setting_whose_runs_are_not_all_complete_is_left_out_and_named(tmp_path):
    run_all(tmp_path)
    shutil.rmtree(tmp_path / "fast" / CELLS[0].folder)
    left_out = ("slow", ("fast",))
    assert chosen(tmp_path) == {"rgb": left_out, "flow": ("fast", ()), FUSION: left_out}


def test_settings_that_lack_different_splits_are_not_compared(tmp_path):
    run_all(tmp_path)
    shutil.rmtree(tmp_path / "fast" / CELLS[0].folder)
    shutil.rmtree(tmp_path / "slow" / CELLS[1].folder)
    assert chosen(tmp_path) == {"flow": ("fast", ())}

"""The notebook's cells, run one after the other on a run folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from results.made import write_run

from i3d_lightning.experiment import Experiment

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "transfer_results.ipynb"


def run_notebook(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    shown: list[object] = []
    display = ModuleType("IPython.display")
    display.display = shown.append  # type: ignore[attr-defined]
    ipython = ModuleType("IPython")
    ipython.version_info = (9, 0)  # type: ignore[attr-defined]  # matplotlib asks
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    names: dict[str, object] = {}
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec("".join(cell["source"]), names)
    return shown


def test_every_cell_runs(tmp_path, monkeypatch, capsys):
    for stream in ("rgb", "flow"):
        for pretraining, protocol, right in (("none", "origin", 6), ("kinetics", "full-ft", 9)):
            experiment = Experiment("i3d", stream, pretraining, protocol, "demo-ucf101")
            write_run(tmp_path / "runs", experiment, right)
    monkeypatch.chdir(tmp_path)
    shown = run_notebook(monkeypatch)
    said = capsys.readouterr().out
    assert len(shown) >= 9  # tables, charts, classes
    assert "demo-ucf101-1/i3d-flow/none/origin/seed0 -> demo-ucf101-1/i3d-flow/kinetics/full-ft/seed0" in said
    assert "0 of 4 runs right: demo-ucf101 v" in said
    assert "undecided     Pretraining on Kinetics helps every architecture" in said  # of 12 videos


def test_without_runs_it_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="run make experiment PROTOCOL=fixed first"):
        run_notebook(monkeypatch)

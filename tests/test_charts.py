from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from i3d_lightning import charts
from i3d_lightning.plan import Experiment, InputError
from i3d_lightning.results import Predictions, Score, summarise


def score(pretraining: str, protocol: str, right: int, dataset: str = "demo-ucf101") -> Score:
    logits = np.zeros((20, 2), np.float32)
    logits[:right, 1], logits[right:, 0] = 1, 1
    found = Predictions(tuple(f"v{i}" for i in range(20)), np.ones(20, int), logits)
    return Score(
        Experiment("i3d", "rgb", pretraining, protocol, dataset), "rgb", found, {"train": 0, "test": 0}, "w"
    )


def test_a_bar_for_each_run_with_its_interval(tmp_path):
    summary = summarise(
        [score("none", "origin", 5), score("kinetics", "full-ft", 12), score("imagenet", "fixed", 8)]
    )
    figure = charts.pretraining_chart(summary)
    (panel,) = figure.axes
    drawn = [bar for bar in panel.patches if bar.get_height() > 0]
    assert sorted(bar.get_height() for bar in drawn) == [25, 40, 60]
    assert {text.get_text() for text in panel.texts} == {"25", "40", "60"}
    assert panel.get_title() == "demo-ucf101, RGB"
    charts.save(figure, tmp_path / "deep" / "chart.png")
    assert (tmp_path / "deep" / "chart.png").read_bytes()[:4] == b"\x89PNG"


def test_pretraining_itself_is_no_target():
    with pytest.raises(InputError, match="No run of i3d on a target"):
        charts.pretraining_chart(summarise([score("none", "origin", 5, "demo-kinetics")]))


def test_a_confusion_matrix_is_in_percent_of_each_class():
    table = pd.DataFrame([[3, 1], [0, 0]], ["a", "b"], ["a", "b"])
    (panel,) = charts.confusion_chart(table).axes
    assert panel.images[0].get_array().tolist() == [[75, 25], [0, 0]]

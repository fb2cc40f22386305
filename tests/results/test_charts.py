from __future__ import annotations

import pandas as pd
import pytest
from results.made import score as made

from i3d_lightning.errors import InputError
from i3d_lightning.results import charts


def score(pretraining: str, protocol: str, right: int, dataset: str = "demo-ucf101", by: str = "i3d"):
    return made(by, "rgb", pretraining, protocol, dataset, right, of=20)


def test_a_bar_for_each_run_with_its_interval(tmp_path):
    figure = charts.pretraining_chart(
        [
            score("none", "origin", 5),
            score("kinetics", "full-ft", 12),
            score("imagenet", "fixed", 8, by="convnet"),
        ]
    )
    (panel,) = figure.axes
    drawn = [bar for bar in panel.patches if bar.get_height() > 0]
    assert sorted(bar.get_height() for bar in drawn) == [25, 40, 60]
    assert {text.get_text() for text in panel.texts} == {"25", "40", "60"}
    assert panel.get_title() == "demo-ucf101, RGB"
    charts.save(figure, tmp_path / "deep" / "chart.png")
    assert (tmp_path / "deep" / "chart.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    "other", [score("none", "origin", 5, "demo-kinetics"), score("imagenet", "fixed", 8, by="convnet")]
)
def test_pretraining_itself_is_no_target_and_the_control_no_run_of_i3d(other):
    with pytest.raises(InputError, match="No run of i3d on a target"):
        charts.pretraining_chart([other])


def test_a_confusion_matrix_is_in_percent_of_each_class():
    table = pd.DataFrame([[3, 1], [0, 0]], ["a", "b"], ["a", "b"])
    (panel,) = charts.confusion_chart(table).axes
    assert panel.images[0].get_array().tolist() == [[75, 25], [0, 0]]

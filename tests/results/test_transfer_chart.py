"""Accuracy against compute, as it is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from results.made import score

from i3d_lightning.errors import InputError
from i3d_lightning.networks.size import Cost
from i3d_lightning.recipe import Clips
from i3d_lightning.results import charts, transfer
from i3d_lightning.results.transfer_chart import _spread, transfer_chart

SMALL = Clips(train_frames=16, crop=32, short_side=32, test_frames=20)


@pytest.fixture(autouse=True)
def compute(monkeypatch):
    """Made-up compute of networks, as it takes a second each to count."""
    giga = {"c3d": 2, "i3d": 1}
    monkeypatch.setattr(transfer, "cost", lambda network, *_: Cost(1, giga[network.name] * 10**9))


def run(network, pretraining, protocol, right, dataset="demo-ucf101"):
    return score(network, "rgb", pretraining, protocol, dataset, right, clips=SMALL)


@pytest.fixture
def found():
    return [
        run(network, *rest)
        for network in ("c3d", "i3d")
        for rest in (("none", "origin", 40), ("kinetics", "fixed", 160), ("kinetics", "full-ft", 150))
    ]


def test_a_point_for_each_number_with_its_interval_at_its_networks_compute(found, tmp_path):
    figure = transfer_chart([*found, run("i3d", "kinetics", "fixed", 120, "demo-hmdb51")])
    panel, other = figure.axes
    assert (panel.get_title(), other.get_title()) == ("demo-ucf101 split 1", "demo-hmdb51 split 1")
    drawn = [bar.lines[0] for bar in panel.containers]
    assert sorted(float(line.get_ydata()[0]) for line in drawn) == [20, 20, 75, 75, 80, 80]
    low, high = panel.containers[1].lines[2][0].get_segments()[0][:, 1]
    assert (low, high) == pytest.approx((73.8, 85.3), abs=0.05)
    places = np.array([float(line.get_xdata()[0]) for line in drawn])
    assert len(set(places)) == 6
    assert [text.get_text() for text in panel.texts] == ["i3d, 1 G", "c3d, 2 G"]
    assert places[[1, 4]] == pytest.approx([1, 2], rel=0.02)  # the middle of three, of each network
    assert panel.get_xscale() == "log"
    charts.save(figure, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes()[:4] == b"\x89PNG"


def test_an_origin_of_two_pretrainings_is_drawn_once_and_the_control_is_a_cross(found):
    found += [run("i3d", "imagenet+kinetics", "full-ft", 170), run("i3d", "random", "fixed", 30)]
    (panel,) = transfer_chart(found).axes
    heights = [float(bar.lines[0].get_ydata()[0]) for bar in panel.containers]
    assert heights.count(20) == 2  # one of each network
    markers = dict(zip(heights, (bar.lines[0].get_marker() for bar in panel.containers), strict=True))
    assert [height for height, marker in markers.items() if marker == "x"] == [15]
    labels = [text.get_text() for text in panel.figure.legends[0].get_texts()]
    assert labels[:3] == ["origin", "fixed", "full-ft"]
    assert set(labels[3:]) == {"from none", "from kinetics", "from imagenet+kinetics", "from random"}


def test_without_a_number_whose_compute_is_known_there_is_nothing_to_draw():
    unknown = score("my-net", "rgb", "kinetics", "full-ft", "ucf101", 190, clips=SMALL)
    for nothing in ([], [unknown], [run("i3d", "none", "origin", 10, "demo-kinetics")]):
        with pytest.raises(InputError, match="no run on a target to draw whose multiply-adds are known"):
            transfer_chart(nothing)


def test_places_are_moved_apart_and_no_further():
    widths = [0.2, 0.2, 0.2, 0.4]
    assert _spread(np.array([0.0, 1.0, 2.0, 3.0]), widths) == pytest.approx([0, 1, 2, 3])
    moved = _spread(np.array([0.5, 0.5, 0.5, 0.51]), widths)
    assert np.diff(moved) == pytest.approx([0.2, 0.2, 0.3])
    assert moved.mean() == pytest.approx(0.5025)

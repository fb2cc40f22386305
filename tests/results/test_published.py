from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.results.published import PUBLISHED, PaperNumbers, paper


@pytest.mark.parametrize(
    ("cell", "top1"),
    [
        (("i3d", "rgb+flow", "imagenet+kinetics", "full-ft", "ucf101", (1,)), 98.0),
        (("i3d", "rgb+flow", "kinetics", "fixed", "hmdb51", (1,)), 78.6),
        (("i3d", "rgb", "kinetics", "full-ft", "ucf101", (1, 2, 3)), 95.1),
        (("i3d", "flow", "imagenet", "origin", "hmdb51", (1,)), 61.9),
        (("c3d", "rgb", "kinetics", "fixed", "ucf101", (1,)), 76.0),
        (("two-stream", "joint", "imagenet", "origin", "kinetics", (1,)), 65.6),
        (("fused-3d", "joint", "none", "origin", "hmdb51", (1,)), 37.3),
    ],
)
def test_numbers_of_the_paper(cell, top1):
    found = paper(*cell)
    assert found is not None
    assert found.top1 == top1


def test_a_cell_has_one_value_in_all_tables():
    values: dict[tuple, set[float]] = {}
    for p in PUBLISHED:
        cell = (p.architecture, p.stream, p.pretraining, p.protocol, p.dataset, p.splits)
        values.setdefault(cell, set()).add(p.top1)
    assert all(len(v) == 1 for v in values.values())


def test_top5_is_found_where_the_paper_gives_it():
    found = paper("i3d", "rgb", "none", "origin", "kinetics", (1,))
    assert found is not None
    assert (found.top1, found.top5) == (68.4, 88.0)


def test_no_number_where_the_paper_has_none():
    assert paper("i3d", "rgb", "kinetics", "fixed", "demo-ucf101", (1,)) is None
    assert paper("convnet", "rgb", "imagenet", "fixed", "ucf101", (1,)) is None


def test_every_cell_of_the_paper_is_of_a_network_with_that_stream():
    for p in PUBLISHED:
        architecture = ARCHITECTURES[p.architecture]
        assert p.stream in (*architecture.streams, architecture.combined_stream)


def test_the_papers_numbers_are_as_sure_as_its_test_sets_are_large():
    numbers = PaperNumbers()
    flow = numbers.cell("i3d", "flow", "imagenet", "origin", "hmdb51")
    draws = numbers.draws(flow)
    assert draws.shape == (2000,)
    assert draws.mean() == pytest.approx(61.9, abs=0.15)
    assert draws.std() == pytest.approx(100 * np.sqrt(0.619 * 0.381 / 1530), rel=0.05)
    assert np.array_equal(draws, PaperNumbers().draws(flow)), "the same every time"
    assert not np.array_equal(draws, PaperNumbers(seed=1).draws(flow))


def test_two_of_the_papers_numbers_are_compared_as_two_proportions():
    numbers = PaperNumbers()
    rgb, flow = (numbers.cell("two-stream", s, "imagenet", "origin", "ucf101") for s in ("rgb", "flow"))
    found = numbers.compare(rgb, flow)
    right = np.array([83.6, 85.6]) * 3783 / 100
    assert found.difference == pytest.approx(2.0)
    assert found.p == pytest.approx(chi2_contingency([right, 3783 - right], correction=False).pvalue)
    error = 100 * np.sqrt(0.836 * 0.164 / 3783 + 0.856 * 0.144 / 3783)
    assert (found.low, found.high) == pytest.approx((2.0 - 1.96 * error, 2.0 + 1.96 * error), abs=0.15)
    assert (found.videos, found.groups) == (3783, None)


def test_what_the_paper_does_not_give_is_none():
    numbers = PaperNumbers()
    known = numbers.cell("i3d", "rgb", "imagenet", "origin", "ucf101")
    missing = numbers.cell("convnet", "rgb", "imagenet", "fixed", "ucf101")
    assert numbers.top1(missing) is numbers.draws(missing) is None
    assert numbers.compare(known, missing) is numbers.compare(missing, known) is None

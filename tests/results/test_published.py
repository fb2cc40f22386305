from __future__ import annotations

import pytest

from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.results.published import PUBLISHED, paper


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

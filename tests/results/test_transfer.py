"""How networks transfer: rows, what they cost, and what was published of the very cell."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from results.made import score, write_run

from i3d_lightning.experiment import FUSION, Experiment
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.networks.size import Cost, cost
from i3d_lightning.recipe import Clips
from i3d_lightning.results import published_transfer, tables, transfer
from i3d_lightning.results.published_transfer import TRANSFER, Number, number_of
from i3d_lightning.results.runs import collect
from i3d_lightning.results.scores import Cell, Index, scores
from i3d_lightning.results.transfer import rows_of, transfer_table

SMALL = Clips(train_frames=9, crop=32, short_side=32, test_frames=12)
VIEWS = Clips(train_frames=9, crop=32, short_side=32, views="10x3")
UCF = ("ucf101 split 1", "full-ft")


@pytest.fixture(autouse=True)
def counted(monkeypatch, request) -> list:
    """What is counted of networks, which takes a second each: a made-up cost, but where a test is of it."""
    asked: list = []

    def quickly(network, stream, clips):
        asked.append((network.name, stream, clips))
        return Cost(10**6, 10**9)

    if "really" not in request.fixturenames:
        monkeypatch.setattr(transfer, "cost", quickly)
    return asked


@pytest.fixture
def really() -> None:
    """Count networks as they are."""


def shown(found, **how):
    """The rows of the table as mappings of its columns, and its note."""
    table = transfer_table(found, **how)
    rows = []
    for name, row in zip(table.frame.index, table.frame.to_numpy(), strict=True):
        rows.append({("", "architecture"): name, **dict(zip(table.frame.columns, row, strict=True))})
    return rows, table.note


def word(row, title):
    return row["", title]


@pytest.fixture
def lab(monkeypatch):
    """A number that somebody published of I3D's RGB stream, on 10 x 3 views of 9 frames."""
    number = Number(90.0, "10x3", 9, 25, 32, "Lab", "https://lab.example")
    monkeypatch.setitem(TRANSFER, Cell("i3d", "rgb", "kinetics", "full-ft", "ucf101"), number)


def full_ft(right=190, **run):
    return score("i3d", "rgb", "kinetics", "full-ft", "ucf101", right, clips=run.pop("clips", VIEWS), **run)


def test_a_row_has_origin_fixed_and_full_ft_of_a_network_and_what_it_costs(really):
    found = [
        score("i3d", "rgb", "none", "origin", "my-set", 100, clips=SMALL),
        score("i3d", "rgb", "kinetics", "fixed", "my-set", 160, clips=SMALL),
        score("i3d", "rgb", "kinetics", "full-ft", "my-set", 170, clips=SMALL),
        score("i3d", "rgb", "kinetics", "full-ft", "my-set", 174, seed=1, clips=SMALL),
    ]
    (row,), _ = shown(found)
    assert row["my-set", "origin"] == "50.0 [42.9–57.1]"
    assert row["my-set", "fixed"] == "80.0 [73.8–85.3]"
    assert row["my-set", "full-ft"].startswith("86.0 ± 1.4† [")
    assert [word(row, w) for w in ("architecture", "stream", "pretraining")] == ["i3d", "rgb", "kinetics"]
    assert (word(row, "clip"), word(row, "views")) == ("9 x 32 px", "whole")
    known = cost(ARCHITECTURES["i3d"], "rgb", SMALL)
    assert word(row, "parameters") == f"{known.parameters / 1e6:.1f} M" == "12.7 M"
    assert word(row, "multiply-adds") == f"{known.multiply_adds / 1e9:.3g} G"
    assert known.multiply_adds < 10**9  # of its usual clip it is 111 G


def test_an_origin_from_images_is_that_of_weights_that_began_with_images():
    found = [
        score("i3d", "rgb", start, protocol, "my-set", right)
        for start, protocol, right in (
            ("none", "origin", 20),
            ("imagenet", "origin", 60),
            ("kinetics", "full-ft", 120),
            ("imagenet+kinetics", "full-ft", 140),
        )
    ]
    rows, _ = shown(found)
    origin, tuned = ("my-set", "origin"), ("my-set", "full-ft")
    assert [(word(r, "pretraining"), r[origin][:4], r[tuned][:4]) for r in rows] == [
        ("kinetics", "10.0", "60.0"),
        ("imagenet+kinetics", "30.0", "70.0"),
    ]
    rows, _ = shown(found[:2])  # alone they have rows of their own
    assert [(word(r, "pretraining"), r[origin][:4]) for r in rows] == [
        ("none", "10.0"),
        ("imagenet", "30.0"),
    ]


def test_origin_is_from_scratch_where_a_network_cannot_start_from_images():
    """Video Swin's weights began with ImageNet's, but nothing here makes such a start."""
    rows, _ = shown(
        [
            score("swin3d_t", "rgb", "none", "origin", "my-set", 20),
            score("swin3d_t", "rgb", "imagenet+kinetics", "full-ft", "my-set", 140),
        ]
    )
    (row,) = rows
    assert (word(row, "pretraining"), row["my-set", "origin"][:4]) == ("imagenet+kinetics", "10.0")


def test_a_number_stands_beside_the_very_cell_tested_alike_with_the_difference(lab):
    (row, *_), note = shown([full_ft()])
    assert row[UCF] == "95.0 [91.0–97.6] (90.0 Lab 10x3, +5.0)"
    assert word(row, "views") == "10x3"
    assert "Lab: https://lab.example, 9 frames a clip." in note


@pytest.mark.parametrize(
    "clips",
    [
        SMALL,
        replace(VIEWS, views="10x1"),
        replace(VIEWS, train_frames=16),
        replace(VIEWS, fps=12.5),
        replace(VIEWS, crop=28),
        None,
    ],
    ids=["whole", "other squares", "longer clips", "another rate", "another size", "unknown"],
)
def test_what_was_tested_otherwise_is_marked_and_has_no_difference(lab, clips):
    (row, *_), note = shown([full_ft(clips=clips)])
    assert row[UCF] == "95.0 [91.0–97.6] (90.0 Lab 10x3 ≠)"
    assert "≠ in its place: not comparable" in note
    assert "$\\neq$" in tables.as_latex(transfer_table([full_ft(clips=clips)]))


@pytest.mark.parametrize(
    "other",
    [
        score("i3d", "rgb", "imagenet+kinetics", "full-ft", "ucf101", 190),
        score("i3d", "flow", "kinetics", "full-ft", "ucf101", 190),
        score("i3d", "rgb", "kinetics", "full-ft", "ucf101", 190, split=2),
        score("i3d-early-stride", "rgb", "kinetics", "full-ft", "ucf101", 190),
        score("i3d", "rgb", "kinetics", "full-ft", "ucf10", 190),
    ],
    ids=lambda s: s.name,
)
def test_a_number_is_beside_no_other_cell(lab, other):
    rows, _ = shown([other])
    ours = [text for row in rows for text in row.values() if text.startswith("95.0")]
    assert ours == ["95.0 [91.0–97.6]"]


def test_what_was_published_and_not_run_stands_alone(lab):
    (row, *_), _ = shown([score("i3d", "rgb", "kinetics", "fixed", "ucf101", 190)])
    assert row[UCF] == "(90.0 Lab 10x3)"
    rows, _ = shown([])
    assert [r[UCF] for r in rows if word(r, "architecture") == "i3d"] == ["(90.0 Lab 10x3)"]
    rows, _ = shown([score("i3d", "rgb", "kinetics", "fixed", "hmdb51", 190)])
    assert all(UCF not in row for row in rows)  # of a data set that nothing was run on


def test_the_papers_own_numbers_are_of_whole_videos():
    def beside(clips):
        halves = [score("i3d", s, "kinetics", "full-ft", "ucf101", 196, clips=clips) for s in ("rgb", FUSION)]
        rows, note = shown(halves)
        assert "paper: arXiv:1705.07750, 250 frames at most." in note
        return next(r[UCF] for r in rows if word(r, "stream") == FUSION)

    assert beside(Clips(train_frames=9)) == "98.0 [95.0–99.5] (97.6 paper whole, +0.4)"
    for other in ({"test_frames": 100}, {"fps": 12.5}, {"crop": 32}):
        assert beside(Clips(**{"train_frames": 9, **other})).endswith("(97.6 paper whole ≠)")
    assert beside(VIEWS).endswith("(97.6 paper whole ≠)")


def test_a_fusion_costs_what_both_streams_do_where_they_saw_videos_alike(tmp_path):
    def fused(flow):
        for stream, clips in (("rgb", SMALL), ("flow", flow)):
            cell = Experiment("i3d", stream, "kinetics", "full-ft", "my-set")
            write_run(tmp_path, cell, right=6, clips=clips)
        rows, _ = shown(scores(collect(tmp_path)))
        return next(row for row in rows if word(row, "stream") == FUSION)

    assert word(fused(SMALL), "multiply-adds") == "2 G"
    assert word(fused(VIEWS), "multiply-adds") == word(fused(VIEWS), "views") == "–"


def test_networks_that_are_not_registered_are_shown_where_they_were_run_and_else_not(monkeypatch):
    number = Number(90.0, "10x3", 9, 25, 32, "Lab", "https://lab.example")
    for name in ("strange-net", "stranger-net"):
        monkeypatch.setitem(TRANSFER, Cell(name, "rgb", "kinetics", "full-ft", "ucf101"), number)
    found = [score("strange-net", "rgb", "kinetics", "full-ft", "ucf101", 190, clips=VIEWS)]
    rows, _ = shown(found)
    (row,) = (r for r in rows if word(r, "architecture") == "strange-net")
    assert (word(row, "parameters"), word(row, "multiply-adds"), row[UCF]) == (
        "–",
        "–",
        "95.0 [91.0–97.6] (90.0 Lab 10x3, +5.0)",
    )
    assert "stranger-net" not in str(rows)


def test_controls_have_rows_of_their_own_and_are_marked():
    found = [
        score("i3d", "rgb", "random", "fixed", "ucf101", 30),
        score("i3d", "rgb", "none", "origin", "ucf101", 100),
        score("i3d", "rgb", "kinetics", "fixed", "ucf101", 160),
        score("convnet", "rgb", "imagenet", "fixed", "ucf101", 120),
    ]
    rows, _ = shown(found)
    place = ("ucf101 split 1", "fixed")
    run = [row for row in rows if row[place][0].isdigit()]
    assert [(word(r, "pretraining"), word(r, "its data"), r[place][:4]) for r in run] == [
        ("imagenet (control)", "ImageNet-1k (labels)", "60.0"),
        ("kinetics", "Kinetics-400 (labels)", "80.0"),
        ("random (control)", "nothing", "15.0"),
    ]
    control = next(r for r in rows if word(r, "pretraining").startswith("random"))
    assert control["ucf101 split 1", "origin"] == "–"


@pytest.mark.parametrize(
    ("pretraining", "provenance", "words"),
    [
        ("kinetics", "demo-kinetics-1/i3d-rgb/none/origin/seed0", "demo-kinetics (labels)"),
        (
            "imagenet+kinetics",
            "demo-kinetics-1/i3d-rgb/imagenet/origin/seed0",
            "demo-imagenet (labels), then demo-kinetics (labels)",
        ),
        ("kinetics", "kinetics-1/i3d-rgb/none/origin/seed0", "Kinetics-400 (labels)"),
        ("kinetics", "torchvision's weights, BSD-3-Clause, https://arxiv.org/abs/1", "Kinetics-400 (labels)"),
        ("imagenet22k+kinetics", "", "ImageNet-22k (labels), then Kinetics-400 (labels)"),
        ("kinetics-byol", "", "Kinetics-400, BYOL (self-supervised)"),
        ("my-videos", "", "my-videos"),
    ],
)
def test_what_weights_were_trained_on_is_said_and_whether_labels_were_learnt(pretraining, provenance, words):
    run = score("i3d", "rgb", pretraining, "full-ft", "demo-ucf101", 100, provenance=provenance)
    (row,), _ = shown([run])
    assert word(row, "its data") == words


def test_rendered_data_sets_are_apart_and_nothing_was_published_of_them(lab):
    found = [score("i3d", "rgb", "kinetics", "full-ft", "demo-ucf101", 190, clips=SMALL), full_ft()]
    (row,), note = shown(found, demo=True)
    assert row["demo-ucf101 split 1", "full-ft"] == "95.0 [91.0–97.6]"
    assert "Lab" not in note
    rows, _ = shown(found)
    assert not any("demo" in group for row in rows for group, _ in row)


def test_the_mean_of_splits_stands_beside_split_1_and_a_split_run_alone_is_not_lost():
    found = [score("i3d", "rgb", "kinetics", "fixed", "ucf101", 150 + 10 * s, split=s) for s in (1, 2, 3)]
    (row, *_), _ = shown(found)
    assert {g: t[:4] for (g, p), t in row.items() if p == "fixed"} == {
        "ucf101 split 1": "80.0",
        "ucf101 mean of 3": "85.0",
    }
    (row, *_), _ = shown(found[1:2])
    assert row["ucf101 split 2", "fixed"].startswith("85.0")


def test_a_protocol_of_ones_own_has_a_column_and_pretraining_itself_is_no_target():
    found = [
        score("i3d", "rgb", "kinetics", "my-probe", "my-set", 100, order=7),
        score("i3d", "rgb", "none", "origin", "kinetics", 100),
    ]
    (row,), _ = shown(found)
    assert [column for group, column in row if group] == ["origin", "fixed", "full-ft", "my-probe"]
    assert row["my-set", "my-probe"] == "50.0 [42.9–57.1]"


def test_leaks_are_left_out_where_that_is_asked_for():
    one = score("i3d", "rgb", "kinetics", "fixed", "my-set", 100)
    one.predictions.leaked[:20] = True
    (row,), note = shown([one], exclude_leaks=True)
    assert row["my-set", "fixed"] == "50.0 [42.9–57.1], without leaks 44.4 [37.1–52.0]"
    assert "20 of them trained on too" in note


def test_a_runs_clips_are_read_with_its_classes_once(tmp_path, monkeypatch):
    cell = Experiment("i3d", "rgb", "kinetics", "full-ft", "ucf101")
    write_run(tmp_path, cell, right=6, clips=VIEWS)
    read, load = [], yaml.safe_load
    monkeypatch.setattr(yaml, "safe_load", lambda text: read.append(text) or load(text))
    (run,) = collect(tmp_path)
    (found,) = scores([run])
    assert found.clips == run.clips == VIEWS
    assert len(read) == 1
    write_run(tmp_path, cell, right=6)
    (found,) = scores(collect(tmp_path))
    assert found.clips is None


def test_each_network_is_counted_once_for_each_clip(counted):
    found = [
        score("i3d", "rgb", "kinetics", "fixed", dataset, 100, split=split, clips=SMALL)
        for dataset in ("ucf101", "hmdb51")
        for split in (1, 2, 3)
    ]
    transfer_table(found)
    assert counted == [("i3d", "rgb", SMALL)]


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        (("i3d_r50", "imagenet", "origin", "ucf101"), (83.9, "10x3", 32, "GluonCV")),
        (("i3d_r50", "imagenet", "origin", "hmdb51"), (48.5, "10x3", 32, "GluonCV")),
        (("i3d_r50", "imagenet+kinetics", "full-ft", "ucf101"), (95.4, "10x3", 32, "GluonCV")),
        (("i3d_r50", "imagenet+kinetics", "full-ft", "hmdb51"), (70.9, "10x3", 32, "GluonCV")),
        (("videomae_base", "kinetics-mae", "full-ft", "ucf101"), (96.1, "5x3", 16, "VideoMAE")),
        (("videomae_base", "kinetics-mae", "full-ft", "hmdb51"), (73.3, "10x3", 16, "VideoMAE")),
        (("videomae_base", "ucf101-mae", "full-ft", "ucf101"), (91.3, "5x3", 16, "VideoMAE")),
        (("videomae_base", "hmdb51-mae", "full-ft", "hmdb51"), (62.6, "10x3", 16, "VideoMAE")),
        (("slow_r50", "kinetics-byol", "full-ft", "ucf101"), (94.7, "10x3", 8, "SlowFast")),
    ],
)
def test_what_others_published(cell, number):
    network, *rest = cell
    found = number_of(Cell(network, "rgb", *rest), (1,))
    assert found is not None
    assert (found.top1, found.views, found.frames, found.by) == number
    assert number_of(Cell(network, "rgb", *rest), (1, 2, 3)) is None
    assert len(TRANSFER) == 9
    Clips(views=found.views)  # which reproduces it


def test_the_papers_number_is_found_too():
    found = number_of(Cell("i3d", FUSION, "imagenet+kinetics", "full-ft", "hmdb51"), (1,))
    assert found == Number(81.2, "whole", 250, 25, 224, "paper", published_transfer.published.SOURCE)


def test_rows_are_in_the_order_of_networks_then_of_what_they_have_seen():
    found = [
        score(network, "rgb", seen, "fixed", "my-set", 100)
        for network in ("other-net", "i3d", "c3d")
        for seen in ("random", "imagenet+kinetics", "kinetics")
    ]
    rows = rows_of(Index(found))
    assert [(row.architecture, row.pretraining) for row in rows] == [
        (network, seen)
        for network in ("c3d", "i3d", "other-net")
        for seen in ("kinetics", "imagenet+kinetics", "random")
    ]

from __future__ import annotations

import dataclasses
import itertools

import pytest

from i3d_lightning.datasets import DATASETS
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import FUSION, Experiment
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.protocols.base import PROTOCOLS
from i3d_lightning.results.published import PUBLISHED
from i3d_lightning.study.cells import check, is_control, pretraining_of, pretrainings


@pytest.mark.parametrize(
    ("architecture", "pretraining", "protocol", "dataset"),
    [
        ("i3d", "kinetics", "origin", "ucf101"),
        ("i3d", "none", "fixed", "ucf101"),
        ("i3d", "none", "full-ft", "hmdb51"),
        ("i3d", "imagenet", "full-ft", "hmdb51"),
        ("i3d", "kinetics", "fixed", "kinetics"),
        ("c3d", "imagenet", "origin", "ucf101"),
        ("c3d", "imagenet+kinetics", "full-ft", "ucf101"),
        ("convnet", "none", "origin", "ucf101"),
        ("convnet", "imagenet", "full-ft", "ucf101"),
        ("convnet", "none", "fixed", "ucf101"),
        ("convnet", "kinetics", "fixed", "ucf101"),
        ("convnet", "imagenet", "fixed", "kinetics"),
        *(
            (name, "imagenet", "fixed", "ucf101")
            for name in ("convnet-lstm", "two-stream", "fused-3d", "i3d")
        ),
        ("i3d", "none", "origin", "imagenet"),
    ],
)
def test_cells_that_do_not_exist_are_refused_with_the_valid_ones(
    architecture, pretraining, protocol, dataset
):
    with pytest.raises(InputError, match="valid pretraining"):
        check(Experiment(architecture, "rgb", pretraining, protocol, dataset))


def test_every_cell_of_table_4_exists():
    for p in PUBLISHED:
        if p.stream != FUSION:
            check(Experiment(p.architecture, p.stream, p.pretraining, p.protocol, p.dataset))


def test_outside_the_paper_there_are_the_image_network_itself_and_random_features():
    words = itertools.product(ARCHITECTURES.names(), PROTOCOLS.names(), DATASETS.names())
    exist = [
        Experiment(a, s, pretraining, p, d)
        for a, p, d in words
        for pretraining in pretrainings(a, p, d)
        for s in ARCHITECTURES[a].streams
    ]
    for experiment in exist:
        check(experiment)
    targets = [d.name for d in DATASETS if d.teaches is None]
    controls = {Experiment("convnet", "rgb", "imagenet", "fixed", d) for d in targets}
    controls |= {
        Experiment(a.name, s, "random", "fixed", d) for a in ARCHITECTURES for s in a.streams for d in targets
    }
    assert {e for e in exist if is_control(e)} == controls
    found = pretrainings("i3d", "fixed", "ucf101")
    assert found[0] == "kinetics" and found[-1] == "random"
    assert {"kinetics", "imagenet+kinetics"} < set(found)
    assert all("kinetics" in word for word in found[:-1])


def test_on_images_that_teach_nothing_a_random_network_is_trained_but_never_frozen(monkeypatch):
    pictures = dataclasses.replace(DATASETS["imagenet"], name="pictures", teaches=None)
    monkeypatch.setitem(DATASETS._known, "pictures", pictures)
    found = {way.name: pretrainings("convnet", way.name, "pictures") for way in PROTOCOLS}
    assert found == {"origin": ("none",), "fixed": (), "full-ft": ()}


@pytest.mark.parametrize(
    ("field", "typo", "hint"),
    [
        ("protocol", "fulft", "full-ft"),
        ("dataset", "ucf-101", "ucf101"),
        ("architecture", "i3", "i3d"),
        ("stream", "rbg", "rgb"),
        ("pretraining", "kinetic", "kinetics"),
    ],
)
def test_a_misspelt_word_is_met_with_the_nearest(field, typo, hint):
    cell = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101")
    with pytest.raises(InputError, match=f"did you mean '{hint}'"):
        check(dataclasses.replace(cell, **{field: typo}))


def test_weights_that_somebody_else_made_may_have_seen_whatever_is_registered():
    """They are to be given; nothing of the kind is known or made here."""
    for network, pretraining, protocol in (
        ("slow_r50", "kinetics-byol", "full-ft"),
        ("i3d_r50", "imagenet", "origin"),
        ("i3d_r50", "imagenet+kinetics", "fixed"),
        ("videomae_base", "ucf101-mae", "full-ft"),
    ):
        cell = Experiment(network, "rgb", pretraining, protocol, "ucf101")
        check(cell)
        assert pretraining_of(cell) is None or pretraining.endswith("+kinetics")
    for pretraining, protocol in (
        ("kinetics-byol", "origin"),
        ("imagenet", "full-ft"),
        ("imagenet+x", "fixed"),
    ):
        with pytest.raises(InputError):
            check(Experiment("slow_r50", "rgb", pretraining, protocol, "ucf101"))


def test_an_architecture_has_only_its_streams():
    with pytest.raises(InputError, match="it has rgb, flow"):
        check(Experiment("i3d", "joint", "kinetics", "fixed", "ucf101"))

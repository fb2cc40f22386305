from __future__ import annotations

import pytest
import torch

from i3d_lightning import speed
from i3d_lightning.plan import Experiment, InputError
from i3d_lightning.recipes import recipe_for

CELL = Experiment("i3d", "rgb", "none", "origin", "ucf101")


def on_a_cpu(monkeypatch, *, with_bf16: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: with_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)


@pytest.mark.parametrize(("with_bf16", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_takes_bf16_where_the_device_has_it(monkeypatch, with_bf16, precision):
    on_a_cpu(monkeypatch, with_bf16=with_bf16)
    chosen = speed.choose("auto")
    assert (chosen.precision, chosen.compiled) == (precision, False)


def test_a_gpu_is_named_and_asked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old GPU")
    assert speed.choose("auto").description == "in float32 on Old GPU, which has no bf16 instructions"


@pytest.mark.parametrize(
    ("word", "precision", "compiled"),
    [("exact", "32-true", False), ("bf16", "bf16-mixed", False), ("compiled", "bf16-mixed", True)],
)
def test_other_words_are_taken_at_their_word(monkeypatch, word, precision, compiled):
    on_a_cpu(monkeypatch, with_bf16=word == "exact")
    chosen = speed.choose(word)
    assert (chosen.precision, chosen.compiled) == (precision, compiled)


def test_only_exact_forbids_tf32():
    before = torch.backends.cudnn.allow_tf32
    try:
        speed.forbid_tf32(speed.choose("exact"))
        assert not torch.backends.cudnn.allow_tf32
        speed.forbid_tf32(speed.choose("bf16"))
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32 = before


def test_misspelt_and_conflicting_speeds_are_refused_before_anything_runs():
    with pytest.raises(InputError, match="Unknown speed 'exakt': did you mean 'exact'"):
        recipe_for(CELL, {"training": {"speed": "exakt"}})
    with pytest.raises(InputError, match="drop one of them"):
        recipe_for(CELL, {"training": {"speed": "compiled", "recompute": True}})

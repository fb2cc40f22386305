from __future__ import annotations

import pytest
import torch

from i3d_lightning.training.precision import describe, forbid_tf32, lightning_precision, resolve


def on_a_cpu(monkeypatch, *, with_bf16: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: with_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)


@pytest.mark.parametrize(
    ("with_bf16", "precision", "lightning"), [(True, "bf16", "bf16-mixed"), (False, "float32", "32-true")]
)
def test_auto_takes_bf16_where_the_device_has_it(monkeypatch, with_bf16, precision, lightning):
    on_a_cpu(monkeypatch, with_bf16=with_bf16)
    assert resolve("auto") == precision
    assert lightning_precision("auto") == lightning


def test_a_gpu_is_named_and_asked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old GPU")
    assert describe("auto") == "in float32 on Old GPU, which has no bf16 instructions"


@pytest.mark.parametrize(("precision", "lightning"), [("float32", "32-true"), ("bf16", "bf16-mixed")])
def test_other_words_are_taken_at_their_word(monkeypatch, precision, lightning):
    on_a_cpu(monkeypatch, with_bf16=precision == "float32")
    assert resolve(precision) == precision
    assert lightning_precision(precision) == lightning
    assert describe(precision) == f"in {precision} on the CPU"
    assert "compiled" in describe(precision, compile=True)


def test_only_float32_forbids_tf32():
    before = torch.backends.cudnn.allow_tf32
    try:
        forbid_tf32("float32")
        assert not torch.backends.cudnn.allow_tf32
        forbid_tf32("bf16")
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32 = before

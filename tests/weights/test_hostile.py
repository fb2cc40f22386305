"""Weights that were made to harm: each is refused in a sentence, in little time and memory."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from i3d_lightning.errors import InputError
from i3d_lightning.weights import load_weights, native

CHILD = """
import resource, sys, time
from pathlib import Path
from i3d_lightning.errors import InputError
from i3d_lightning.weights import load_weights
load = lambda path: load_weights(str(path))
try:
    load(Path(sys.argv[1]) / "nothing")
except InputError:
    pass
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 400_000_000,) * 2)
for path in sorted(Path(sys.argv[1]).iterdir()):
    began = time.monotonic()
    try:
        load(path)
        print(path.name, "was loaded")
    except InputError as error:
        print(path.name, "refused in time" if time.monotonic() - began < 2 else "refused late", str(error))
    except BaseException as error:
        print(path.name, type(error).__name__, error)
"""


def saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def packed(data: bytes, **more: bytes) -> bytes:
    """A file in torch's container around a pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {"data.pkl": data, "version": b"3\n", "byteorder": b"little", **more}.items():
            archive.writestr(f"archive/{name.replace('__', '/')}", content)
    return file.getvalue()


def deflated() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, 2))
        archive.writestr("archive/data/0", bytes(300_000_000))
    return file.getvalue()


def doubled(levels: int) -> dict[str, object]:
    """Dicts that hold the one before twice: 2 to the power of `levels` leaves in a few bytes."""
    inner: dict[str, object] = {"kernel": np.zeros(1, np.float32)}
    for _ in range(levels):
        inner = {"a": inner, "b": inner}
    return {"params": inner, "batch_stats": {}}


def in_itself() -> dict[str, object]:
    tree: dict[str, object] = {"batch_stats": {}}
    tree["params"] = tree
    return tree


class Asks:
    """Asks a pickle's reader to call something."""

    def __init__(self, what: object, *arguments: object) -> None:
        self.asked = what, arguments

    def __reduce__(self):
        return self.asked


def rebuild(*arguments: object) -> Asks:
    return Asks(np.empty(0).__reduce__()[0], *arguments)


def wide() -> torch.Tensor:
    return torch.zeros(1).expand(10**12)


def hostile() -> dict[str, bytes]:
    arrays = {"batch_stats": {}}
    return {
        "doubled": pickle.dumps(doubled(9)),
        "doubled, deep": pickle.dumps(doubled(60)),
        "in itself": pickle.dumps(in_itself()),
        "memo": b"\x80\x02}r\xff\xff\xff\x3f.",
        "array of nothing": pickle.dumps(arrays | {"params": rebuild(np.ndarray, (10**11,), b"b")}),
        "array called": pickle.dumps(arrays | {"params": Asks(np.ndarray, (10**11,))}),
        "wide values": pickle.dumps(arrays | {"params": Asks(np.dtype, "V2000000000")}),
        "text that is not there": b"\x80\x04\x8d" + (10**12).to_bytes(8, "little") + b"x.",
        "marks": b"\x80\x02" + b"(" * 1_000_000 + b".",
        "a million lists": b"\x80\x02" + b"]" * 1_100_000 + b".",
        "bytes made": packed(b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R."),
        "wide tensor": saved({"weight": wide()}),
        "wide tensor, wrapped": saved({"model_state": {"weight": wide()}}),
        "sparse": saved({"weight": torch.eye(3).to_sparse()}),
        "complex": saved({"weight": torch.zeros(3, dtype=torch.complex64)}),
        "quantised": saved({"weight": torch.quantize_per_tensor(torch.zeros(3), 1.0, 0, torch.qint8)}),
        "numbers alone": saved({"fc.weight": torch.tensor(1.0), "fc_norm.weight": torch.tensor(1.0)}),
        "unpacked": deflated(),
        "no zip": b"PK\x03\x04" + bytes(100),
        "header": (2**62).to_bytes(8, "little") + b"{" + bytes(100),
        "deep header": (10**6).to_bytes(8, "little") + b'{"a":' + b"[" * (10**6 - 5),
        "web page": b"\n <!DOCTYPE html>",
        "an answer": b'{"message": "Not Found"}',
    }


def test_each_is_refused_in_little_time_and_memory(tmp_path):
    for name, content in hostile().items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, timeout=100, check=False
    )
    said = dict(zip(sorted([*hostile(), "pipe"]), done.stdout.splitlines(), strict=False))
    assert len(said) == len(hostile()) + 1, done.stdout + done.stderr
    assert [line for name, line in said.items() if not line.startswith(f"{name} refused in time ")] == []


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("save", [saved, lambda state: safetensors.torch.save(state)])
def test_numbers_that_are_none_are_named(tmp_path, save, wrong):
    state = {
        "Conv3d_1a_7x7.conv3d.weight": torch.zeros(2, 3, 1, 1, 1),
        "Conv3d_1a_7x7.bn.bias": torch.zeros(2),
    }
    state["Conv3d_1a_7x7.bn.bias"][1] = wrong
    (tmp_path / "weights.pt").write_bytes(save(state))
    with pytest.raises(InputError, match=r"\(NaN or infinite\) in inception.Conv3d_1a_7x7.bn.bias: use"):
        load_weights(str(tmp_path / "weights.pt"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
SETTINGS = st.dictionaries(st.sampled_from(["fps", "short_side", "crop", "mean", "std", "flip"]), VALUES)
SAID = st.fixed_dictionaries(
    {
        "architecture": st.just("i3d") | VALUES,
        "stream": st.sampled_from(["rgb", None]) | VALUES,
        "pretraining": st.none() | VALUES,
        "labels": st.none() | st.lists(st.text(max_size=3), min_size=3, max_size=3) | VALUES,
        "clips": st.none() | SETTINGS | VALUES,
        "flow": st.none() | VALUES,
        "provenance": st.text(max_size=3) | VALUES,
    }
)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(said=SAID)
def test_whatever_a_file_says_of_itself_is_right_or_one_sentence(said, tmp_path_factory):
    path = Path(tmp_path_factory.getbasetemp()) / "said.safetensors"
    content = {"classifier.bias": torch.zeros(3)}
    path.write_bytes(safetensors.torch.save(content, {native.KEY: native.json.dumps(said)}))
    try:
        weights = load_weights(str(path))
    except InputError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 500
    else:
        assert weights.labels is None or len(set(weights.labels)) == 3
        assert weights.clips is None or weights.clips.crop <= weights.clips.short_side <= 4096

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from i3d_lightning.training import feature_store
from i3d_lightning.training.feature_store import IDENTITY, FeatureStore

IDENTITY_OF = {"network": "i3d rgb, version 1", "weights": "abc"}


def content(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()


def values(number: int, size: int = 3) -> np.ndarray:
    return np.random.default_rng(number).standard_normal(size, np.float32)


def filled(root: Path, numbers, identity=IDENTITY_OF) -> FeatureStore:
    store = FeatureStore(root, identity)
    for number in numbers:
        store.put(content(number), values(number), "1 of 2 frames" if number % 3 == 0 else None)
    store.flush()
    return store


def shards(store: FeatureStore) -> list[Path]:
    return sorted(store.folder.glob("*.safetensors"))


def check(root: Path, numbers) -> int:
    """How many are found; those that are must be right."""
    found = FeatureStore(root, IDENTITY_OF).read(content(n) for n in numbers)
    for number in numbers:
        if content(number) in found:
            feature = found[content(number)]
            assert feature.values.tobytes() == values(number).tobytes()
            assert feature.partly == ("1 of 2 frames" if number % 3 == 0 else None)
    return len(found)


def test_what_is_put_is_found_also_by_another_process(tmp_path):
    store = filled(tmp_path, range(5))
    store.put(content(5), values(5))
    assert store.get(content(5)).values.tobytes() == values(5).tobytes()  # before it is on disk
    assert check(tmp_path, range(5)) == 5
    assert store.get(content(99)) is None
    assert json.loads((store.folder / IDENTITY).read_text()) == IDENTITY_OF


def test_any_changed_byte_is_harmless_or_noticed(tmp_path, caplog):
    """Each byte of a small store, in one bit; never a wrong value, and no silence."""
    store = filled(tmp_path, range(4))
    (path,) = shards(store)
    whole = path.read_bytes()
    lost = 0
    for place in range(len(whole)):
        caplog.clear()
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        found = check(tmp_path, range(4))
        assert found == 4 or "computed anew" in caplog.text
        lost += found < 4
    assert lost > 0.9 * len(whole)


def test_random_flips_in_a_store_of_several_shards(tmp_path, caplog):
    store = filled(tmp_path, range(20))
    filled(tmp_path, range(20, 40))
    for identity in (store.folder / IDENTITY, *shards(store)):
        assert identity.exists()
    generator = random.Random(0)
    files = {path: path.read_bytes() for path in store.folder.iterdir()}
    for _ in range(150):
        path = generator.choice(list(files))
        damaged = bytearray(files[path])
        damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        assert check(tmp_path, range(40)) >= 20
        path.write_bytes(files[path])
    assert check(tmp_path, range(40)) == 40


@pytest.mark.slow
def test_four_thousand_flips_in_a_store_of_real_size(tmp_path):
    store = FeatureStore(tmp_path, IDENTITY_OF)
    for number in range(64):
        store.put(content(number), values(number, 1024))
    store.flush()
    (path,) = shards(store)
    whole = path.read_bytes()
    generator = random.Random(1)
    for _ in range(4000):
        damaged = bytearray(whole)
        damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        found = FeatureStore(tmp_path, IDENTITY_OF).read(content(n) for n in range(64))
        assert len(found) in (0, 63, 64)
        for number in range(64):
            if content(number) in found:
                assert found[content(number)].values.tobytes() == values(number, 1024).tobytes()


def test_a_damaged_row_costs_that_row_and_is_named_and_replaced(tmp_path, caplog):
    store = filled(tmp_path, range(8))
    (path,) = shards(store)
    raw = bytearray(path.read_bytes())
    raw[raw.find(values(5).tobytes())] ^= 1
    path.write_bytes(raw)
    again = FeatureStore(tmp_path, IDENTITY_OF)
    assert again.read(content(n) for n in range(8)).keys() == {content(n) for n in range(8) if n != 5}
    assert content(5) in caplog.text
    again.put(content(5), values(5))
    again.merge()
    caplog.clear()
    assert check(tmp_path, range(8)) == 8
    assert not caplog.text
    assert len(shards(store)) == 1


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "newer", "huge header", "folder"])
def test_a_shard_that_cannot_be_used_is_left_alone_and_named(tmp_path, caplog, damage):
    store = filled(tmp_path, range(4))
    (path,) = shards(store)
    filled(tmp_path, range(4, 6))
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    else:
        path.write_bytes(
            {
                "cut": whole[:-1],
                "empty": b"",
                "text": b"not a shard, but some text of somebody's",
                "newer": whole.replace(b"i3d-features 1", b"i3d-features 2"),
                "huge header": (1 << 62).to_bytes(8, "little") + whole[8:],
            }[damage]
        )
    assert check(tmp_path, range(6)) == 2
    assert caplog.text.count(path.name) == 1
    assert "computed anew" in caplog.text
    mended = filled(tmp_path, range(4))
    mended.merge()
    assert check(tmp_path, range(6)) == 6
    assert path.exists()


def test_features_of_something_else_are_refused_wherever_they_lie(tmp_path, caplog):
    """As after a collision of the short digest that names the folder, or a copy to the wrong place."""
    other = filled(tmp_path, range(4), {"network": "another"})
    ours = FeatureStore(tmp_path, IDENTITY_OF)
    other.folder.rename(ours.folder)
    assert check(tmp_path, range(4)) == 0
    assert "made with something else" in caplog.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_shard_without_permission_is_named(tmp_path, caplog):
    store = filled(tmp_path, range(4))
    shards(store)[0].chmod(0)
    assert check(tmp_path, range(4)) == 0
    assert "Permission denied" in caplog.text


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_never_stored(tmp_path, bad):
    store = FeatureStore(tmp_path, IDENTITY_OF)
    with pytest.raises(ValueError, match="not finite"):
        store.put(content(0), np.array([1.0, bad], np.float32))
    store.flush()
    assert not store.folder.exists()


def test_many_small_shards_become_few(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_store, "_SMALL", 4)
    monkeypatch.setattr(feature_store, "_LARGE", 40)
    store = filled(tmp_path, range(100))
    assert len(shards(store)) == 25
    reader = FeatureStore(tmp_path, IDENTITY_OF)
    assert reader.get(content(0)) is not None
    store.merge()
    assert len(shards(store)) == 3
    assert check(tmp_path, range(100)) == 100
    assert len(reader.read(content(n) for n in range(100))) == 100  # whose shards are gone


def fill_and_wait(root: Path) -> None:
    feature_store._SMALL = 4
    store = FeatureStore(root, IDENTITY_OF)
    for number in range(10):
        store.put(content(number), values(number), "1 of 2 frames" if number % 3 == 0 else None)
    signal.pause()


def test_a_killed_process_loses_no_more_than_a_shard(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=fill_and_wait, args=(tmp_path,))
    process.start()
    deadline = time.monotonic() + 20
    while len(list(tmp_path.glob("*/*.safetensors"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert check(tmp_path, range(10)) == 8


def fill_and_merge(root: Path, first: int) -> None:
    feature_store._SMALL, feature_store._LARGE = 3, 30
    store = FeatureStore(root, IDENTITY_OF)
    for number in range(first, first + 40):
        store.put(content(number), values(number))
        if number % 5 == 0:
            store.merge()
        assert store.get(content(first)) is not None
    store.merge()


def test_processes_that_write_and_merge_at_once_lose_nothing(tmp_path, caplog):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=fill_and_merge, args=(tmp_path, first)) for first in (0, 0, 20, 60)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    found = FeatureStore(tmp_path, IDENTITY_OF).read(content(n) for n in range(100))
    assert len(found) == 100
    assert all(found[content(n)].values.tobytes() == values(n).tobytes() for n in range(100))
    assert not caplog.text


@pytest.mark.slow
def test_a_quarter_of_a_million_features_are_read_quickly(tmp_path):
    """As many as Kinetics has videos; also a few of them."""
    names = [content(n) for n in range(240_000)]
    row = values(0, 1024)
    store = FeatureStore(tmp_path, IDENTITY_OF)
    for name in names:
        store.put(name, row)
    store.merge()
    began = time.perf_counter()
    assert len(FeatureStore(tmp_path, IDENTITY_OF).read(names)) == len(names)
    everything = time.perf_counter() - began
    began = time.perf_counter()
    assert len(FeatureStore(tmp_path, IDENTITY_OF).read(names[:10])) == 10
    few = time.perf_counter() - began
    print(f"all in {everything:.1f} s, ten in {few:.2f} s, {len(shards(store))} shards")
    assert everything < 60
    assert few < 5

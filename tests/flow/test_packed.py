from __future__ import annotations

import cv2
import numpy as np
import pytest

from i3d_lightning.flow import packed
from i3d_lightning.video.damage import Damage, note, watched


@pytest.fixture
def fields():
    """Smooth flow of 12 fields of 23x31 px."""
    random = np.random.default_rng(0)
    steps = random.integers(-2, 3, (2, 12, 23, 31)).cumsum(-1).cumsum(-2)
    return (128 + steps // 4).clip(0, 255).astype(np.uint8)


@pytest.fixture
def file(tmp_path, fields):
    path = tmp_path / "video.flow"
    path.write_bytes(packed.pack([fields[:, :5], fields[:, 5:11], fields[:, 11:]]))
    return path


@pytest.mark.parametrize(("start", "frames"), [(0, 12), (4, 3), (11, 1), (10, 30)])
def test_any_range_comes_back_looped(file, fields, start, frames):
    expected = fields[:, (start + np.arange(frames)) % 12]
    np.testing.assert_array_equal(packed.read(file, start, frames), expected)


def test_how_much_of_the_video_was_read_is_kept_with_its_flow(file, fields):
    def chunks():
        yield fields[:, :5]
        note(28, 139)
        yield fields[:, 5:]

    with watched() as sound:
        packed.read(file, 0, 3)
    assert sound.damage is None
    file.write_bytes(packed.pack(chunks()))
    with watched() as seen:
        np.testing.assert_array_equal(packed.read(file, 0, 12), fields)
    assert seen.damage == Damage(28, 139)


def test_takes_less_space_than_png(fields, file):
    png = sum(len(cv2.imencode(".png", fields[:, t].reshape(46, 31))[1]) for t in range(12))
    assert file.stat().st_size < 0.8 * png


def test_a_flipped_bit_anywhere_is_noticed(file):
    content = file.read_bytes()
    random = np.random.default_rng(0)
    for place in [*range(60), *random.integers(0, len(content), 200).tolist()]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << random.integers(8)
        file.write_bytes(damaged)
        with pytest.raises(packed.DamagedFlowError):
            packed.read(file, 0, 12)


def test_damage_elsewhere_does_not_matter(file, fields):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    np.testing.assert_array_equal(packed.read(file, 2, 5), fields[:, 2:7])


def test_cut_off_anywhere(file):
    content = file.read_bytes()
    assert packed.is_whole(file)
    for size in [*range(0, 200, 7), len(content) - 1]:
        file.write_bytes(content[:size])
        assert not packed.is_whole(file)
        with pytest.raises(packed.DamagedFlowError):
            packed.read(file, 0, 12)


def test_no_file(tmp_path):
    assert not packed.is_whole(tmp_path / "none.flow")
    with pytest.raises(FileNotFoundError):
        packed.read(tmp_path / "none.flow", 0, 1)

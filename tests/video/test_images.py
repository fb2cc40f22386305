"""Still images behind the same boundary as videos."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from i3d_lightning.errors import UnreadableVideoError
from i3d_lightning.video import boundary, budgets
from i3d_lightning.video.file import VideoFile
from i3d_lightning.video.images import ImageFrames


def test_a_strip_is_refused(tmp_path):
    path = tmp_path / "strip.png"
    cv2.imwrite(str(path), np.zeros((2, 4000, 3), np.uint8))
    with pytest.raises(UnreadableVideoError, match="has frames of 4000x2 px"):
        ImageFrames(224).read(VideoFile.of(path), 0, 1)


def test_a_few_bytes_that_ask_for_gigabytes_are_refused(tmp_path):
    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    side = 2**15
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )
    assert side**2 > budgets.IMAGE_PIXELS
    with pytest.raises(UnreadableVideoError, match=r"bomb\.png cannot be read as an image"):
        ImageFrames(224).read(VideoFile.of(path), 0, 1)


def test_whatever_is_damaged_is_read_or_named(tmp_path):
    random = np.random.default_rng(0)
    picture = cv2.resize(random.integers(0, 255, (8, 8, 3), np.uint8), (64, 48))
    named = 0
    for ending in (".jpg", ".png", ".webp", ".bmp"):
        content = cv2.imencode(ending, picture)[1]
        for number in range(12):
            changed = content.copy()
            changed[random.integers(0, len(changed) if number % 2 else 30, 4)] ^= 255
            path = tmp_path / f"{number}{ending}"
            changed[: len(changed) // (1 + number % 3)].tofile(path)
            try:
                assert ImageFrames(32).read(VideoFile.of(path), 0, 1).shape[:2] == (3, 1)
            except UnreadableVideoError as error:
                assert str(path) in str(error)
                named += 1
    assert 0 < named < 48
    assert not boundary._condemned.keys() & {boundary._digest(p) for p in tmp_path.iterdir()}

"""One video's quantised flow in one file: losslessly compressed, any range readable, every field checked.

A field is a greyscale image, x above y, coded by itself with FFV1 (RFC 9043), which takes half of
PNG's space. The layout, little-endian: `I3DFLOW2`; number of fields, height, width and size of the
coder's configuration, then how many frames of the video were read, and of how many where that is not
all, else 0 and 0 (uint32); size and CRC-32 of each field (uint32 pairs); the configuration; CRC-32 of
all this (uint32); then the fields.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from jaxtyping import UInt8

from i3d_lightning.video.damage import Damage, note, watched

_HEADER = struct.Struct("<8s6I")
_MAGIC = b"I3DFLOW2"
_CRC = struct.Struct("<I")


class DamagedFlowError(Exception):
    """A flow file is cut off, or a checksum does not match."""


def pack(chunks: Iterable[UInt8[np.ndarray, "2 _ h w"]]) -> bytes:
    """Pack consecutive fields, at least one, into what a file of them holds.

    Damage that is noticed while the chunks are made is kept with them.
    """
    packets: list[bytes] = []
    codec: av.VideoCodecContext | None = None
    with watched() as seen:
        for chunk in chunks:
            if codec is None:
                height, width = chunk.shape[2:]
                codec = _codec("w", height, width)
                codec.time_base = Fraction(1, 25)  # asked for, but without meaning here
                codec.options = {"level": "3", "g": "1", "coder": "1"}
            for field in chunk.swapaxes(0, 1):
                image = np.ascontiguousarray(field.reshape(2 * height, width))
                packets += map(bytes, codec.encode(av.VideoFrame.from_ndarray(image, format="gray")))
    assert codec is not None
    frames = (seen.damage.read, seen.damage.of) if seen.damage else (0, 0)
    packets += map(bytes, codec.encode(None))
    configuration = codec.extradata or b""
    table = np.array([(len(packet), zlib.crc32(packet)) for packet in packets], "<u4")
    header = _HEADER.pack(_MAGIC, len(packets), height, width, len(configuration), *frames)
    header += table.tobytes() + configuration
    return b"".join([header, _CRC.pack(zlib.crc32(header)), *packets])


def read(path: Path, start: int, frames: int, period: int | None = None) -> UInt8[np.ndarray, "2 t h w"]:
    """Read consecutive fields and note the damage of the video they are of.

    They are looped where there are fewer, or after `period`.

    Raises:
        FileNotFoundError: There is no such file.
        DamagedFlowError: It is cut off, or a checksum does not match.
    """
    with path.open("rb") as file:
        header = _read_header(file)
        if header.damage:
            note(header.damage.read, header.damage.of)
        codec = _codec("r", header.height, header.width)
        codec.extradata = header.configuration
        there = len(header.sizes)
        fields = np.empty((2, frames, header.height, header.width), np.uint8)
        for position, number in enumerate((start + np.arange(frames)) % min(there, period or there)):
            file.seek(header.offsets[number])
            packet = file.read(header.sizes[number])
            if zlib.crc32(packet) != header.checksums[number]:
                raise DamagedFlowError(f"field {number} of {path} does not match its checksum")
            (image,) = codec.decode(av.Packet(packet))
            fields[:, position] = image.to_ndarray().reshape(2, header.height, header.width)
    return fields


def is_whole(path: Path) -> bool:
    """Check that a file is there, with a sound header and of the right size; its fields are not read."""
    try:
        with path.open("rb") as file:
            header = _read_header(file)
        return path.stat().st_size == header.offsets[-1] + header.sizes[-1]
    except (FileNotFoundError, DamagedFlowError):
        return False


@dataclass(frozen=True)
class _Header:
    height: int
    width: int
    configuration: bytes
    offsets: list[int]
    sizes: list[int]
    checksums: list[int]
    damage: Damage | None


def _read_header(file: BinaryIO) -> _Header:
    start = file.read(_HEADER.size)
    if len(start) < _HEADER.size or not start.startswith(_MAGIC):
        raise DamagedFlowError(f"{file.name} is not a flow file")
    _, fields, height, width, size, read, of = _HEADER.unpack(start)
    rest = file.read(8 * fields + size)
    if file.read(_CRC.size) != _CRC.pack(zlib.crc32(start + rest)) or not fields:
        raise DamagedFlowError(f"the header of {file.name} does not match its checksum")
    sizes, checksums = np.frombuffer(rest, "<u4", 2 * fields).reshape(fields, 2).T.astype(np.int64)
    offsets = file.tell() + np.cumsum(sizes) - sizes
    return _Header(
        height,
        width,
        rest[8 * fields :],
        offsets.tolist(),
        sizes.tolist(),
        checksums.tolist(),
        Damage(read, of) if of else None,
    )


def _codec(mode: str, height: int, width: int) -> av.VideoCodecContext:
    codec = av.CodecContext.create("ffv1", mode)
    codec.width, codec.height, codec.pix_fmt = width, 2 * height, "gray"
    codec.thread_count = 1  # many files are read at once
    return codec

"""Damaged and hostile videos: small real encodes of many kinds, and what may have happened to them."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np

ENCODES: dict[str, tuple[str, str, str]] = {
    "mpeg4.avi": ("avi", "mpeg4", "yuv420p"),
    "msmpeg4.avi": ("avi", "msmpeg4v2", "yuv420p"),
    "mjpeg.avi": ("avi", "mjpeg", "yuvj420p"),
    "h264.mp4": ("mp4", "libx264", "yuv420p"),
    "h264.mov": ("mov", "libx264", "yuv420p"),
    "ffv1.mkv": ("matroska", "ffv1", "yuv420p"),
    "h264.mkv": ("matroska", "libx264", "yuv420p"),
    "vp9.webm": ("webm", "libvpx-vp9", "yuv420p"),
    "vp8.webm": ("webm", "libvpx", "yuv420p"),
    "gif.gif": ("gif", "gif", "rgb8"),
    "flv.flv": ("flv", "flv", "yuv420p"),
    "mpeg2.mpg": ("mpeg", "mpeg2video", "yuv420p"),
    "mpeg1.mpg": ("mpeg", "mpeg1video", "yuv420p"),
    "h264.ts.mpg": ("mpegts", "libx264", "yuv420p"),
    "wmv2.wmv": ("asf", "wmv2", "yuv420p"),
}
"""File name -> container, codec, pixel format."""
BIG = {"wide.mp4": (4096, 16), "tall.mp4": (16, 4096), "large.avi": (2048, 1152)}
"""Sizes that small files can claim, and have."""

Damage = Callable[[bytes, random.Random], bytes]


def generate(folder: Path, count: int, seed: int = 0) -> Iterator[Path]:
    """Write so many videos: first the special ones, then encodes with every kind of damage in turn.

    The same seed gives the same files; a file's name says what was done to it.
    """
    kinds, damages = list(ENCODES), list(DAMAGES)
    made = 0
    for name, content in special():
        if made < count:
            yield _write(folder / f"{made:04}-{name}", content)
            made += 1
    while made < count:
        kind, damage = kinds[made % len(kinds)], damages[made // len(kinds) % len(damages)]
        rng = random.Random(f"{seed} {made}")
        yield _write(folder / f"{made:04}-{damage}-{kind}", DAMAGES[damage](encoded(kind), rng))
        made += 1


def special() -> Iterator[tuple[str, bytes]]:
    """Files that are whole, or made to look so, but not what a video usually is."""
    for kind in ENCODES:
        yield f"whole-{kind}", encoded(kind)
        yield f"one-frame-{kind}", encoded(kind, frames=1)
    for kind in ("mpeg4.avi", "h264.mp4", "h264.mkv", "vp9.webm"):
        yield f"latin1-title-{kind}", _title(kind)
        yield f"gap-{kind}", encoded(kind, gap=36_000)
        yield f"reversed-times-{kind}", encoded(kind, gap=-1)
    for name, (width, height) in BIG.items():
        yield name, encoded({"mp4": "h264.mp4", "avi": "mpeg4.avi"}[name[-3:]], 3, (width, height))
    yield "playlist.mp4", b"ffconcat version 1.0\nfile 0000-whole-mpeg4.avi\n"
    yield "playlist.avi", b"#EXTM3U\n#EXTINF:10,\n0000-whole-mpeg4.avi\n#EXT-X-ENDLIST\n"
    yield "sdp.mp4", b"v=0\nm=video 5004 RTP/AVP 96\nc=IN IP4 127.0.0.1\na=rtpmap:96 H264/90000\n"
    yield "script.avi", b"<html><body>404 Not Found</body></html>"
    yield "empty.avi", b""
    yield "zeros.mp4", bytes(50_000)
    yield "cover.mp4", _cover_art()
    yield "sound.mp4", _sound()
    yield "picture.mp4", b"\x89PNG\r\n\x1a\n" + encoded("gif.gif")[:100]


# --------------------------------------------------------------------------------------------- encodes


@cache
def encoded(kind: str, frames: int = 12, size: tuple[int, int] = (48, 32), gap: int = 0) -> bytes:
    """A real video: 12 frames of a wandering square; `gap` seconds before the last, or times that go back."""
    container_format, codec, pixels = ENCODES[kind]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "video"
        with av.open(str(path), "w", format=container_format) as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = *size, pixels
            stream.thread_count = 1
            container.start_encoding()
            packets = [p for t in range(frames) for p in stream.encode(_frame(t, size))] + stream.encode(None)
            for number, packet in enumerate(packets):
                if gap > 0 and number == len(packets) - 1 and packet.pts is not None:
                    packet.pts = packet.dts = packet.pts + int(gap / packet.time_base)
                elif gap < 0 and packet.pts is not None:
                    packet.pts = packet.pts // 2
                if gap:
                    with suppress(av.FFmpegError, ValueError):  # not every container takes that
                        container.mux(packet)
                else:
                    container.mux(packet)
        return path.read_bytes()


def _frame(time: int, size: tuple[int, int]) -> av.VideoFrame:
    width, height = size
    image = np.random.default_rng(time).integers(90, 130, (height, width, 3), dtype=np.uint8)
    image[4:14, 2 * time % max(1, width - 10) :][:, :10] = (220, 40, 40)
    return av.VideoFrame.from_ndarray(image, format="rgb24")


def _title(kind: str) -> bytes:
    """A title that is not UTF-8, as old cameras and players wrote it."""
    container_format, codec, pixels = ENCODES[kind]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "video"
        with av.open(str(path), "w", format=container_format) as container:
            container.metadata["title"] = "caf####"
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 48, 32, pixels
            for time in range(12):
                container.mux(stream.encode(_frame(time, (48, 32))))
            container.mux(stream.encode(None))
        return path.read_bytes().replace(b"caf####", b"caf\xe9\xff\xfe\xe9")


def _sound(cover: bytes | None = None) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sound"
        with av.open(str(path), "w", format="mp3") as container:
            stream = container.add_stream("libmp3lame", rate=44100)
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, 2 * 1152), np.int16), format="s16", layout="stereo"
            )
            silence.sample_rate = 44100
            for time in range(20):
                silence.pts = 1152 * time
                container.mux(stream.encode(silence))
            container.mux(stream.encode(None))
        content = path.read_bytes()
    if cover is None:
        return content
    body = b"\0image/png\0\x03\0" + cover
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    size = len(frame)
    sync = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + sync + frame + content


def _cover_art() -> bytes:
    """A song with a picture, which FFmpeg shows as a video of one frame."""
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = 48, 32, "rgb24"
    codec.time_base = Fraction(1, 25)
    picture = b"".join(bytes(p) for p in [*codec.encode(_frame(0, (48, 32))), *codec.encode(None)])
    return _sound(picture)


# --------------------------------------------------------------------------------------------- damages


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(1, len(content))]


def _beheaded(content: bytes, rng: random.Random) -> bytes:
    return content[rng.randrange(1, min(2000, len(content))) :]


def _bits(content: bytes, rng: random.Random, within: int | None = None) -> bytes:
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 3, 10, 50))):
        damaged[rng.randrange(min(within or len(damaged), len(damaged)))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _header(content: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 2, 5))):
        damaged[rng.randrange(min(600, len(damaged)))] = rng.choice((0, 255, rng.randrange(256)))
    return bytes(damaged)


def _numbers(content: bytes, rng: random.Random) -> bytes:
    """Put extreme numbers where headers keep sizes, rates and counts."""
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 2))):
        where = rng.randrange(min(1000, max(1, len(damaged) - 4)))
        damaged[where : where + 4] = rng.choice(
            (b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(4))
        )
    return bytes(damaged)


def _end(content: bytes, rng: random.Random) -> bytes:
    """Damage the end, where some containers keep their index."""
    reach = min(900, len(content))
    return content[:-reach] + _header(content[-reach:], rng)


def _zeros(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    length = rng.choice((16, 512, 4096))
    return content[:start] + bytes(min(length, len(content) - start)) + content[start + length :]


def _splice(content: bytes, rng: random.Random) -> bytes:
    other = encoded(rng.choice(list(ENCODES)))
    return content[: rng.randrange(len(content))] + other[rng.randrange(len(other)) :]


def _shuffled(content: bytes, rng: random.Random) -> bytes:
    size = rng.choice((64, 512, 2048))
    blocks = [content[i : i + size] for i in range(0, len(content), size)]
    rest = blocks[1:]
    rng.shuffle(rest)
    return b"".join([*blocks[:1], *rest])


def _twice(content: bytes, rng: random.Random) -> bytes:
    return content + content[rng.randrange(len(content)) :]


DAMAGES: dict[str, Damage] = {
    "cut": _cut,
    "beheaded": _beheaded,
    "bits": _bits,
    "header-bits": lambda content, rng: _bits(content, rng, within=400),
    "header": _header,
    "numbers": _numbers,
    "end": _end,
    "zeros": _zeros,
    "splice": _splice,
    "shuffled": _shuffled,
    "twice": _twice,
}


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path

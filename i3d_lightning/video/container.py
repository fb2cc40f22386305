"""Opening video files with FFmpeg: which formats are admitted, which stream is the video, its packets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from i3d_lightning.errors import UnreadableVideoError
from i3d_lightning.video import budgets

FORMATS = (
    *("mov", "matroska", "avi", "gif", "mpeg", "mpegts", "asf", "flv", "ogg", "mxf"),
    *("mpegvideo", "m4v", "h264", "hevc", "ivf"),  # without a container
)
"""Formats that are opened, as FFmpeg calls them: mov is MP4 too, matroska WebM, asf WMV. No playlists."""
_OPTIONS = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "file"}


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the video stream of a file; covers of music are none.

    Raises:
        UnreadableVideoError: The file is not a video.
    """
    try:
        # without file: what a name has before a colon is taken for a protocol
        container = av.open(f"file:{path}", container_options=_OPTIONS, metadata_errors="replace")
    except av.ArgumentError as error:
        raise UnreadableVideoError(
            f"{path} holds no video in a format that is read here ({', '.join(FORMATS)}): "
            f"convert it or leave it out."
        ) from error
    except (av.FFmpegError, OSError) as error:
        raise UnreadableVideoError(
            f"{path} cannot be read as a video ({reason(error)}): is it complete?"
        ) from error
    with container:
        moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not moving:
            raise UnreadableVideoError(f"{path} holds no video: give a file with moving pictures.")
        stream = moving[0]
        if stream.codec_context is None:
            raise UnreadableVideoError(
                f"{path} is in a coding that FFmpeg does not know: download it again or leave it out."
            )
        stream.codec_context.thread_count = 1  # data-loading processes already share the cores
        stream.codec_context.options = {"max_pixels": str(budgets.PIXELS)}  # also of what comes in mid-stream
        yield container, stream


def packets_of(container: InputContainer, *streams: VideoStream) -> Iterator[av.Packet]:
    """Yield the packets of some streams, or of all, in the file's order, up to where it breaks off."""
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        if packet.size or packet.dts is not None:  # a last, empty one flushes decoders
            yield packet


def is_sound(packet: av.Packet) -> bool:
    """Check that a packet holds something that can be decoded."""
    return bool(packet.size) and not packet.is_corrupt


def reason(error: BaseException) -> str:
    """Say in one line what FFmpeg or the system says is wrong."""
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__

"""Image files as arrays; what the decoding process does (see `decoder`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.video import budgets
from i3d_lightning.video.frames import Empty

cv2.setNumThreads(0)  # decoders already share the cores


def read_picture(path: Path, short_side: int, *, empty: Empty) -> tuple[np.ndarray, None]:
    """Read an image, resized, as RGB `h w c`.

    Raises:
        UnreadableVideoError: It is none, or of a size that no real one has.
    """
    image = _decode(path, cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise UnreadableVideoError(f"{path} cannot be read as an image: download it again or leave it out.")
    height, width = image.shape[:2]
    budgets.check_size(path, width, height, budgets.IMAGE_PIXELS, budgets.IMAGE_ASPECT)
    scale = short_side / min(height, width)
    size = max(short_side, round(width * scale)), max(short_side, round(height * scale))
    budgets.check_answer(path, 1, *size)
    resized = empty((size[1], size[0], 3))
    resized[:] = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return resized, None


def read_flow_images(
    first: Path, x: Sequence[Path], y: Sequence[Path], short_side: int, *, empty: Empty
) -> tuple[np.ndarray, None]:
    """Read flow fields that are stored as greyscale images, resized, as `2 t h w`.

    Args:
        first: The first of them.
        x: Images of the first component.
        y: Images of the second.
        short_side: Length that the shorter side is resized to, in pixels; displacements are scaled with it.
        empty: Makes the array that fields are written to.

    Raises:
        InputError: One cannot be read, or they differ in size.
    """
    fields: np.ndarray | None = None
    for direction, files in enumerate((x, y)):
        for time, file in enumerate(files):
            field = _flow_image(file, short_side)
            if fields is None:
                budgets.check_answer(file, 2 * len(x), *field.shape)
                fields = empty((2, len(x), *field.shape))
            if field.shape != fields.shape[2:]:
                raise InputError(f"The flow images in {first.parent} differ in size: get them again.")
            fields[direction, time] = field
    assert fields is not None
    return fields, None


def _flow_image(file: Path, short_side: int) -> np.ndarray:
    image = _decode(file, cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise InputError(f"{file} cannot be read as an image: it may be cut off, get it again.")
    budgets.check_size(file, image.shape[1], image.shape[0])
    scale = short_side / min(image.shape)
    if scale == 1:
        return image
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    resized = cv2.resize(image.astype(np.float32) - 127.5, size, interpolation=cv2.INTER_LINEAR)
    return (resized * scale + 127.5).round().clip(0, 255).astype(np.uint8)


def _decode(path: Path, kind: int) -> np.ndarray | None:
    content = np.fromfile(path, np.uint8)
    try:
        return cv2.imdecode(content, kind) if len(content) else None
    except cv2.error:  # more pixels than OPENCV_IO_MAX_IMAGE_PIXELS
        return None

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from i3d_lightning.errors import InputError
from i3d_lightning.flow import FlowImages
from i3d_lightning.flow.image_folders import one_each
from i3d_lightning.video.file import VideoFile

LAYOUTS = {
    "dense_flow": ("{video}/flow_x_{n:05d}.jpg", "{video}/flow_y_{n:05d}.jpg"),
    "in classes": ("Diving/{video}/flow_x_{n:05d}.jpg", "Diving/{video}/flow_y_{n:05d}.jpg"),
    "feichtenhofer": ("u/{video}/frame{n:06d}.jpg", "v/{video}/frame{n:06d}.jpg"),
}
VIDEO = VideoFile(Path("/videos/Diving/v_Diving_g01_c01.avi"))


def write(root: Path, layout: str, fields: int = 5) -> None:
    """Field n moves n px to the right and n / 2 px up."""
    for direction, pattern in zip((1, -0.5), LAYOUTS[layout], strict=True):
        for n in range(fields):
            file = root / pattern.format(video=VIDEO.path.stem, n=n + 1)
            file.parent.mkdir(parents=True, exist_ok=True)
            value = round(127.5 + direction * n / 20 * 127.5)
            cv2.imwrite(str(file), np.full((32, 40), value, np.uint8))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fields_are_read_in_order_and_looped(layout, tmp_path):
    write(tmp_path, layout)
    flow = FlowImages(tmp_path, 32)
    assert flow.length(VIDEO) == 5
    fields = flow.read(VIDEO, 3, 4)
    assert fields.shape == (2, 4, 32, 40)
    pixels = (fields.float().mean((2, 3)) / 127.5 - 1) * 20
    assert pixels[0].tolist() == pytest.approx([3, 4, 0, 1], abs=0.1)
    assert pixels[1].tolist() == pytest.approx([-1.5, -2, 0, -0.5], abs=0.1)


def test_a_name_stands_for_one_video(tmp_path):
    """Else a video would get another's fields."""
    for place in ("Diving", "Running"):
        write(tmp_path / place, "dense_flow")
    with pytest.raises(
        InputError, match=r"several folders of flow images of v_Diving_g01_c01.*a name of its"
    ):
        FlowImages(tmp_path, 32).length(VIDEO)
    with pytest.raises(InputError, match="would get the same flow images"):
        one_each([VIDEO, VideoFile(Path("/videos/Running/v_Diving_g01_c01.avi"))], "flow")
    one_each([VIDEO, VIDEO], "flow")


def test_displacements_grow_with_the_size(tmp_path):
    write(tmp_path, "dense_flow")
    fields = FlowImages(tmp_path, 64).read(VIDEO, 4, 1)
    assert fields.shape == (2, 1, 64, 80)
    assert (fields[0].float().mean() / 127.5 - 1) * 20 == pytest.approx(8, abs=0.1)


def test_what_is_missing_or_broken_is_named(tmp_path):
    flow = FlowImages(tmp_path, 32)
    with pytest.raises(InputError, match="there are 0 flow images of v_Diving_g01_c01 in x and 0 in y"):
        flow.length(VIDEO)
    write(tmp_path / "one less", "dense_flow")
    (tmp_path / "one less" / VIDEO.path.stem / "flow_y_00003.jpg").unlink()
    with pytest.raises(InputError, match="5 flow images of v_Diving_g01_c01 in x and 4 in y"):
        FlowImages(tmp_path / "one less", 32).read(VIDEO, 0, 1)
    write(tmp_path / "cut", "dense_flow")
    broken = tmp_path / "cut" / VIDEO.path.stem / "flow_x_00001.jpg"
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(InputError, match=r"flow_x_00001\.jpg cannot be read as an image"):
        FlowImages(tmp_path / "cut", 32).read(VIDEO, 0, 1)

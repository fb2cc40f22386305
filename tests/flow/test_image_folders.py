from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numbered import write as write_video

from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.flow import FlowImages, FlowStore
from i3d_lightning.flow.image_folders import one_each
from i3d_lightning.recipe import Flow
from i3d_lightning.video.decoding import length
from i3d_lightning.video.file import VideoFile

LAYOUTS = {
    "dense_flow": ("{video}/flow_x_{n:05d}.jpg", "{video}/flow_y_{n:05d}.jpg"),
    "in classes": ("Diving/{video}/flow_x_{n:05d}.jpg", "Diving/{video}/flow_y_{n:05d}.jpg"),
    "feichtenhofer": ("u/{video}/frame{n:06d}.jpg", "v/{video}/frame{n:06d}.jpg"),
}
NAME = "v_Diving_g01_c01"


@pytest.fixture
def video(make_video):
    """Of six frames at 25 fps."""
    return VideoFile(make_video(f"{NAME}.mkv", frames=6))


def write(root: Path, layout: str, fields: int = 5, motion: Callable[[int], float] = float) -> None:
    """Field n moves so many px to the right and half as many up."""
    for direction, pattern in zip((1, -0.5), LAYOUTS[layout], strict=True):
        for n in range(fields):
            file = root / pattern.format(video=NAME, n=n + 1)
            file.parent.mkdir(parents=True, exist_ok=True)
            value = round(127.5 + direction * motion(n) / 20 * 127.5)
            cv2.imwrite(str(file), np.full((32, 40), value, np.uint8))


def pixels(fields: torch.Tensor) -> list[list[float]]:
    """Mean motion of each field in px, to the right and down."""
    return ((fields.double().mean((2, 3)) / 127.5 - 1) * 20).tolist()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fields_are_read_in_order_and_looped(layout, tmp_path, video):
    write(tmp_path, layout)
    flow = FlowImages(tmp_path, 25.0, 32)
    assert flow.length(video) == 5
    fields = flow.read(video, 3, 4)
    assert fields.shape == (2, 4, 32, 40)
    right, down = pixels(fields)
    assert right == pytest.approx([3, 4, 0, 1], abs=0.1)
    assert down == pytest.approx([-1.5, -2, 0, -0.5], abs=0.1)
    assert pixels(flow.read(video, 0, 4, period=3))[0] == pytest.approx([0, 1, 2, 0], abs=0.1)


@pytest.mark.parametrize("fields", [19, 20])
@pytest.mark.parametrize("fps", [30.0, 25.0, 12.5])
def test_fields_of_a_videos_own_frames_are_resampled_as_its_frames_are(make_video, tmp_path, fps, fields):
    """A field that begins at the frame that RGB shows, and ends at the next that it shows."""
    video = VideoFile(make_video(f"{NAME}.mkv", frames=20, fps=30))
    write(tmp_path, "dense_flow", fields, motion=lambda n: n % 5)
    flow = FlowImages(tmp_path, fps, 32)
    frames = length(video.path, fps=fps)
    assert flow.length(video) == frames - 1
    shown = [i * 30 // fps for i in range(frames)]
    expected = [sum(n % 5 for n in range(int(one), int(other))) for one, other in pairwise(shown)]
    assert pixels(flow.read(video, 0, frames - 1))[0] == pytest.approx(expected, abs=0.25)
    assert pixels(flow.read(video, 3, 2))[0] == pytest.approx(expected[3:5], abs=0.25)


def test_fields_of_the_timelines_own_frames_are_taken_one_by_one(make_video, tmp_path):
    video = VideoFile(make_video(f"{NAME}.mkv", frames=30, fps=30))
    for fields in (24, 25):
        write(tmp_path / str(fields), "dense_flow", fields, motion=lambda n: n % 5)
        flow = FlowImages(tmp_path / str(fields), 25.0, 32)
        assert flow.length(video) == 24
        assert pixels(flow.read(video, 0, 24))[0] == pytest.approx([n % 5 for n in range(24)], abs=0.1)


def test_a_repeated_frame_does_not_move(make_video, tmp_path):
    """As flow that is computed of it has it, also where nothing else is asked for."""
    video = VideoFile(make_video(f"{NAME}.mkv", frames=6, fps=12.5))
    write(tmp_path, "dense_flow", motion=lambda n: n + 1)
    flow = FlowImages(tmp_path, 25.0, 32)
    assert flow.length(video) == 11
    assert pixels(flow.read(video, 0, 11))[0] == pytest.approx([0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0], abs=0.1)
    assert pixels(flow.read(video, 4, 1))[0] == pytest.approx([0], abs=0.1)


@pytest.mark.parametrize("fields", [1, 18, 22, 28, 31])
def test_fields_of_other_frames_are_refused(make_video, tmp_path, fields):
    """Whatever they are of, it is not what RGB shows at that time."""
    video = VideoFile(make_video(f"{NAME}.mkv", frames=30, fps=30))
    write(tmp_path, "dense_flow", fields, motion=lambda n: 1)
    sentence = (
        rf"{fields} flow images of {NAME}, which has 30 frames and 25 at clips\.fps 25: get one of every"
    )
    with pytest.raises(InputError, match=sentence):
        FlowImages(tmp_path, 25.0, 32).read(video, 0, 1)


def test_a_single_frame_has_no_flow(make_video, tmp_path):
    video = VideoFile(make_video(f"{NAME}.mkv", frames=1))
    write(tmp_path, "dense_flow", 1)
    with pytest.raises(UnreadableVideoError, match="single frame and therefore no flow"):
        FlowImages(tmp_path, 25.0, 32).length(video)


def test_resampled_fields_are_those_that_are_computed_of_the_timeline(tmp_path):
    """Of a picture that slides by 2 px a frame at 30 fps: at 25 fps every fifth step is of 4 px."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 40, 3)).astype(np.uint8)
    scene = cv2.GaussianBlur(cv2.resize(noise, (200, 48), interpolation=cv2.INTER_CUBIC), (7, 7), 0)
    pictures = [np.ascontiguousarray(scene[:, 100 - 2 * t : 180 - 2 * t]) for t in range(24)]
    video = VideoFile(tmp_path / f"{NAME}.mkv")
    write_video(video.path, pictures, "ffv1", "bgr0", Fraction(30), None, {}, {})
    fields = {}
    for fps in (30.0, 25.0):
        store = FlowStore(tmp_path / "store", Flow(), fps, 48)
        store.compute([video], progress=False)
        fields[fps] = store.read(video, 0, store.length(video))
    for number, field in enumerate(fields[30.0].unbind(1), 1):
        for axis, image in zip("xy", field.numpy(), strict=True):
            path = tmp_path / NAME / f"flow_{axis}_{number:05d}.png"
            path.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(path), image)
    flow = FlowImages(tmp_path, 25.0, 48)
    resampled = flow.read(video, 0, flow.length(video))
    assert resampled.shape == fields[25.0].shape
    inner = (..., slice(8, -8), slice(8, -8))
    motion = pixels(resampled[inner])[0]
    assert motion == pytest.approx([4 if t % 5 == 4 else 2 for t in range(len(motion))], abs=0.25)
    assert motion == pytest.approx(pixels(fields[25.0][inner])[0], abs=0.25)


def test_a_name_stands_for_one_video(tmp_path, video):
    """Else a video would get another's fields."""
    for place in ("Diving", "Running"):
        write(tmp_path / place, "dense_flow")
    with pytest.raises(
        InputError, match=r"several folders of flow images of v_Diving_g01_c01.*a name of its"
    ):
        FlowImages(tmp_path, 25.0, 32).length(video)
    with pytest.raises(InputError, match="would get the same flow images"):
        one_each([video, VideoFile(Path("/videos/Running/v_Diving_g01_c01.avi"))], "flow")
    one_each([video, video], "flow")


def test_displacements_grow_with_the_size(tmp_path, video):
    write(tmp_path, "dense_flow")
    fields = FlowImages(tmp_path, 25.0, 64).read(video, 4, 1)
    assert fields.shape == (2, 1, 64, 80)
    assert (fields[0].float().mean() / 127.5 - 1) * 20 == pytest.approx(8, abs=0.1)


def test_what_is_missing_or_broken_is_named(tmp_path, video):
    flow = FlowImages(tmp_path, 25.0, 32)
    with pytest.raises(InputError, match="there are 0 flow images of v_Diving_g01_c01 in x and 0 in y"):
        flow.length(video)
    write(tmp_path / "one less", "dense_flow")
    (tmp_path / "one less" / NAME / "flow_y_00003.jpg").unlink()
    with pytest.raises(InputError, match="5 flow images of v_Diving_g01_c01 in x and 4 in y"):
        FlowImages(tmp_path / "one less", 25.0, 32).read(video, 0, 1)
    write(tmp_path / "cut", "dense_flow")
    broken = tmp_path / "cut" / NAME / "flow_x_00001.jpg"
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(InputError, match=r"flow_x_00001\.jpg cannot be read as an image"):
        FlowImages(tmp_path / "cut", 25.0, 32).read(video, 0, 1)

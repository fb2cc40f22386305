from __future__ import annotations

import cv2
import numpy as np
import pytest

from i3d_lightning.datasets.datamodule import VideoDataModule
from i3d_lightning.datasets.registry import read_dataset
from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.recipe import Clips, Recipe, Training
from i3d_lightning.video.file import VideoFile
from i3d_lightning.video.images import ImageFrames


@pytest.fixture
def root(tmp_path):
    """Two classes, four training images and one for validation each."""
    random = np.random.default_rng(0)
    for part, count in (("train", 4), ("val", 1)):
        for name in ("n02", "n01"):
            for i in range(count):
                path = tmp_path / "imagenet" / part / name / f"{i}.JPEG"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), random.integers(0, 255, (60 + 10 * i, 50, 3), dtype=np.uint8))
    return tmp_path / "imagenet"


def test_folders_are_classes(root):
    split = read_dataset("imagenet", root, 1)
    assert split.classes == ("n01", "n02")
    assert (len(split.train), len(split.test), split.tested_on) == (8, 2, "validate")
    assert {video.path.parent.name: video.label for video in split.train} == {"n01": 0, "n02": 1}


def test_an_image_is_a_clip_of_one_frame(root):
    recipe = Recipe(
        clips=Clips(short_side=40, crop=32, train_frames=1, test_frames=1),
        training=Training(batch_size=4, device_batch=4, validate_every=1, workers=0),
    )
    data = VideoDataModule(read_dataset("imagenet", root, 1), "rgb", recipe, seed=0)
    (clip,) = next(iter(data.train_dataloader()))["clips"]
    assert clip.shape == (4, 3, 1, 32, 32)
    (group,) = next(iter(data.test_dataloader()))["groups"]
    assert group["clips"][0].shape == (2, 3, 1, 32, 32)


def test_images_are_resized_by_their_shorter_side_and_stay_red_green_blue(tmp_path):
    image = np.zeros((30, 60, 3), np.uint8)
    image[..., 0] = 200  # blue, as OpenCV writes
    cv2.imwrite(str(tmp_path / "blue.png"), image)
    seen = ImageFrames(20).read(VideoFile(tmp_path / "blue.png"), 0, 1)
    assert seen.shape == (3, 1, 20, 40)
    assert seen[:, 0, 0, 0].tolist() == [0, 0, 200]


def test_what_is_wrong_is_named(root, tmp_path):
    (root / "val" / "n03").mkdir()
    (root / "val" / "n03" / "x.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="classes without training images, such as 'n03'"):
        read_dataset("imagenet", root, 1)
    with pytest.raises(UnreadableVideoError, match=r"x\.png cannot be read as an image"):
        ImageFrames(20).read(VideoFile(root / "val" / "n03" / "x.png"), 0, 1)
    with pytest.raises(UnreadableVideoError, match=r"gone\.png is not a file"):
        ImageFrames(20).read(VideoFile(tmp_path / "gone.png"), 0, 1)
    with pytest.raises(InputError, match="No training images below"):
        read_dataset("imagenet", tmp_path, 1)

"""Class activation maps: their mean is the network's logit, and they lie where things are."""

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
import pytest
import torch
from PIL import Image

from i3d_lightning.cli.main import main
from i3d_lightning.errors import InputError
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.predict.predictor import Predictor
from i3d_lightning.recipe import Clips, Flow, Training
from i3d_lightning.weights import save_weights


@pytest.fixture
def square(tmp_path):
    """A red square in the lower right corner, 64x64 px, for the second half of 16 frames."""
    path = tmp_path / "square.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for t in range(16):
            frame = np.full((64, 64, 3), 90, np.uint8)
            if t >= 8:
                frame[40:60, 40:60] = (250, 0, 0)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def weights_of(architecture: str, path, clips: Clips, stream: str = "rgb", **said: object) -> Predictor:
    torch.manual_seed(0)
    network = ARCHITECTURES[architecture].build(3, stream, clips, Training())
    torch.nn.init.normal_(network.classifier.weight, std=0.1)
    torch.nn.init.normal_(network.classifier.bias)
    known = {"pretraining": None, "labels": ("Red", "Green", "Blue"), "clips": clips, **said}
    save_weights(path, network, architecture=architecture, stream=stream, **known)
    return Predictor(str(path))


@pytest.mark.parametrize("flip", [False, True])
def test_maps_average_to_the_logits_that_predict(tmp_path, square, flip):
    clips = Clips(short_side=64, crop=64, train_frames=9, test_frames=16, test_flip=flip)
    predictor = weights_of("i3d", tmp_path / "i3d", clips)
    found = predictor.activation_maps(square, ["Blue", "Red", "Green"])
    assert found.labels == ("Blue", "Red", "Green") and found.maps.shape == (3, 2, 2, 2)
    assert found.maps[0].std() > 0.01, "places differ"
    torch.testing.assert_close((found.maps * found.shares).sum((1, 2, 3)), found.logits)
    expected = dict(predictor(square))
    told = dict(zip(found.labels, found.probabilities.tolist(), strict=True))
    assert told == pytest.approx(expected, abs=1e-5)
    assert predictor.activation_maps(square).labels == (max(expected, key=expected.__getitem__),)
    assert found.frames.shape == (3, 16, 64, 64) and found.seconds == pytest.approx(16 / 25)


@pytest.mark.parametrize("flip", [False, True])
def test_a_map_lies_over_what_it_is_of(save, square, flip):
    clips = Clips(short_side=64, crop=64, train_frames=4, test_frames=16, test_flip=flip)
    found = Predictor(save(clips=clips)).activation_maps(square, ["Red"])
    inside, near = torch.zeros(2, 16, 64, 64, dtype=torch.bool)
    inside[8:, 42:58, 42:58] = True
    near[7:, 36:, 36:] = True
    assert float(found.maps[0][inside].min()) > float(found.maps[0][~near].max()) + 0.5


def test_the_maps_of_flow_lie_over_frames(tmp_path, square):
    settings = Flow(scales=1, warps=1, inner_iterations=3, outer_iterations=1)
    clips = Clips(short_side=64, crop=64, train_frames=10, test_frames=20, snapshot=10)
    predictor = weights_of("two-stream", tmp_path / "flow", clips, "flow", flow=settings)
    found = predictor.activation_maps(square, ["Red"])
    assert found.maps.shape == (1, 1, 2, 2) and found.frames.shape == (3, 1, 64, 64)
    told = dict(predictor(square))["Red"]
    assert float(found.probabilities[0]) == pytest.approx(told, abs=1e-5)


def test_a_network_without_such_maps_and_a_class_that_is_none(tmp_path, save, square):
    clips = Clips(short_side=32, crop=32, train_frames=4, test_frames=4, snapshot=2)
    with pytest.raises(InputError, match="convnet-lstm has no class activation maps"):
        weights_of("convnet-lstm", tmp_path / "lstm", clips).activation_maps(square)
    with pytest.raises(InputError, match="Unknown class 'Rad': did you mean 'Red'"):
        Predictor(save()).activation_maps(square, ["Rad"])


def test_a_picture_of_maps_glows_where_the_square_is(save, square, tmp_path, capsys):
    weights = save(clips=Clips(short_side=64, crop=64, train_frames=4, test_frames=16))
    picture = tmp_path / "m.png"
    main(["predict", str(square), f"--weights={weights}", f"--maps={picture}", "--class=Red"])
    said = capsys.readouterr()
    assert said.out.splitlines()[1].endswith("Red") and str(picture) in said.err
    drawn = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    top = drawn[: drawn.shape[0] // 2, : drawn.shape[1] // 2]  # frames before the square
    other = drawn[: drawn.shape[0] // 2, drawn.shape[1] // 2 : int(0.9 * drawn.shape[1])]
    warm = [((part[..., 0] - part[..., 2]) > 80).mean() for part in (top, other)]
    assert warm[0] < 0.01 < warm[1]


@pytest.mark.slow
def test_real_weights_over_time_and_space(assets):
    predictor = Predictor(str(assets / "weights" / "i3d-kinetics-400.ckpt"))
    predictor.clips = replace(predictor.clips, train_frames=32, test_frames=64)
    video = next((assets / "ucf101" / "videos").rglob("v_PullUps_g01_c01.avi"))
    found = list(predictor.over_time(video, every=2.0))
    assert {moment.best(1)[0][0] for moment in found} == {"pull ups"}
    maps = predictor.activation_maps(video)
    ((label, p),) = predictor(video, top=1)
    assert maps.labels == (label,) == ("pull ups",)
    assert maps.maps.shape == (1, 8, 7, 7)
    assert float(maps.probabilities[0]) == pytest.approx(p, abs=1e-5)

from __future__ import annotations

import dataclasses
import re

import pytest
import torch
from tiny import centre_crop

from i3d_lightning.datasets.clips import (
    CentreClips,
    RGBFrames,
    TrainingClips,
    WholeVideos,
    collate,
    worst,
)
from i3d_lightning.datasets.registry import read_dataset
from i3d_lightning.datasets.split import Video
from i3d_lightning.errors import InputError
from i3d_lightning.flow import FlowFromFrames, FlowStore, FlowToCome, compute_all
from i3d_lightning.networks import paper
from i3d_lightning.recipe import Clips, Flow
from i3d_lightning.video.damage import Damage
from i3d_lightning.video.decoding import read_clip, read_video

CLIPS = Clips(fps=25.0, short_side=32, crop=24, train_frames=9, test_frames=10, flip=True)
FRAMES = RGBFrames(25.0, 32)


@pytest.fixture
def videos(tiny_ucf):
    return read_dataset("ucf101", tiny_ucf, 1).train


@pytest.fixture
def bad(videos, tmp_path):
    broken = tmp_path / "broken.avi"
    broken.write_bytes(b"no video")
    return dataclasses.replace(videos[1], id="broken", path=broken)


def training(videos, clips=CLIPS, seed=0):
    return TrainingClips(videos, [FRAMES], clips, seed)


def test_every_pass_shows_every_video_with_its_label(videos):
    clips = training(videos)
    for pass_ in range(2):
        items = [clips[pass_ * len(videos) + i] for i in range(len(videos))]
        assert sorted(item["index"] for item in items) == list(range(len(videos)))
        assert all(item["label"] == videos[item["index"]].label for item in items)
        assert all(item["clips"][0].shape == (3, 9, 24, 24) for item in items)


def test_a_number_gives_the_same_clip_at_any_time(videos):
    first, second = training(videos), training(videos)
    for number in (40, 3, 3, 17):
        assert torch.equal(first[number]["clips"][0], second[number]["clips"][0])
    other = training(videos, seed=1)
    assert any(not torch.equal(first[n]["clips"][0], other[n]["clips"][0]) for n in range(3))


def test_a_training_clip_is_a_piece_of_its_video(videos):
    clips = training(videos)
    mirrored = 0
    for number in range(16):
        item = clips[number]
        video = read_video(videos[item["index"]].path, fps=25.0, short_side=32, most=99)
        pieces = video.unfold(1, 9, 1).unfold(2, 24, 1).unfold(3, 24, 1)  # c start top left t h w
        same = [
            (pieces == wanted[:, None, None, None]).all(-1).all(-1).all(-1).all(0).any().item()
            for wanted in (item["clips"][0], item["clips"][0].flip(-1))
        ]
        assert sorted(same) == [False, True]
        mirrored += same[1]
    assert 2 < mirrored < 14


def test_no_flip_where_direction_matters(videos):
    upright = training(videos, dataclasses.replace(CLIPS, flip=False, crop=32))
    for number in range(8):
        item = upright[number]
        pieces = read_video(videos[item["index"]].path, fps=25.0, short_side=32, most=99).unfold(1, 9, 1)
        wanted = item["clips"][0].movedim(1, -1)  # c h w t
        lefts = range(pieces.shape[3] - 31)
        assert any(
            torch.equal(pieces[:, start, :, left : left + 32], wanted)
            for start in range(pieces.shape[1])
            for left in lefts
        )


def test_jitter_is_off_unless_asked_for(videos):
    plain = training(videos)[5]["clips"][0]
    jittered = training(videos, dataclasses.replace(CLIPS, photometric_jitter=0.5))[5]["clips"][0]
    assert not torch.equal(plain, jittered)


def test_flow_is_flipped_with_its_sign(videos):
    class Flow:
        is_flow = True

        def length(self, video):
            return 9

        def read(self, video, start, frames, period=None):
            return torch.full((2, frames, 24, 24), 200, dtype=torch.uint8)

    clips = TrainingClips(videos, [Flow()], dataclasses.replace(CLIPS, photometric_jitter=0.5), 0)
    seen = {tuple(clips[number]["clips"][0][:, 0, 0, 0].tolist()) for number in range(20)}
    assert seen == {(200, 200), (55, 200)}


def test_an_unreadable_video_is_replaced(videos, bad):
    clips = training([bad, *videos])
    items = enumerate(clips[number] for number in range(len(videos) + 1))
    ((number, replaced),) = [(number, item) for number, item in items if item["unreadable"]]
    assert "broken.avi cannot be read" in replaced["unreadable"]["broken"]
    assert replaced["index"] > 0
    assert replaced["clips"][0].shape == (3, 9, 24, 24)
    assert torch.equal(training([bad, *videos])[number]["clips"][0], replaced["clips"][0])


def test_nothing_readable(bad):
    item = training([bad])[0]
    assert item["clips"] is None
    assert list(item["unreadable"]) == ["broken"]


def test_validation_is_the_clip_in_the_middle(videos, bad):
    clips = CentreClips([*videos, bad], [FRAMES], CLIPS)
    expected = centre_crop(read_clip(videos[2].path, 1, 9, fps=25.0, short_side=32), 24)
    assert torch.equal(clips[2]["clips"][0], expected)
    last = clips[len(videos)]
    assert last["index"] == 0
    assert torch.equal(last["clips"][0], clips[0]["clips"][0])
    assert list(last["unreadable"]) == ["broken"]


@pytest.mark.parametrize(
    ("test_frames", "train_frames", "frames"),
    [(10, 9, [*range(10)]), (99, 9, [*range(12)]), (99, 14, [*range(12), 0, 1])],
)
def test_whole_videos(videos, test_frames, train_frames, frames):
    clips = dataclasses.replace(CLIPS, test_frames=test_frames, train_frames=train_frames)
    item = WholeVideos(videos, [FRAMES], clips)[3]
    video = centre_crop(read_video(videos[3].path, fps=25.0, short_side=32, most=99), 24)
    assert torch.equal(item["clips"][0], video[:, frames])
    assert (item["index"], item["label"], item["error"]) == (3, videos[3].label, None)


@pytest.mark.parametrize("architecture", paper(), ids=lambda a: a.name)
def test_a_long_video_is_tested_on_its_first_ten_seconds_whatever_the_network(make_video, architecture):
    """As the authors do (kinetics-i3d, issue 28); of a video at 30 fps these are its first 300 frames."""
    video = Video("long", make_video(frames=400, fps=30), 0, "")
    clips = dataclasses.replace(architecture.clips, short_side=48, crop=48)
    (seen,) = WholeVideos([video], [RGBFrames(25.0, 48, clips.snapshot)], clips)[0]["clips"]
    middle = clips.snapshot // 2
    shown = [frame * 30 // 25 for frame in range(middle, clips.test_frames, clips.snapshot)]
    assert shown[-1] in range(280, 300)
    own = read_clip(video.path, 0, 300, fps=30.0, short_side=48)
    assert torch.equal(seen, centre_crop(own, 48)[:, shown])


@pytest.mark.parametrize("side", [0, 31, 32])
def test_another_crop_at_test_alone(videos, side):
    clips = dataclasses.replace(CLIPS, test_crop=side, train_frames=12)
    (tested,) = WholeVideos(videos, [FRAMES], clips)[0]["clips"]
    whole = read_clip(videos[0].path, 0, 10, fps=25.0, short_side=32)
    assert whole.shape[2:] == (32, 40)
    top, left = {0: (4, 8), 31: (0, 4), 32: (0, 4)}[side]
    side = side or 24
    assert torch.equal(tested, whole[:, :, top : top + side, left : left + side])
    for other in (training(videos, clips), CentreClips(videos, [FRAMES], clips)):
        assert other[0]["clips"][0].shape == (3, 12, 24, 24)


FLOW = Flow(scales=1, warps=1, inner_iterations=2, outer_iterations=1, bound=4.0)


@pytest.mark.parametrize("source", ["stored", "computed"])
def test_a_short_video_seen_jointly_starts_again_in_both_at_once(videos, tmp_path, source):
    """Of 12 frames there are 11 fields: the twelfth frame, which has none, is left out of the loop."""
    video = videos[0]
    store = FlowStore(tmp_path, FLOW, 25.0, 32)
    store.compute([video.file], progress=False)
    fields = store.read(video.file, 0, 11)
    frames = read_clip(video.path, 0, 12, fps=25.0, short_side=32)
    sources = [FRAMES, store if source == "stored" else FlowFromFrames(25.0, 32)]
    clips = dataclasses.replace(CLIPS, crop=32, train_frames=26, test_frames=99, flip=False)
    looped = torch.arange(26) % 11
    for whole in (WholeVideos, CentreClips):
        item = whole([video], sources, clips)[0]
        assert item.get("looped", True)
        rgb, flow = seen_together(item)
        assert torch.equal(rgb, centre_crop(frames, 32)[:, looped])
        assert (flow.int() - centre_crop(fields, 32)[:, looped].int()).abs().max() <= 1
    for clip in seen_together(TrainingClips([video], sources, clips, 0)[3]):
        assert torch.equal(clip, clip[:, looped])
        assert not torch.equal(clip[:, 0], clip[:, 10])
    assert not WholeVideos([video], sources, dataclasses.replace(clips, train_frames=11))[0]["looped"]
    snapshots = [RGBFrames(25.0, 32, snapshot=4), sources[1]]
    clips = dataclasses.replace(clips, train_frames=24, snapshot=4, test_frames=96)
    rgb, _ = seen_together(WholeVideos([video], snapshots, clips)[0])
    assert torch.equal(rgb, centre_crop(frames, 32)[:, [2, 6, 10, 14 - 11, 18 - 11, 22 - 22]])


def seen_together(item):
    return [compute_all([clip], FLOW)[0] if isinstance(clip, FlowToCome) else clip for clip in item["clips"]]


def test_flow_of_another_shape_than_the_frames_is_refused(videos):
    """Flow images of 340x256 px beside frames of 341x256 px are usual; squeezed ones are of other places."""

    class Images:
        is_flow = True

        def __init__(self, width):
            self.width = width

        def length(self, video):
            return 11

        def read(self, video, start, frames, period=None):
            return torch.zeros(2, frames, 32, self.width, dtype=torch.uint8)

    clips = dataclasses.replace(CLIPS, crop=32)
    for width in (38, 39, 40, 42):
        joint = TrainingClips(videos, [FRAMES, Images(width)], clips, 0)
        assert all(clip.shape[2:] == (32, 32) for number in range(12) for clip in joint[number]["clips"])
    with pytest.raises(InputError, match=r"frames of .*avi are 40x32 px, but its flow is 32x32 px"):
        TrainingClips(videos, [FRAMES, Images(32)], clips, 0)[0]
    assert TrainingClips(videos, [Images(32)], clips, 0)[0]["clips"] is not None


def test_an_unreadable_test_video_says_why(bad):
    item = WholeVideos([bad], [FRAMES], CLIPS)[0]
    assert item["clips"] is None
    assert "broken.avi cannot be read as a video" in item["error"]


def test_a_snapshot_gives_its_middle_frame(videos):
    frames = RGBFrames(25.0, 32, snapshot=3)
    clips = dataclasses.replace(CLIPS, crop=32, train_frames=6, test_frames=99, snapshot=3)
    (seen,) = WholeVideos(videos, [frames], clips)[0]["clips"]
    video = centre_crop(read_video(videos[0].path, fps=25.0, short_side=32, most=99), 32)
    assert torch.equal(seen, video[:, [1, 4, 7, 10]])  # of 12 frames
    assert training(videos, clips)[0]["clips"][0].shape == (3, 6, 32, 32)
    assert TrainingClips(videos, [frames], clips, 0)[0]["clips"][0].shape == (3, 2, 32, 32)


def test_what_is_seen_jointly_is_cropped_and_mirrored_alike(videos):
    class Double(RGBFrames):
        """Flow that is made of the frames, one less."""

        is_flow = True

        def length(self, video):
            return super().length(video) - 1

        def read(self, video, start, frames, period=None):
            return super().read(video, start, frames, period)[:2]

    clips = TrainingClips(videos, [FRAMES, Double(25.0, 32)], CLIPS, 0)
    mirrored = 0
    for number in range(12):
        rgb, flow = clips[number]["clips"]
        assert torch.equal(rgb[1], flow[1])
        mirrored += torch.equal(flow[0], 255 - rgb[0])
        assert torch.equal(flow[0], 255 - rgb[0]) or torch.equal(flow[0], rgb[0])
    assert 0 < mirrored < 12


@pytest.fixture
def torn(videos, tmp_path):
    """A video that breaks off before its last frames."""
    content = videos[1].path.read_bytes()
    path = tmp_path / "torn.avi"
    path.write_bytes(content[: int(0.9 * len(content))])
    return dataclasses.replace(videos[1], id="torn", path=path, sha256="", bytes=-1)


@pytest.mark.parametrize("source", ["frames", "stored flow", "computed flow"])
def test_a_video_read_only_in_part_says_so_and_no_other_does(videos, torn, tmp_path, source):
    """In training, validation and test; of flow also where all that is read is what was stored of it."""
    settings = Flow(scales=1, warps=1, inner_iterations=2, outer_iterations=1, bound=4.0)
    sources = {
        "frames": FRAMES,
        "stored flow": FlowStore(tmp_path / "flow", settings, 25.0, 32),
        "computed flow": FlowFromFrames(25.0, 32),
    }
    if source == "stored flow":
        sources[source].compute([videos[0].file, torn.file], progress=False)
    clips = dataclasses.replace(CLIPS, train_frames=8)
    whole = [WholeVideos([videos[0], torn], [sources[source]], clips)[i] for i in range(2)]
    assert whole[0]["partly"] is None
    assert re.fullmatch(r"\d+ of \d+ frames", whole[1]["partly"])
    assert whole[1]["clips"] is not None
    for drawn in (
        TrainingClips([videos[0], torn], [sources[source]], clips, 0),
        CentreClips([videos[0], torn], [sources[source]], clips),
    ):
        items = sorted((drawn[i] for i in range(2)), key=lambda item: item["index"])
        assert items[0]["partly"] == {}
        assert list(items[1]["partly"]) == ["torn"]
        assert collate(items)["partly"] == items[1]["partly"]


def test_of_several_readings_of_a_video_the_worst_counts():
    readings = [{"a": Damage(9, 12)}, {"a": Damage(28, 139), "b": Damage(1, 2)}, {"a": Damage(11, 12)}, {}]
    assert worst(readings) == {"a": Damage(28, 139), "b": Damage(1, 2)}

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.flow import FlowFromFrames, FlowStore, compute_flow, store
from i3d_lightning.recipe import Flow
from i3d_lightning.video.decoding import read_clip
from i3d_lightning.video.file import ChangedFileError, VideoFile
from i3d_lightning.video.transforms import quantise_flow

SETTINGS = Flow(scales=2, scale_step=0.5, warps=1, inner_iterations=5, outer_iterations=1, bound=4.0)


@pytest.fixture
def flow(tmp_path):
    return FlowStore(tmp_path / "flow", SETTINGS, fps=25.0, short_side=24)


@pytest.fixture
def video(make_video):
    return VideoFile.of(make_video(frames=11))


def test_reads_what_was_computed(flow, video):
    assert flow.compute([video], workers=1, progress=False) == {}
    rgb = read_clip(video.path, 0, 11, fps=25.0, short_side=24)
    grey = (rgb.float() * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1, 1)).sum(0).round().to(torch.uint8)
    expected = quantise_flow(compute_flow(grey[None], SETTINGS)[0], 4.0)
    assert flow.length(video) == 10
    assert torch.equal(flow.read(video, 0, 10), expected)
    assert torch.equal(flow.read(video, 7, 6), expected[:, [7, 8, 9, 0, 1, 2]])
    assert expected.float().std() > 1


def test_chunks_leave_no_seam(flow, video, tmp_path, monkeypatch):
    flow.compute([video], workers=1, progress=False)
    monkeypatch.setattr(store, "_CHUNK", 3)
    other = FlowStore(tmp_path / "other", SETTINGS, fps=25.0, short_side=24)
    other.compute([video], workers=1, progress=False)
    assert torch.equal(other.read(video, 0, 10), flow.read(video, 0, 10))


def test_several_processes_one_bad_video(flow, make_video, tmp_path, caplog):
    videos = [VideoFile.of(make_video(f"{number}.mkv", frames=6 + number)) for number in range(3)]
    bad, single = tmp_path / "bad.mkv", make_video("single.mkv", frames=1)
    bad.write_bytes(b"no video")
    others = [VideoFile.of(path) for path in (bad, single, tmp_path / "gone.mkv")]
    with caplog.at_level(logging.WARNING):
        failures = flow.compute([*videos, *others], workers=2, progress=False)
    assert set(failures) == set(others)
    assert "has a single frame" in failures[others[1]]
    assert str(bad) in caplog.text
    assert flow.missing(videos) == []
    assert [flow.read(video, 0, 1).shape for video in videos] == [(2, 1, 24, 40)] * 3


def test_threads_started_afterwards_have_all_cores(flow, video):
    def threads():
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(torch.get_num_threads).result()

    before = threads()
    flow.compute([video], workers=2, progress=False)
    assert threads() == before


def test_what_is_done_is_not_done_again(flow, make_video, monkeypatch):
    first, second = (VideoFile.of(make_video(f"{n}.mkv", frames=n)) for n in (4, 5))
    flow.compute([first], workers=1, progress=False)
    computed = []
    monkeypatch.setattr(flow, "_compute", lambda video, device: computed.append(video) or b"")
    monkeypatch.setattr(flow, "_write", lambda *_: None)
    assert flow.missing([first, second]) == [second]
    flow.compute([first, second], workers=1, progress=False)
    assert computed == [second]


def test_one_content_one_file(flow, video, tmp_path):
    copy = VideoFile.of(shutil.copyfile(video.path, tmp_path / "copy.mkv"))
    assert flow.missing([video, copy]) == [video]
    flow.compute([video], workers=1, progress=False)
    assert flow.missing([copy]) == []


@pytest.mark.parametrize("change", [{"lambda_": 0.3}, {"bound": 5.0}, {"fps": 12.5}, {"short_side": 32}])
def test_the_key_holds_all_that_flow_depends_on(flow, video, change):
    arguments = {"fps": 25.0, "short_side": 24}
    settings = dataclasses.replace(SETTINGS, **{k: v for k, v in change.items() if k not in arguments})
    arguments |= {k: v for k, v in change.items() if k in arguments}
    other = FlowStore(flow.folder.parent, settings, **arguments)
    assert other.file(video) != flow.file(video)
    assert FlowStore(flow.folder.parent, SETTINGS, 25.0, 24).file(video) == flow.file(video)


def test_flow_is_the_same_wherever_it_is_computed(flow):
    computed = dataclasses.replace(SETTINGS, source="computed")
    assert FlowStore(flow.root, computed, 25.0, 24).folder == flow.folder


def test_flow_is_found_by_the_content_that_the_manifest_says(flow, video, monkeypatch):
    flow.compute([video], workers=1, progress=False)
    known = dataclasses.replace(video, sha256=video.content)
    monkeypatch.setattr("i3d_lightning.video.file.file_sha256", lambda path: pytest.fail("hashed again"))
    assert torch.equal(flow.read(known, 0, 10), flow.read(video, 0, 10))


def test_a_changed_video_stops_the_run(flow, video):
    flow.compute([video], workers=1, progress=False)
    os.utime(video.path, ns=(0, 1))
    for use in (
        lambda: flow.read(video, 0, 1),
        lambda: FlowFromFrames(25.0, 24).read(video, 0, 1),
        lambda: FlowStore(flow.root / "other", SETTINGS, 25.0, 24).compute([video], 1, progress=False),
    ):
        with pytest.raises(ChangedFileError, match=r"clip\.mkv has changed since"):
            use()


def test_a_video_that_breaks_off_in_its_middle_has_no_flow(flow, make_video):
    """Its length is known; that it cannot be decoded is not a matter of flow that was forgotten."""
    path = make_video(
        "clip.mp4", "libx264", "yuv420p", frames=100, container={"movflags": "faststart"}, g="12"
    )
    content = path.read_bytes()
    whole = len(content) * 2 // 3
    path.write_bytes(content[:whole] + bytes(len(content) - whole))
    video = VideoFile.of(path)
    assert "cannot be decoded" in flow.compute([video], workers=1, progress=False)[video]
    with pytest.raises(UnreadableVideoError, match="cannot be decoded"):
        flow.read(video, 0, 1)


def test_flow_that_was_not_computed(flow, video):
    with pytest.raises(InputError, match=r"flow of .*clip\.mkv has not been computed"):
        flow.read(video, 0, 4)


def test_a_damaged_file_is_computed_anew_and_named(flow, video, caplog):
    flow.compute([video], workers=1, progress=False)
    expected = flow.read(video, 0, 10)
    file = flow.file(video)
    content = bytearray(file.read_bytes())
    content[-5] ^= 4
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(flow.read(video, 0, 10), expected)
    assert f"stored flow of {video.path} is damaged" in caplog.text
    caplog.clear()
    assert torch.equal(flow.read(video, 0, 10), expected)
    assert caplog.text == ""


def test_a_cut_off_file_is_missing(flow, video):
    flow.compute([video], workers=1, progress=False)
    file = flow.file(video)
    file.write_bytes(file.read_bytes()[:-3])
    assert flow.missing([video]) == [video]
    flow.compute([video], workers=1, progress=False)
    assert flow.missing([video]) == []


def test_nothing_half_written_is_left(flow, video, monkeypatch):
    def fail(rgb, settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "estimate_flow", fail)
    with pytest.raises(KeyboardInterrupt):
        flow.compute([video], workers=1, progress=False)
    assert [path.name for path in flow.folder.rglob("*") if path.is_file()] == [store.SETTINGS]


def test_flow_made_with_other_settings_is_named(flow, video, tmp_path, caplog):
    flow.compute([video], workers=1, progress=False)
    asked = dataclasses.replace(SETTINGS, warps=2, epsilon=0.02)
    other = FlowStore(tmp_path / "flow", asked, fps=25.0, short_side=24)
    with pytest.raises(InputError, match=r"not been computed yet .* epsilon 0.01 instead of 0.02") as error:
        other.read(video, 0, 1)
    assert f"{flow.folder} was made with warps 1 instead of 2" in str(error.value)
    with caplog.at_level(logging.INFO):
        other.compute([video], workers=1, progress=False)
    assert "warps 1 instead of 2" in caplog.text
    assert other.read(video, 0, 1).shape == flow.read(video, 0, 1).shape

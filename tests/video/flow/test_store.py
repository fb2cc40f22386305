from __future__ import annotations

import dataclasses
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from i3d_lightning.plan import Flow, InputError
from i3d_lightning.video.decoding import read_clip
from i3d_lightning.video.flow import FlowStore, compute_flow, store
from i3d_lightning.video.transforms import quantise_flow

SETTINGS = Flow(scales=2, scale_step=0.5, warps=1, inner_iterations=5, outer_iterations=1, bound=4.0)


@pytest.fixture
def flow(tmp_path):
    return FlowStore(tmp_path / "flow", SETTINGS, fps=25.0, short_side=24)


@pytest.fixture
def video(make_video):
    return make_video(frames=11)


def test_reads_what_was_computed(flow, video):
    assert flow.compute([video], workers=1, progress=False) == {}
    rgb = read_clip(video, 0, 11, fps=25.0, short_side=24)
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
    videos = [make_video(f"{number}.mkv", frames=6 + number) for number in range(3)]
    bad, single = tmp_path / "bad.mkv", make_video("single.mkv", frames=1)
    bad.write_bytes(b"no video")
    with caplog.at_level(logging.WARNING):
        failures = flow.compute([*videos, bad, single, tmp_path / "gone.mkv"], workers=2, progress=False)
    assert set(failures) == {bad, single, tmp_path / "gone.mkv"}
    assert "has a single frame" in failures[single]
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
    first, second = make_video("1.mkv", frames=4), make_video("2.mkv", frames=5)
    flow.compute([first], workers=1, progress=False)
    computed = []
    monkeypatch.setattr(flow, "_compute", lambda path, device: computed.append(path) or b"")
    monkeypatch.setattr(flow, "_write", lambda *_: None)
    assert flow.missing([first, second]) == [second]
    flow.compute([first, second], workers=1, progress=False)
    assert computed == [second]


def test_one_content_one_file(flow, video, tmp_path):
    copy = shutil.copyfile(video, tmp_path / "copy.mkv")
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


def another_estimator(rgb, settings):
    return torch.ones(len(rgb), rgb.shape[2] - 1, 2, *rgb.shape[3:])


def test_another_estimator_takes_its_place(flow, video):
    other = FlowStore(flow.folder.parent, SETTINGS, 25.0, 24, estimator=another_estimator)
    other.compute([video], workers=1, progress=False)
    assert other.read(video, 0, 10).unique().tolist() == [round((1 / 4 + 1) * 127.5)]
    assert flow.missing([video]) == [video]


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
    assert f"stored flow of {video} is damaged" in caplog.text
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
    def fail(grey, settings):
        raise KeyboardInterrupt

    flow.estimator = fail
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

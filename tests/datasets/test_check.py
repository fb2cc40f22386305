"""A data set with faults planted into it: the check finds these, and nothing else."""

from __future__ import annotations

import logging
import os
import shutil
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from i3d_lightning.datasets import contents, duplicates, own
from i3d_lightning.datasets.check import check
from i3d_lightning.datasets.faults import Report
from i3d_lightning.datasets.manifest import load_manifest
from i3d_lightning.video.file import VideoFile

CLASSES = ("Diving", "Lunges")
GROUPS = {"test": ("g02", "g03", "g06"), "train": ("g08", "g09", "g10", "g11", "g12", "g13")}


def recode(source: Path, target: Path, size: tuple[int, int], cut: tuple[float, float] = (0, 1)) -> None:
    """Write a video again, coarser, in another size, or a part of it."""
    with av.open(str(source)) as container:
        rate = Fraction(container.streams.video[0].average_rate)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    part = frames[round(cut[0] * len(frames)) : round(cut[1] * len(frames))]
    with av.open(str(target), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=rate, options={"qmin": "6", "qmax": "12"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for picture in part:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame.reformat(*size, "yuv420p")))
        container.mux(stream.encode(None))


@pytest.fixture
def root(assets, tmp_path):
    """A few groups of two classes of UCF-101, with lists cut to them."""
    root, ucf = tmp_path / "ucf101", assets / "ucf101"
    (root / "splits").mkdir(parents=True)
    shutil.copy(ucf / "splits" / "classInd.txt", root / "splits")
    for part, groups in GROUPS.items():
        lines = (ucf / "splits" / f"{part}list01.txt").read_text().splitlines(keepends=True)
        here = [
            line
            for line in lines
            if line.startswith(CLASSES)
            and any(f"_{group}_" in line for group in groups)
            and (ucf / "videos" / line.split()[0]).is_file()
        ]
        (root / "splits" / f"{part}list01.txt").write_text("".join(here))
        for line in here:
            target = root / "videos" / line.split()[0]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ucf / "videos" / line.split()[0], target)
    return root


def names(report: Report) -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for fault in report.faults:
        found.setdefault(fault.kind, set()).add((Path(fault.video).stem[2:], Path(fault.other).stem[2:]))
    return found


def test_planted_faults_are_found_and_nothing_else(root, tmp_path):
    cache = tmp_path / "cache" / "manifests"
    before = load_manifest("ucf101", root, 1, cache)  # knows what the files held when they had their names
    diving, lunges = (root / "videos" / name for name in CLASSES)
    (diving / "v_Diving_g03_c02.avi").unlink()
    (diving / "v_Diving_g12_c01.avi").rename(diving / "download (1).avi")
    (lunges / "v_Lunges_g08_c01.avi").rename(lunges / "V_lunges-g08-c01.avi")
    (lunges / "v_Lunges_g09_c01.avi").rename(diving / "v_Lunges_g09_c01.avi")
    os.truncate(diving / "v_Diving_g09_c01.avi", (diving / "v_Diving_g09_c01.avi").stat().st_size * 2 // 3)
    os.truncate(diving / "v_Diving_g09_c02.avi", 0)
    (diving / "v_Diving_g12_c02.avi").write_bytes(b"no video")
    shutil.copy(lunges / "v_Lunges_g02_c01.avi", lunges / "v_Lunges_g10_c02.avi")
    shutil.copy(diving / "v_Diving_g13_c02.avi", lunges / "v_Lunges_g11_c01.avi")
    recode(diving / "v_Diving_g13_c01.avi", diving / "v_Diving_g02_c02.avi", (176, 144))
    recode(lunges / "v_Lunges_g12_c02.avi", lunges / "v_Lunges_g03_c01.avi", (320, 240), (0.2, 1))
    shutil.copy(diving / "v_Diving_g03_c01.avi", root / "videos" / "more.avi")
    report = check("ucf101", root, [], cache)
    assert names(report) == {
        "missing": {("Diving_g03_c02", "")},
        "misplaced": {("Lunges_g09_c01", "Lunges_g09_c01")},
        "renamed": {("Diving_g12_c01", "wnload (1)"), ("Lunges_g08_c01", "lunges-g08-c01")},
        "unlisted": {("re", "")},
        "partly": {("Diving_g09_c01", "")},
        "empty": {("Diving_g09_c02", "")},
        "unreadable": {("Diving_g12_c02", "")},
        "leak": {("Lunges_g02_c01", "Lunges_g10_c02")},
        "duplicate": {("Diving_g13_c02", "Lunges_g11_c01")},
        "mislabelled": {("Diving_g13_c02", "Lunges_g11_c01")},
        "near-leak": {("Diving_g02_c02", "Diving_g13_c01"), ("Lunges_g03_c01", "Lunges_g12_c02")},
    }
    (partly,), (mixed,), (leak,) = (report.of(kind) for kind in ("partly", "mislabelled", "leak"))
    done, of = map(int, partly.said.removesuffix(" frames").split(" of "))
    assert 0.5 < done / of < 0.8
    assert mixed.said == "as Diving and as Lunges"
    assert leak.splits == (1,)
    assert report.splits == (1,)
    after = load_manifest("ucf101", root, 1, cache)
    assert not before.data.near_duplicates
    assert after.data.near_duplicates
    leaked = {Path(video.id).stem[2:] for video in after.data.test if video.leaked}
    assert leaked == {"Lunges_g02_c01", "Diving_g02_c02", "Lunges_g03_c01"}
    assert not any(video.leaked for video in after.data.train)
    rows = dict(zip(after.table["id"].to_pylist(), after.table["decoded"].to_pylist(), strict=True))
    assert rows["Diving/v_Diving_g09_c01.avi"] == done
    assert rows["Diving/v_Diving_g12_c02.avi"] is None


@pytest.mark.slow
def test_real_clips_of_one_scene_are_no_copies(assets, tmp_path):
    """Two pairs of push-ups in step, each of one group, are the only false alarms, if they are any."""
    found = names(check("ucf101", assets / "ucf101", [], tmp_path))
    found.pop("missing")
    assert found == {
        "leak": {("Basketball_g03_c01", "Basketball_g23_c01")},
        "near-duplicate": {
            ("PushUps_g03_c01", "PushUps_g03_c02"),
            ("PushUps_g24_c01", "PushUps_g24_c02"),
        },
    }


def test_an_exact_leak_is_known_unchecked_and_changes_no_digest(tiny_ucf, tmp_path):
    root, cache = Path(shutil.copytree(tiny_ucf, tmp_path / "ucf101")), tmp_path / "manifests"
    first = load_manifest("ucf101", root, 1, cache)
    shutil.copy(first.data.train[0].path, first.data.test[0].path)
    (root / "UCF-101" / "new").touch()
    unchecked = load_manifest("ucf101", root, 1, cache)
    assert [video.leaked for video in unchecked.data.test] == [True] + [False] * 7
    assert not unchecked.data.near_duplicates
    check("ucf101", root, [1], cache)
    checked = load_manifest("ucf101", root, 1, cache)
    assert checked.data.near_duplicates
    assert checked.data.test[0].leaked
    assert checked.digest == unchecked.digest
    shutil.copy(tiny_ucf / "UCF-101" / first.data.train[0].id, root / "UCF-101" / first.data.missing_test[0])
    other = first.data.train[1].path
    other.write_bytes(other.read_bytes() + b"\0")  # a content that was not compared
    (root / "UCF-101" / "newer").touch()
    assert not load_manifest("ucf101", root, 1, cache).data.near_duplicates


def test_a_check_that_was_stopped_goes_on(tiny_ucf, tmp_path, monkeypatch):
    looked: list[Path] = []
    look = contents._look

    def count(path: Path, images: bool) -> contents.Content:
        if len(looked) == 10:
            raise KeyboardInterrupt
        looked.append(path)
        return look(path, images)

    monkeypatch.setattr(contents, "_look", count)
    monkeypatch.setattr(contents, "available_cores", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        check("ucf101", tiny_ucf, [1], tmp_path)
    monkeypatch.setattr(contents, "_look", lambda path, images: looked.append(path) or look(path, images))
    report = check("ucf101", tiny_ucf, [1], tmp_path)
    assert len(looked) == len(set(looked)) == report.videos
    check("ucf101", tiny_ucf, [1], tmp_path)
    assert len(looked) == report.videos


def test_of_three_copies_on_both_sides_each_is_named(tiny_ucf, tmp_path):
    root = Path(shutil.copytree(tiny_ucf, tmp_path / "ucf101"))
    data = load_manifest("ucf101", root, 1, tmp_path / "manifests").data
    first, second, tested = data.train[0], data.train[1], data.test[0]
    for other in (second, tested):
        shutil.copy(first.path, other.path)
    report = check("ucf101", root, [1], tmp_path / "manifests")
    assert [(f.video, f.other) for f in report.of("leak")] == [(tested.id, first.id)]
    (fault,) = report.of("duplicate")
    assert {fault.video, *fault.other.split(", ")} == {first.id, second.id, tested.id}


def test_what_a_file_shows_is_not_kept_as_what_it_showed_before(tiny_ucf, tmp_path, monkeypatch):
    """A file that is written to while it is looked at is said to have changed, and nothing is kept of it."""
    root, cache = Path(shutil.copytree(tiny_ucf, tmp_path / "ucf101")), tmp_path / "manifests"
    changed, other = (v.path for v in load_manifest("ucf101", root, 1, cache).data.train[:2])
    look = contents._look_at_video

    def write_then_look(file: VideoFile) -> contents.Content:
        if file.path == changed:
            shutil.copy(other, changed)
        return look(file)

    with monkeypatch.context() as patch:
        patch.setattr(contents, "_look_at_video", write_then_look)
        report = check("ucf101", root, [1], cache)
    (fault,) = report.of("unreadable")
    assert (Path(fault.video).name, fault.said) == (
        changed.name, "it was changed while it was checked: check again"
    )  # fmt: skip
    assert not report.of("near-duplicate") and not report.of("duplicate")
    (same,) = check("ucf101", root, [1], cache).of("duplicate")  # read anew, though no folder changed
    assert {Path(same.video).name, Path(same.other).name} == {changed.name, other.name}


def test_copies_whose_frames_are_minutes_apart_are_found(tmp_path, make_video, caplog):
    for part in ("train", "test"):
        (tmp_path / "mine" / part / "a").mkdir(parents=True)
        shutil.move(make_video(frames=5 + len(part), fps=25), tmp_path / "mine" / part / "a" / "usual.mkv")
    for name, size in (("train", (64, 48)), ("test", (96, 72))):
        frames = pictures(6, size)
        write(tmp_path / "mine" / name / "a" / "slow.avi", frames, Fraction(1, 50))
    report = check(own.add(tmp_path / "mine").name, None, [], tmp_path / "manifests")
    assert ("test/a/slow.avi", "train/a/slow.avi") in {(f.video, f.other) for f in report.of("near-leak")}
    assert "Not compared" not in caplog.text


def pictures(count: int, size: tuple[int, int]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [cv2.resize(random.integers(0, 256, (4, 5, 3), np.uint8), size) for _ in range(count)]


def write(path: Path, frames: list[np.ndarray], rate: Fraction) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        for picture in frames:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))


def test_odd_rates_sizes_and_stills_are_named(tmp_path, make_video):
    for part in ("train", "test"):
        for name in ("a", "b"):
            for number in range(3):
                target = tmp_path / "mine" / part / name / f"{number}.mkv"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(make_video(frames=10 + number), target)
    shutil.move(make_video(frames=4, fps=2), tmp_path / "mine" / "train" / "a" / "slow.mkv")
    shutil.move(make_video(frames=200, fps=100), tmp_path / "mine" / "train" / "b" / "fast.mkv")
    shutil.move(make_video(frames=1), tmp_path / "mine" / "test" / "b" / "one.mkv")
    report = check(own.add(tmp_path / "mine").name, None, [], tmp_path / "manifests")
    odd = {(f.kind, f.video) for f in report.faults if "leak" not in f.kind and "duplicate" not in f.kind}
    assert odd - {fault for fault in odd if fault[0] == "mislabelled"} == {
        ("rate", "train/a/slow.mkv"), ("rate", "train/b/fast.mkv"), ("still", "test/b/one.mkv")
    }  # fmt: skip


def test_of_a_group_on_both_sides_the_splits_are_named(tiny_ucf, tmp_path):
    root = Path(shutil.copytree(tiny_ucf, tmp_path / "ucf101"))
    lists = root / "ucfTrainTestlist"
    lines = (lists / "trainlist01.txt").read_text().splitlines(keepends=True)
    (lists / "trainlist01.txt").write_text("".join(lines[1:]))
    with (lists / "testlist01.txt").open("a") as file:
        file.write(lines[0].split()[0] + "\n")
    (group,) = check("ucf101", root, [], tmp_path / "manifests").of("group")
    assert (group.video, group.splits) == ("Red/g03", (1,))


def test_what_cannot_be_decoded_is_looked_at_again(tiny_ucf, tmp_path, monkeypatch):
    """It may have been for want of memory or time."""
    with monkeypatch.context() as patch:
        patch.setattr(
            contents, "_look", lambda path, images: contents.Content(0, 0, "no", np.zeros(0, "<u8"))
        )
        assert len(check("ucf101", tiny_ucf, [1], tmp_path).of("unreadable")) == 32
    assert not check("ucf101", tiny_ucf, [1], tmp_path).of("unreadable")


def test_copies_are_found_among_many_in_little_time():
    random = np.random.default_rng(0)
    looks = [random.integers(1, 2**63, random.integers(40, 120), np.uint64) for _ in range(4000)]
    for number in range(0, 200, 2):
        noisy = looks[number] ^ (np.uint64(1) << random.integers(0, 64, len(looks[number]), np.uint64))
        looks[number + 1] = noisy[8:]
    black = np.zeros(50, np.uint64)
    began = time.process_time()
    found = duplicates.candidates([*looks, black, black])
    assert [tuple(pair) for pair in found] == [(number, number + 1, -8) for number in range(0, 200, 2)]
    assert time.process_time() - began < 10


def test_images_are_compared_too(tmp_path):
    random = np.random.default_rng(0)
    root = tmp_path / "imagenet"
    for number, (part, name) in enumerate([(p, n) for p in ("train", "val") for n in ("cat", "dog")] * 2):
        (root / part / name).mkdir(parents=True, exist_ok=True)
        picture = cv2.resize(random.integers(0, 256, (6, 8, 3), np.uint8), (320, 240))
        cv2.imwrite(str(root / part / name / f"{number}.png"), picture)
    again = cv2.imread(str(root / "train" / "dog" / "1.png"))
    cv2.imwrite(str(root / "val" / "dog" / "again.jpg"), cv2.resize(again, (200, 150)))
    (root / "val" / "cat" / "broken.jpg").write_bytes(b"no image")
    report = check("imagenet", root, [], tmp_path / "manifests")
    assert [(f.kind, f.video, f.other) for f in report.faults] == [
        ("unreadable", "val/cat/broken.jpg", ""),
        ("near-leak", "val/dog/again.jpg", "train/dog/1.png"),
    ]


def test_how_far_it_is_is_said_at_times(monkeypatch, caplog):
    monkeypatch.setattr(contents, "_SAID_EVERY", 0.0)
    with caplog.at_level(logging.INFO):
        assert list(contents.with_progress(iter("abc"), 3, "Decoding")) == ["a", "b", "c"]
    assert "Decoding: 2 of 3, " in caplog.text
    assert "Decoding: 3 of 3" not in caplog.text

"""The rendered demo sets: real files in the layouts of the real sets, the same from the same seed."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from i3d_lightning.demo import (
    DEMO_CLASSES,
    DEVELOPMENT_SEED,
    DemoSettings,
    layout,
    render,
    render_demo,
    use_demo,
)
from i3d_lightning.demo.actions import Beat
from i3d_lightning.demo.drawing import HEIGHT, MARGIN, WIDTH, film
from i3d_lightning.demo.scenes import Scene, sample_scene, sample_setting
from i3d_lightning.errors import InputError

SMALL = DemoSettings(
    pretraining_clips=2, validation_clips=1, images=2, validation_images=1,
    groups=5, training_groups=2, clips_per_group=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "demo"
    render_demo(root, SMALL, workers=2)
    return root


def decode(path: Path) -> np.ndarray:
    with av.open(path) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def scene(name: str, label: str, group: int) -> Scene:
    clutter, unrest = render.DIFFICULTY[name]
    setting = sample_setting(layout.generator(SMALL, name, label, group), clutter)
    return sample_scene(
        layout.ACTIONS[name][label], setting, layout.generator(SMALL, name, label, group, 0), unrest
    )


# ------------------------------------------------------------------------------------------ layouts


def test_kinetics_is_laid_out_as_downloaders_leave_it(root: Path) -> None:
    for part, clips in (("train", 2), ("validate", 1)):
        with (root / "kinetics" / f"{part}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["label", "youtube_id", "time_start", "time_end", "split"]
        assert {row["split"] for row in rows} == {part}
        named = {
            f"{row['label']}/{row['youtube_id']}_{int(row['time_start']):06d}_{int(row['time_end']):06d}.mp4"
            for row in rows
        }
        present = {
            str(p.relative_to(root / "kinetics" / part)) for p in (root / "kinetics" / part).rglob("*.mp4")
        }
        assert named == present
        assert sorted(row["label"] for row in rows) == sorted(DEMO_CLASSES["demo-kinetics"] * clips)


@pytest.mark.parametrize("split", (1, 2, 3))
def test_ucf101_lists_name_every_video_and_never_part_a_group(root: Path, split: int) -> None:
    splits, videos = root / "ucf101" / "splits", root / "ucf101" / "videos"
    index = dict(reversed(line.split()) for line in (splits / "classInd.txt").read_text().splitlines())
    assert tuple(index) == DEMO_CLASSES["demo-ucf101"]
    train = [line.split() for line in (splits / f"trainlist{split:02d}.txt").read_text().splitlines()]
    test = (splits / f"testlist{split:02d}.txt").read_text().splitlines()
    assert all(index[path.split("/")[0]] == number for path, number in train)
    paths = [path for path, _ in train]
    assert sorted(paths + test) == sorted(str(p.relative_to(videos)) for p in videos.rglob("*.avi"))

    def groups(paths: list[str]) -> set[str]:
        return {path.rpartition("_c")[0] for path in paths}

    assert not groups(paths) & groups(test)
    assert len(groups(paths)) == 10 * SMALL.training_groups


@pytest.mark.parametrize("split", (1, 2, 3))
def test_hmdb51_lists_mark_train_test_and_unused_and_never_part_a_source(root: Path, split: int) -> None:
    parts: dict[str, set[str]] = {"0": set(), "1": set(), "2": set()}
    for label in DEMO_CLASSES["demo-hmdb51"]:
        text = (root / "hmdb51" / "splits" / f"{label}_test_split{split}.txt").read_text()
        assert all(line.endswith(" ") for line in text.splitlines())  # as the official files do
        for line in text.splitlines():
            name, part = line.split()
            assert (root / "hmdb51" / "videos" / label / name).is_file()
            parts[part].add(name.partition(f"_{label}_")[0])
    assert {part: len(sources) for part, sources in parts.items()} == {"0": 1, "1": 2, "2": 2}
    assert len(set.union(*parts.values())) == SMALL.groups  # no source in two parts


def test_the_three_splits_test_different_groups() -> None:
    settings = DemoSettings()
    trained = [
        {g for g in range(settings.groups) if layout.trains(settings, g, split)} for split in (1, 2, 3)
    ]
    assert [len(groups) for groups in trained] == [settings.training_groups] * 3
    assert len(set.union(*trained)) == 3 * settings.training_groups


def test_classes_are_shared_by_no_two_sets() -> None:
    labels = [
        label.lower().replace("_", "").replace(" ", "")
        for name in DEMO_CLASSES
        for label in DEMO_CLASSES[name]
    ]
    assert len(labels) == len(set(labels)) == 32 + 10 + 10 + 24


@pytest.mark.parametrize("folder, codec", (("kinetics", "h264"), ("ucf101", "mpeg4"), ("hmdb51", "mpeg4")))
def test_videos_are_real_files_at_25_fps(root: Path, folder: str, codec: str) -> None:
    videos = [path for path in (root / folder).rglob("*") if path.suffix in (".mp4", ".avi")]
    for path in videos[::7]:
        with av.open(path) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.width, stream.height) == (codec, WIDTH, HEIGHT)
            assert stream.average_rate == 25
            assert 20 <= sum(1 for _ in container.decode(stream)) <= 24


def test_encoding_keeps_the_frames(root: Path) -> None:
    for clip in list(layout.clips(SMALL))[::40]:
        drawn, decoded = render.frames(SMALL, clip), decode(root / clip.path)
        assert decoded.shape == drawn.shape
        brightness = (0.299, 0.587, 0.114)  # colour is stored at half the resolution
        assert np.abs(decoded @ brightness - drawn @ brightness).mean() < 3


# ------------------------------------------------------------------------------------ determinism


def test_the_same_seed_gives_the_same_frames_whoever_renders(root: Path, tmp_path: Path) -> None:
    render_demo(tmp_path / "again", SMALL, workers=1)
    assert contents(tmp_path / "again") == contents(root)


def test_another_seed_gives_other_frames() -> None:
    clip = next(layout.clips(SMALL))
    ours, other = render.frames(SMALL, clip), render.frames(replace(SMALL, seed=1), clip)
    assert ours.shape != other.shape or np.abs(ours.astype(int) - other).mean() > 5


def test_what_is_reported_is_of_another_seed_than_what_was_chosen_on() -> None:
    assert DemoSettings().seed != DEVELOPMENT_SEED


def test_sets_of_any_seed_are_used_as_they_are(root: Path, tmp_path: Path) -> None:
    development = tmp_path / "development"
    render_demo(development, replace(SMALL, groups=4, seed=DEVELOPMENT_SEED))
    before = contents(development)
    assert use_demo(development).settings.seed == DEVELOPMENT_SEED
    assert contents(development) == before != contents(root)
    with pytest.raises(InputError, match="rendered with seed 0"):
        render_demo(development, replace(SMALL, groups=4))


def test_a_clip_does_not_depend_on_how_many_others_there_are() -> None:
    clip = next(c for c in layout.clips(SMALL) if c.dataset == "demo-ucf101")
    assert np.array_equal(render.frames(SMALL, clip), render.frames(DemoSettings(), clip))


def test_clips_of_a_group_share_figure_and_background_only() -> None:
    settings = replace(SMALL, clips_per_group=2)
    first, second = (
        next(c for c in layout.clips(settings) if c.label == "PushUps" and c.index == index)
        for index in range(2)
    )
    first_frames, second_frames = render.frames(settings, first), render.frames(settings, second)
    n = min(len(first_frames), len(second_frames))
    assert not np.array_equal(first_frames[:n], second_frames[:n])
    colour = [frames.mean((0, 1, 2)) for frames in (first_frames, second_frames)]
    assert np.abs(colour[0] - colour[1]).max() < 8


# ---------------------------------------------------------------------------------- what they show


@pytest.mark.parametrize("group", range(4))
def test_directions_are_those_of_the_image(group: int) -> None:
    def travel(label: str) -> float:
        """Of the figure against the background, to the right, in pixels."""
        s = scene("demo-ucf101", label, group)
        path = s.camera.project(s.root[:, None])[:, 0]
        return float((path - s.camera.shift)[[0, -1], 0] @ (-1, 1))

    assert travel("ShuffleRight") > 8
    assert travel("ShuffleLeft") < -8


@pytest.mark.parametrize(
    "name, one, other",
    (
        ("demo-kinetics", "opening umbrella", "closing umbrella"),
        ("demo-kinetics", "walking", "moonwalking"),
        ("demo-hmdb51", "open_door", "close_door"),
    ),
)
def test_pairs_differ_in_the_arrow_of_time_alone(name: str, one: str, other: str) -> None:
    time = np.linspace(0, 1, 17)
    reaches = []
    for label in (one, other):
        beat = Beat(time, time, 1.0, (200.0, 40.0, 40.0), np.random.default_rng(0))
        performed = layout.ACTIONS[name][label].perform(beat)
        pose = performed[0] if isinstance(performed, tuple) else performed
        reaches.append(np.concatenate([pose.hands, pose.feet], axis=1))
    forwards, backwards = reaches
    assert np.allclose(forwards, backwards[::-1])
    assert not np.allclose(forwards, backwards)


@pytest.mark.parametrize("name", layout.ACTIONS)
def test_every_action_is_in_view_and_moves_by_itself(name: str) -> None:
    grey = np.full((HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN, 3), 127, np.uint8)
    for label in DEMO_CLASSES[name]:
        s = scene(name, label, 0)
        pelvis = s.camera.project(s.root[:, None])[:, 0]
        assert (np.abs(pelvis - (WIDTH / 2, HEIGHT / 2)) < HEIGHT / 2).all(), label
        held = {field: getattr(s.camera, field).mean(0, keepdims=True) for field in ("centre", "shift")}
        frames, zoom = len(s.root), np.full(len(s.root), s.camera.zoom.mean())
        still = replace(s.camera, zoom=zoom, **{k: v.repeat(frames, 0) for k, v in held.items()})
        span = np.ptp(film(s.shapes, still, grey), axis=0).max(axis=-1)  # over time
        assert (span > 40).mean() > 0.03, label  # of the frame changes clearly though the camera is held


# -------------------------------------------------------------------------------- all or nothing


def test_the_same_settings_again_do_nothing(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    started = time.perf_counter()
    manifest = render_demo(root, SMALL)
    assert time.perf_counter() - started < 0.5
    assert manifest.videos == len(list(layout.clips(SMALL)))
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_other_settings_on_the_same_root_are_refused_and_named(root: Path) -> None:
    with pytest.raises(InputError, match=r"rendered with seed 2017 instead of 7: choose another root"):
        render_demo(root, replace(SMALL, seed=7))


def test_a_root_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="holds something other than rendered demo sets"):
        render_demo(tmp_path, SMALL)
    assert contents(tmp_path) == {"thesis.txt": b"precious"}


def test_a_root_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=r"cannot be written to .*file/demo: .*choose another root"):
        render_demo(tmp_path / "file" / "demo", SMALL)


def test_a_full_disk_is_noticed_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**6))
    with pytest.raises(InputError, match=r"need \d+ MB, but .* has 1 MB free"):
        render_demo(tmp_path / "demo", SMALL)
    assert not (tmp_path / "demo").exists()


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(render, "write_lists", fail)
    tiny = replace(SMALL, pretraining_clips=1, validation_clips=0, groups=1, training_groups=1)
    with pytest.raises(KeyboardInterrupt):
        render_demo(tmp_path / "demo", tiny, workers=1)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def _tell_nobody() -> None:
    render._initialise()
    reading, writing = os.pipe()
    os.close(reading)
    os.write(writing, b"done")


def test_a_rendering_process_that_nobody_hears_ends_without_a_word(capfd) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_tell_nobody)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGPIPE
    assert "Traceback" not in capfd.readouterr().err


def test_a_killed_rendering_is_not_mistaken_for_a_finished_one(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "demo"
    code = f"import pathlib, {render.__name__} as r; r.render_demo(pathlib.Path({str(target)!r}))"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".demo.unfinished-*/kinetics/train/*/*.mp4")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not target.exists()
    render_demo(target, SMALL, workers=2)
    assert contents(target) == contents(root)
    assert not list(tmp_path.glob(".demo.unfinished-*"))

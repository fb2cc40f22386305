from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import wave
from pathlib import Path

import pytest

from i3d_lightning.datasets import facts, manifest, own
from i3d_lightning.datasets.facts import identify
from i3d_lightning.datasets.manifest import load_manifest
from i3d_lightning.datasets.registry import DATASETS, read_dataset
from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.files import file_sha256
from i3d_lightning.video.file import ChangedFileError, VideoFile

LONG_AGO = 1_500_000_000_000_000_000


def age(folder: Path) -> None:
    """Let all below a folder have been there for years: what was changed just now is looked at again."""
    for path in (*folder.rglob("*"), folder):
        os.utime(path, ns=(LONG_AGO, LONG_AGO))


@pytest.fixture
def root(tiny_ucf, tmp_path):
    age(Path(shutil.copytree(tiny_ucf, tmp_path / "ucf101")))
    return tmp_path / "ucf101"


@pytest.fixture
def load(tmp_path):
    """Loads the manifest of a root."""

    def load(root: Path, split: int = 1):
        return load_manifest("ucf101", root, split, tmp_path / "cache" / "manifests")

    return load


@pytest.fixture
def reads(monkeypatch):
    """Names of the files that are hashed, as they are."""
    found: list[str] = []

    def count(path: Path) -> str:
        found.append(path.name)
        return file_sha256(path)

    monkeypatch.setattr(facts, "file_sha256", count)
    return found


def test_it_says_all_of_every_file(load, root):
    made = load(root)
    read = read_dataset("ucf101", root, 1)
    assert (made.data.name, made.data.split, made.data.classes) == ("ucf101", 1, read.classes)
    assert (made.data.missing_train, made.data.missing_test) == (read.missing_train, read.missing_test)
    assert made.data.missing_test
    for known, found in ((made.data.train, read.train), (made.data.test, read.test)):
        assert [dataclasses.replace(v, sha256="", bytes=-1, modified=-1, changed=-1) for v in known] == list(
            found
        )
        for video in known:
            assert (video.bytes, video.modified) == (video.path.stat().st_size, LONG_AGO)
            assert video.sha256 == file_sha256(video.path) == video.file.content
    columns = made.table.to_pydict()
    assert set(columns["part"]) == {"train", "test"}
    assert columns["path"][0] == read.train[0].path.relative_to(root).as_posix()
    found = [set(columns[name]) for name in ("frames", "rate", "width", "height", "unreadable")]
    assert found == [{12}, {25.0}, {40}, {32}, {None}]


def test_it_is_made_once(load, root, monkeypatch, caplog):
    with caplog.at_level(logging.INFO):
        made = load(root)
    assert "Scanning ucf101, split 1: there is no manifest of it yet." in caplog.text
    videos = {str(video.path) for video in (*made.data.train, *made.data.test)}
    looked_at = []

    def fail(*arguments, **more):
        pytest.fail("scanned again")

    def witness(look):
        return lambda path, *more, **options: looked_at.append(str(path)) or look(path, *more, **options)

    for name in ("read_dataset", "describe", "_watch"):
        monkeypatch.setattr(manifest, name, fail)
    for name in ("stat", "lstat", "scandir", "listdir", "open"):
        monkeypatch.setattr(os, name, witness(getattr(os, name)))
    again = load(root)
    assert again.data == made.data
    assert again.digest == made.digest == made.data.digest
    assert looked_at
    assert not videos & set(looked_at)


def test_the_other_splits_read_no_file_again(load, root, reads):
    load(root)
    everything = {video.path for split in (1, 2, 3) for video in load(root, split).data.train}
    assert len(reads) == len(set(reads)) == len(everything)


def test_a_new_video_is_noticed_and_is_all_that_is_read(load, root, reads):
    before = load(root)
    missing = before.data.missing_test[0]
    shutil.copyfile(before.data.test[0].path, root / "UCF-101" / missing)
    reads.clear()
    after = load(root)
    assert missing in {video.id for video in after.data.test}
    assert reads == [Path(missing).name]
    assert after.digest != before.digest


def test_a_video_that_is_taken_away_and_a_changed_list_are_noticed(load, root):
    first = load(root).data.train[0]
    first.path.unlink()
    assert load(root).data.missing_train == (first.id,)
    listed = root / "ucfTrainTestlist" / "trainlist01.txt"
    listed.write_text("".join(listed.read_text().splitlines(keepends=True)[2:]))
    assert load(root).data.missing_train == ()


def test_a_video_added_in_the_tick_of_the_scan_is_noticed(load, root):
    """Its folder has then the time that it had when it was scanned."""
    folder = root / "UCF-101" / "Red"
    now = manifest.time.time_ns()
    os.utime(folder, ns=(now, now))
    before = load(root)
    before.data.train[0].path.unlink()
    os.utime(folder, ns=(now, now))
    assert len(load(root).data.train) == len(before.data.train) - 1


def test_a_changed_reader_is_noticed(load, root, monkeypatch, tmp_path, caplog):
    module = tmp_path / "ucf101.py"
    module.write_text("# other code")
    monkeypatch.setattr("i3d_lightning.datasets.ucf101.__file__", str(module))
    load(root)
    os.utime(module, ns=(1, 1))
    with caplog.at_level(logging.INFO):
        load(root)
    assert f"{module} has changed since" in caplog.text


def test_the_digest_is_of_contents_wherever_they_lie(load, root, tmp_path):
    before = load(root)
    (tmp_path / "moved").mkdir()
    moved = root.rename(tmp_path / "moved" / "there")
    age(moved)
    after = load(moved)
    assert after.digest == before.digest
    assert after.data.train[0].path.is_relative_to(moved)
    assert load(moved, 2).digest != after.digest


def test_a_video_replaced_by_one_of_equal_size_is_another(load, root):
    before = load(root)
    path = before.data.train[3].path
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    new = path.with_name("new")
    new.write_bytes(content)
    new.rename(path)
    after = load(root)
    assert after.data.train[3].bytes == before.data.train[3].bytes
    assert after.digest != before.digest


def with_its_time(path: Path, content: bytes) -> None:
    """Write a file without its size or time telling."""
    status = path.stat()
    assert len(content) == status.st_size
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_another_file_of_equal_size_and_time_is_noticed(load, root):
    before = load(root)
    video = next(v for v in before.data.test)
    content = bytearray(video.path.read_bytes())
    video.path.chmod(0o600)  # touched, but the same
    video.file.check()
    content[-20] ^= 1
    with_its_time(video.path, bytes(content))
    with pytest.raises(ChangedFileError, match="as large and of the same time, but another"):
        video.file.check()
    (video.path.parent / "new").touch()  # so that the data set is scanned again
    assert load(root).digest != before.digest


@pytest.mark.parametrize(
    ("change", "words"), [("grow", r"\d+ bytes then, \d+ now"), ("touch", "as large"), ("remove", "found")]
)
def test_a_video_changed_in_its_place_stops_the_run(load, root, change, words):
    video = load(root).data.train[2]
    video.file.check()
    if change == "grow":
        with video.path.open("ab") as file:
            file.write(b"more")
        os.utime(video.path, ns=(LONG_AGO, LONG_AGO))
    elif change == "touch":
        os.utime(video.path)
    else:
        video.path.unlink()
    with pytest.raises(ChangedFileError, match=words) as error:
        video.file.check()
    assert str(video.path) in str(error.value)
    assert "\n" not in str(error.value)


def test_what_the_error_says_has_the_data_set_scanned_again(load, root):
    video = load(root).data.train[2]
    os.utime(video.path)
    os.utime(video.path.parent)
    load(root).data.train[2].file.check()


def test_unreadable_videos_stay_and_are_named(load, root, caplog):
    path = root / "UCF-101" / read_dataset("ucf101", root, 1).train[0].id
    path.write_bytes(b"no video")
    with caplog.at_level(logging.WARNING):
        made = load(root)
    assert len(made.data.train) == len(read_dataset("ucf101", root, 1).train)
    (why,) = (why for why in made.table["unreadable"].to_pylist() if why)
    assert f"{path} cannot be read as a video" in why
    assert f"1 of {len(made.table)} files cannot be read, such as: {path}" in caplog.text
    assert made.data.train[0].sha256 == file_sha256(path)


def test_a_pipe_is_not_waited_for_and_music_is_no_video(load, root, tmp_path):
    pipe, music = tmp_path / "pipe.mp4", load(root).data.test[0].path
    os.mkfifo(pipe)
    (found,) = identify([pipe], tmp_path / "cache" / "manifests")
    assert found.sha256 == ""
    with wave.open(str(music), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    music.touch()
    (root / "new").touch()  # so that the data set is scanned again
    (why,) = (why for why in load(root).table["unreadable"].to_pylist() if why)
    assert f"{music} holds no video" in why
    with pytest.raises(UnreadableVideoError, match="is not a file that can be read"):
        VideoFile(pipe).content  # noqa: B018


@pytest.mark.parametrize("spoil", ["cut off", "a flipped bit", "foreign"])
def test_a_damaged_manifest_is_made_again(load, root, tmp_path, caplog, spoil):
    made = load(root)
    (file,) = (tmp_path / "cache" / "manifests").glob("ucf101-1-*.parquet")
    content = bytearray(file.read_bytes())
    if spoil == "a flipped bit":
        content[content.index(b"v_Red") + 2] ^= 1
    file.write_bytes({"cut off": content[:-20], "foreign": b"nothing"}.get(spoil, content))
    with caplog.at_level(logging.WARNING):
        again = load(root)
    assert caplog.text.count(f"The manifest {file} is damaged") == 1
    assert again.data == made.data
    caplog.clear()
    load(root)
    assert not caplog.records


def test_an_interrupted_scan_goes_on(load, root, reads, monkeypatch):
    monkeypatch.setattr(facts, "_AT_ONCE", 4)
    read = facts.probe

    def interrupted(path):
        if len(reads) > 9:
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(facts, "probe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(root)
    monkeypatch.setattr(facts, "probe", read)
    done = len(reads)
    made = load(root)
    assert len(reads) - done <= len(made.table) - 8


def test_images_are_hashed_alone(tmp_path, touch):
    touch(tmp_path / "root", ["train/a/1.png", "train/b/2.png", "val/a/3.png"])
    made = load_manifest("imagenet", tmp_path / "root", 1, tmp_path / "cache" / "manifests")
    assert made.data.tested_on == "validate"
    assert [v.bytes for v in made.data.train] == [0, 0]
    assert made.table["frames"].to_pylist() == [None] * 3
    assert made.table["unreadable"].to_pylist() == [None] * 3


def test_a_cache_below_the_root_is_no_part_of_it(root, reads):
    """Else each manifest would make the next one."""
    load_manifest("ucf101", root, 1, root / "cache" / "manifests")
    (root / "cache" / "flow").mkdir()
    age(root)
    first = load_manifest("ucf101", root, 1, root / "cache" / "manifests")
    reads.clear()
    (root / "cache" / "flow" / "1.flow").touch()
    assert load_manifest("ucf101", root, 1, root / "cache" / "manifests").data == first.data
    assert reads == []


def test_flow_of_others_as_images_is_not_looked_at(load, root):
    for n in range(3):
        (root / "flow" / f"v{n}").mkdir(parents=True)
        (root / "flow" / f"v{n}" / "flow_x_00001.jpg").touch()
    watched = load(root).about["watched"]
    assert "flow" in watched
    assert not any(name.startswith("flow/") for name in watched)


def test_demo_sets_are_rendered_before(tmp_path, root, monkeypatch):
    prepared = []
    known = dataclasses.replace(DATASETS["demo-ucf101"], prepare=prepared.append)
    monkeypatch.setitem(DATASETS._known, known.name, known)
    data = load_manifest("demo-ucf101", root.parent, 1, tmp_path / "cache" / "manifests").data
    assert data.name == "demo-ucf101"
    assert set(prepared) == {root.parent}


def test_an_unknown_split_or_data_set(load, root, tmp_path):
    with pytest.raises(InputError, match="ucf101 has no split 4"):
        load(root, 4)
    with pytest.raises(InputError, match="did you mean 'ucf101'"):
        load_manifest("ucf-101", root, 1, tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        load(tmp_path / "nowhere")


def test_loose_videos_are_hashed_once(root, tmp_path, reads):
    videos = sorted((root / "UCF-101").glob("*/*.avi"))
    found = identify(videos, tmp_path / "cache" / "manifests")
    assert found == [dataclasses.replace(VideoFile.of(v), sha256=file_sha256(v)) for v in videos]
    assert len(reads) == len(videos)
    assert identify(videos[1::2], tmp_path / "cache" / "manifests") == found[1::2]
    gone = identify([tmp_path / "gone.avi"], tmp_path / "cache" / "manifests")
    assert gone == [VideoFile(tmp_path / "gone.avi")]
    assert len(reads) == len(videos)
    os.utime(videos[0])
    identify(videos, tmp_path / "cache" / "manifests")
    assert reads[len(videos) :] == [videos[0].name]


def test_a_class_beside_a_picture_is_noticed(root, tmp_path):
    """A contact sheet among the class folders does not make them a folder of images."""
    for part, name in (("train", "a"), ("train", "b"), ("test", "a"), ("test", "b")):
        folder = tmp_path / "mine" / part / name
        folder.mkdir(parents=True)
        shutil.copy(next(root.rglob("*.avi")), folder / "one.avi")
    (tmp_path / "mine" / "train" / "overview.png").write_bytes(b"png")
    age(tmp_path / "mine")
    first = load_manifest(own.add(tmp_path / "mine").name, None, 1, tmp_path / "manifests")
    for part in ("train", "test"):
        shutil.copytree(tmp_path / "mine" / part / "a", tmp_path / "mine" / part / "c")
    second = load_manifest(own.add(tmp_path / "mine").name, None, 1, tmp_path / "manifests")
    assert (first.data.classes, second.data.classes) == (("a", "b"), ("a", "b", "c"))


def test_a_list_that_keeps_its_time_is_noticed_by_its_size(load, root):
    """As archives and rsync leave it."""
    test_list = root / "ucfTrainTestlist" / "testlist01.txt"
    age(root)
    before = load(root)
    status = test_list.stat()
    test_list.write_text("".join(test_list.read_text().splitlines(keepends=True)[2:]))
    os.utime(test_list, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert load(root).digest != before.digest


def test_videos_that_could_not_be_opened_are_looked_for_again(root, tmp_path):
    """Links into a place that was not mounted."""
    elsewhere = tmp_path / "elsewhere"
    for part, name in (("train", "a"), ("train", "b"), ("test", "a"), ("test", "b")):
        folder = tmp_path / "mine" / part / name
        folder.mkdir(parents=True)
        shutil.copy(next(root.rglob("*.avi")), folder / "one.avi")
    age(tmp_path / "mine")
    (tmp_path / "mine" / "test" / "a" / "two.avi").symlink_to(elsewhere / "two.avi")
    first = load_manifest(own.add(tmp_path / "mine").name, None, 1, tmp_path / "manifests")
    assert (
        load_manifest(own.add(tmp_path / "mine").name, None, 1, tmp_path / "manifests").digest == first.digest
    )
    elsewhere.mkdir()
    shutil.copy(next(root.rglob("*.avi")), elsewhere / "two.avi")
    second = load_manifest(own.add(tmp_path / "mine").name, None, 1, tmp_path / "manifests")
    assert second.digest != first.digest
    assert all(video.sha256 for video in second.data.test)

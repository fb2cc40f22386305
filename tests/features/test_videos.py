"""Which videos there are, by their ids, and how they are parted."""

from __future__ import annotations

import pytest

from i3d_lightning.errors import InputError
from i3d_lightning.features.videos import Listed, find_videos, part_of, read_part


@pytest.fixture
def folder(tmp_path):
    for name in ("b.mp4", "deep/er/a.c.avi", "deep/notes.txt"):
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / name).touch()
    return tmp_path / "videos"


def ids(source, flat=True):
    return [video.id for video in find_videos(source, flat)]


def test_a_folder_is_looked_through_at_any_depth(folder):
    assert ids(folder, flat=False) == ["b", "deep/er/a.c"]
    assert ids(folder) == ["a.c", "b"]
    assert ids(folder / "b.mp4") == ["b"]


def test_a_list_is_a_text_or_a_csv_and_keeps_what_is_not_there(folder):
    (folder / "list.txt").write_text("\ufeffdeep/er/a.c.avi\n\n  b.mp4 \ngone.mp4\n", encoding="utf-8")
    assert ids(folder / "list.txt", flat=False) == ["b", "deep/er/a.c", "gone"]
    (folder / "list.csv").write_text(f"label,path\nx,{folder}/deep/er/a.c.avi\ny,../videos/b.mp4\n")
    found = find_videos(folder / "list.csv", flat=False)
    assert [video.id for video in found] == [
        "a.c",
        "b",
    ]  # where they lie says nothing of where features belong
    assert found[0].path == folder / "deep/er/a.c.avi"
    (folder / "own.csv").write_text('label, Path \nx, "deep/er/a.c.avi"\n\ny,b.mp4\n')  # as own lists may be
    assert ids(folder / "own.csv", flat=False) == ["b", "deep/er/a.c"]
    (folder / "twice.txt").write_text("b.mp4\nb.mp4\n")
    assert ids(folder / "twice.txt") == ["b"]


def test_a_layout_of_names_alone_refuses_long_paths_by_the_name(tmp_path):
    (tmp_path / "list.txt").write_text("a/" * 3000 + "b.mp4\n")
    assert ids(tmp_path / "list.txt") == ["b"]
    with pytest.raises(InputError, match="is too long to call features by"):
        ids(tmp_path / "list.txt", flat=False)


def test_two_videos_of_one_id_are_refused_by_name(folder):
    for name in ("deep/b.avi", "b.avi"):
        (folder / name).touch()
        with pytest.raises(
            InputError, match=rf"{folder}/b.* and {folder}/.*b.* would both .* as 'b': rename"
        ):
            ids(folder)
        if name == "deep/b.avi":
            assert ids(folder, flat=False) == ["b", "deep/b", "deep/er/a.c"]
    with pytest.raises(InputError, match=r"b\.avi and .*b\.mp4 would both"):
        ids(folder, flat=False)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (None, None, "no folder of videos and no list of them at .*/source"),
        ("empty.txt", "", "There is no video in .*empty.txt"),
        ("list.csv", "file,label\na,b\n", "list.csv has no column 'path'"),
        ("list.csv", "path,Start,end\na.mp4,0,1\n", "list.csv has a column 'start', .* cut segments into"),
        ("list.csv", f"path\n{'x' * 140_000}.mp4\n", "list.csv is no CSV list .field larger than"),
        ("list.csv", 'path\n"a.mp4\n', "list.csv is no CSV list .unexpected end of data"),
        ("list.csv", "path, Path\na,b\n", "list.csv has no column 'path', or two"),
        ("list.txt", ".\n", "'.' is listed, but is the path of a folder"),
        ("list.txt", "/\n", "'/' is listed, but is the path of a folder"),
        ("list.txt", "a/..\n", "'a/..' is listed, but is the path of a folder"),
        ("list.txt", f"{'x' * 300}.mp4\n", "The name x{50}... is too long to call features by"),
        ("list.txt", "a\0/b.mp4\n", "has a character in its name"),
        ("list.bin", b"\xff\xfe\x00", "neither a video .* nor a list of them in UTF-8"),
        ("list.txt", "a\x01.mp4\n", "has a character in its name"),
    ],
)
def test_what_is_no_source_says_so(tmp_path, name, content, message):
    source = tmp_path / (name or "source")
    if content is not None:
        source.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        find_videos(source, True)


def test_parts_are_disjoint_cover_all_and_follow_from_the_id_alone(tmp_path):
    videos = [Listed(f"v{number}", tmp_path) for number in range(400)]
    parts = [part_of(videos, number, 8) for number in range(1, 9)]
    assert sorted(v.id for part in parts for v in part) == sorted(v.id for v in videos)
    assert all(30 < len(part) < 75 for part in parts)
    assert part_of(videos[::-1][:200], 3, 8) == [v for v in videos[200:][::-1] if v in parts[2]]
    assert part_of(videos, 1, 1) == videos


@pytest.mark.parametrize("text", ["", "2", "0/8", "9/8", "1/0", "-1/2", "a/b", "1/2/3"])
def test_a_part_is_a_number_of_a_number(text):
    with pytest.raises(InputError, match="must be like 2/8"):
        read_part(text)

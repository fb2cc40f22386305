"""What a file does to its decoder stays there: real processes crash, hang, eat memory and are ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import broken
import pytest

from i3d_lightning.errors import UnreadableVideoError
from i3d_lightning.video import boundary, decoding


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some.mp4"
    path.write_bytes(b"something")
    return path


def sentence(function, path: Path) -> str:
    with pytest.raises(UnreadableVideoError) as error:
        boundary.ask(function, path)
    text = str(error.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def test_a_crash_is_a_sentence_and_the_next_video_is_read(file, make_video, numbers, capfd):
    video = make_video(frames=5)
    assert "crashes the decoder" in sentence(broken.crash, file)
    assert numbers(decoding.read_clip(video, 0, 5, fps=25.0, short_side=48)) == [0, 1, 2, 3, 4]
    assert capfd.readouterr() == ("", "")


def test_one_that_was_ended_by_others_is_read_again(file):
    assert boundary.ask(broken.crash_once, file) == "read"
    assert file.with_suffix(".met").exists()


@pytest.mark.parametrize("function", [broken.hang, broken.compute_for_ever])
def test_what_takes_too_long_is_ended_and_not_touched_again(file, function, monkeypatch):
    monkeypatch.setattr(boundary, "CPU_SECONDS", 0.5)
    monkeypatch.setattr(boundary, "SECONDS", 1.0)
    began = time.monotonic()
    assert "takes too long to decode" in sentence(function, file)
    assert 0.4 < time.monotonic() - began < 20
    assert "takes too long to decode" in sentence(broken.crash_once, file)
    boundary._condemned.clear()  # as in a process that is started later, such as the next epoch's
    with ThreadPoolExecutor(1) as pool:
        pool.submit(sentence, broken.crash_once, file).result()
    assert not file.with_suffix(".met").exists()
    file.write_bytes(b"another file by now")
    assert boundary.ask(broken.crash_once, file) == "read"


def test_more_memory_than_real_videos_take(file):
    assert "more than 12 GiB of memory" in sentence(broken.eat, file)


def test_any_exception_is_a_sentence(file):
    assert "ZeroDivisionError: two lines" in sentence(broken.stumble, file)


def test_an_answer_that_was_not_waited_for_is_not_the_next_ones(file):
    class Stop(BaseException):
        pass

    def stop(*_):
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    first = boundary.ask(broken.wait, file, 0)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Stop):
            boundary.ask(broken.wait, file, 1)
    finally:
        signal.signal(signal.SIGALRM, before)
    second = boundary.ask(broken.wait, file, 0)
    assert second != first


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "loop", "dangling", "missing", "unspeakable"])
def test_what_is_no_file_is_not_opened(tmp_path, kind):
    path = tmp_path / "clip.mp4"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)
        case "dangling":
            path.symlink_to(tmp_path / "gone")
        case "unspeakable":
            path = tmp_path / "a\0b.mp4"
    assert "is not a file" in sentence(broken.hang, path)


def test_interruptions_are_for_us_and_decoders_leave_with_us(file, tmp_path):
    """A decoder works on when its group is told to stop, and is gone when we are, even by SIGKILL."""
    code = (
        "import os, signal, sys, threading, time; from pathlib import Path; import broken;"
        "from i3d_lightning.video import boundary; file = Path(sys.argv[1]);"
        "decoder = boundary.ask(broken.wait, file, 0); nursery = os.getsid(decoder);"
        "[os.kill(pid, s) for pid in (decoder, nursery) for s in (2, 15, signal.SIGUSR1)];"
        "assert boundary.ask(broken.wait, file, 0.2) == decoder;"
        "print(decoder, flush=True); boundary.ask(broken.hang, file)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(file)], env=environment, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        decoder = int(run.stdout.readline())
        time.sleep(0.2)
        run.kill()
    deadline = time.monotonic() + 10
    while alive(decoder) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(decoder)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_nursery_that_is_gone_is_replaced(file):
    nursery = os.getsid(boundary.ask(broken.wait, file, 0))
    assert nursery != os.getsid(0)
    os.kill(nursery, signal.SIGKILL)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(boundary.ask, broken.wait, file, 0).result() > 0

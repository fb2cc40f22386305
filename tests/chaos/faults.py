# ruff: noqa: PTH100, PTH110, PTH112, PTH115, PTH118, PTH120
"""A disk that fails on purpose: below one folder, the k-th operation that changes it does not go as asked.

All that Python itself does to a disk is seen: `os`, `pathlib`, `shutil`, `tempfile`, and files opened for
writing, whose real writes are counted, not the calls that only fill a buffer. What libraries in C write
(FFmpeg, OpenCV) is not; for that there are real kills and small disks.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import threading
from collections.abc import Callable
from typing import Any, NoReturn

KINDS = ("full", "broken", "read-only", "kill before", "kill after", "kill in half", "power cut")
"""`full` and `read-only` stay so from the k-th operation on; `broken` is that one operation alone."""

_ERRORS = {"full": errno.ENOSPC, "broken": errno.EIO, "read-only": errno.EROFS}
_WRITING = set("wax+")
_NEEDS_ROOM = ("write", "open", "mkdir", "link", "fsync", "replace", "rename", "symlink", "truncate")


class Disk:
    """Watches a folder and lets an operation fail.

    Args:
        folder: Only what happens below it counts.
        point: Number of the operation that fails, from 1; 0 for none, so that they are only counted.
        kind: How it fails, one of `KINDS`.
    """

    def __init__(self, folder: str, point: int = 0, kind: str = "full") -> None:
        self.folder = os.path.realpath(folder) + os.sep
        self.point, self.kind = point, kind
        self.log: list[str] = []
        self.owner = os.getpid()
        self._one_at_a_time = threading.RLock()
        self.at_risk = _NotYetOnDisk(self.folder)

    def install(self) -> None:
        """Put everything that changes a disk through `self`, in this process."""
        for name in ("unlink", "remove", "rmdir", "mkdir", "symlink", "truncate"):
            self._patch(name, lambda path, *_, **__: path)
        for name in ("replace", "rename", "link"):
            self._patch(name, lambda _, target, **__: target)
        self._patch("fsync", _path_of)
        self._patch("fdatasync", _path_of)
        self._patch("write", lambda fd, *_: _path_of(fd))
        self._patch("open", lambda path, flags, *_, **__: path if flags & os.O_CREAT else None)
        io.open = builtins.open = self._open  # type: ignore[assignment]

    def watches(self, path: object) -> bool:
        """Say whether a path lies below the folder."""
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        name = os.fsdecode(path)
        return not name.startswith(("pipe:", "socket:")) and os.path.abspath(name).startswith(self.folder)

    def go(self, name: str, path: Any, act: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        """Do something to the disk, unless it is its turn to fail."""
        with self._one_at_a_time:  # no other thread goes on where the process dies
            return self._go(name, path, act, half)

    def _go(self, name: str, path: Any, act: Callable[[], Any], half: Callable[[], Any] | None) -> Any:
        self.log.append(f"{name} {os.path.relpath(os.fsdecode(path), self.folder)}")
        if not self.point or len(self.log) < self.point or os.getpid() != self.owner:
            return act()
        first = len(self.log) == self.point
        if self.kind in _ERRORS:
            stays = self.kind == "read-only" or (self.kind == "full" and name in _NEEDS_ROOM)
            if first and half and self.kind == "full":
                half()  # what there is room for
            if first or stays:
                raise OSError(_ERRORS[self.kind], os.strerror(_ERRORS[self.kind]), os.fsdecode(path))
            return act()
        if self.kind == "kill in half" and half:
            half()
        elif self.kind != "kill before":
            act()
        if self.kind == "power cut":
            self.at_risk.lose()
        return _die()

    def _patch(self, name: str, path_of: Callable[..., Any]) -> None:
        original = getattr(os, name)

        def patched(*args: Any, **kwargs: Any) -> Any:
            path = path_of(*args, **kwargs)
            if path is not None and kwargs.get("dir_fd") is not None:
                path = os.path.join(_path_of(kwargs["dir_fd"]) or "", os.fsdecode(path))
            if not self.watches(path) or _changes_nothing(name, path):
                return original(*args, **kwargs)
            return self.go(name, path, lambda: self.at_risk.note(name, original, *args, **kwargs))

        setattr(os, name, patched)

    def _open(self, file: Any, mode: str = "r", buffering: int = -1, *args: Any, **kwargs: Any) -> Any:
        path = _path_of(file) if isinstance(file, int) else file
        if not _WRITING & set(mode) or not self.watches(path):
            return _real_open(file, mode, buffering, *args, **kwargs)
        binary = mode.replace("b", "").replace("t", "")
        closefd, opener = kwargs.pop("closefd", True), kwargs.pop("opener", None)
        raw = (
            _File(self, path, file, binary, closefd)
            if isinstance(file, int) or not _makes(file, mode)
            else self.go("open", path, lambda: _File(self, path, file, binary, closefd, opener))
        )
        if buffering == 0:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffered = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *args, **kwargs)


class _File(io.FileIO):
    """An open file whose writes go through the disk."""

    def __init__(self, disk: Disk, path: Any, *args: Any) -> None:
        self._disk, self._path = disk, path
        super().__init__(*args)

    def write(self, data: Any) -> int:
        disk, view = self._disk, memoryview(data).cast("B")

        def some(part: memoryview) -> int:
            disk.at_risk.written(self.fileno())
            return io.FileIO.write(self, part)

        return disk.go("write", self._path, lambda: some(view), lambda: some(view[: len(view) // 2]))


class _NotYetOnDisk:
    """What a power cut takes: content without fsync, and renames in folders without fsync.

    File systems may keep more, and in another order; this is the worst that they may do to one process.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.files: dict[int, int] = {}
        self.renames: list[tuple[str, str, int | None]] = []
        self.kept = 0

    def written(self, descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        if inode not in self.files:
            self.files[inode] = os.dup(descriptor)

    def note(self, name: str, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if name in ("replace", "rename"):
            source, target = (os.path.abspath(os.fsdecode(path)) for path in args[:2])
            old = _content(target)
            done = original(*args, **kwargs)
            self.renames.append((source, target, old))
            return done
        done = original(*args, **kwargs)
        if name in ("fsync", "fdatasync"):
            path = _path_of(args[0]) or ""
            if os.path.isdir(path):
                self.renames = [r for r in self.renames if os.path.dirname(r[1]) != path]
            else:
                kept = self.files.pop(os.fstat(args[0]).st_ino, None)
                if kept is not None:
                    os.close(kept)
        elif name == "write":
            self.written(args[0])
        return done

    def lose(self) -> None:
        """Lose it."""
        for descriptor in self.files.values():
            os.ftruncate(descriptor, 0)
        for source, target, old in reversed(self.renames):
            if os.path.isdir(target) or not os.path.exists(target):
                continue
            _real_replace(target, source) if old is None else _put_back(target, old)


def _content(path: str) -> bytes | None:
    try:
        with _real_open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def _put_back(path: str, content: bytes) -> None:
    with _real_open(path, "wb") as file:
        file.write(content)


_real_open, _real_replace = io.open, os.replace


def _changes_nothing(name: str, path: Any) -> bool:
    """Say whether a folder to make is there already, or a file to delete is not."""
    if name == "mkdir":
        return os.path.exists(path)
    return name in ("unlink", "remove", "rmdir") and not os.path.lexists(path)


def _makes(file: Any, mode: str) -> bool:
    """Say whether opening so makes or empties a file."""
    return bool(set("wx") & set(mode)) or not os.path.exists(file)


def _path_of(descriptor: Any) -> str | None:
    try:
        return os.readlink(f"/proc/self/fd/{int(getattr(descriptor, 'fileno', lambda: descriptor)())}")
    except (OSError, TypeError, ValueError):
        return None


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError

"""One process at a time in a folder, also where several machines share it.

A lease is a small file in the folder, made so that of two processes one succeeds, and touched as long as its
holder lives. One that is no longer touched, or whose process is gone, is taken over by making a file of the
next number: again, of two one succeeds. The earlier holder, should it wake, no longer finds its own file and
stops before it writes anything (`files.write_atomically` asks). No locks of the file system are needed, and
no clock but that of the folder itself.
"""

from __future__ import annotations

import json
import logging
import os
import random
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from i3d_lightning.errors import InputError, cannot_write
from i3d_lightning.processes import Process, this

log = logging.getLogger(__name__)

BEAT = 10.0
"""Seconds between two signs of life: twelve may fail before anyone takes over, and they cost nothing."""
STALE = 120.0
"""Seconds without a sign of life after which a holder is given up: compilers and file servers hold up a
process for a minute, and a machine that died keeps nobody waiting for longer than two."""
_POLL = 1.0
_NAME = re.compile(r"\.lease\.(\d+)")


class LeaseLostError(InputError):
    """Another process took over, as this one gave no sign of life."""


@dataclass(frozen=True)
class Holder:
    """Who holds a folder, or seems to.

    Attributes:
        process: Who.
        since: Since when, by its own clock, for people.
        what: What for.
        beat: Its last sign of life, in nanoseconds of the folder's clock.
        mark: What tells its lease from all others.
    """

    process: Process
    since: str
    what: str
    beat: int
    mark: tuple[int, bytes]

    def __str__(self) -> str:
        return f"{self.process} since {self.since}"


@contextmanager
def held(
    folder: Path, what: str, meanwhile: Callable[[Holder], object] = lambda holder: None
) -> Iterator[None]:
    """Hold a folder alone; wait for whoever does, saying once who that is.

    Until the block ends, `write_atomically` writes nothing below the folder once the lease was lost.

    Args:
        folder: It is made where it is not there.
        what: What is done there, for those who wait.
        meanwhile: Called again and again with the holder waited for; may raise to wait no longer.

    Raises:
        InputError: The folder cannot be written to.
    """
    folder = folder.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    lease = _wait(folder, what, meanwhile)
    _held[folder] = lease
    try:
        with lease.beating():
            yield
    finally:
        del _held[folder]
        lease.release()


def confirm(path: Path) -> None:
    """Make sure that no lease that this process took on a folder above a path has been lost.

    Raises:
        LeaseLostError: One has; nothing may be written there.
    """
    if _held:
        for folder in path.absolute().parents:
            if folder in _held:
                _held[folder].confirm()


_held: dict[Path, _Lease] = {}
"""What this process holds, by folder."""


@dataclass
class _Lease:
    """A lease of this process."""

    path: Path
    content: bytes
    what: str
    lost: bool = False
    ended: threading.Event = field(default_factory=threading.Event)

    def confirm(self) -> None:
        """Give a sign of life, where the file is still our own."""
        try:
            with self.path.open(
                "r+b"
            ) as file:  # opening it asks the server, which a look at its time may not
                self.lost = self.lost or file.read() != self.content
                if not self.lost:
                    os.utime(file.fileno())
        except FileNotFoundError:
            self.lost = True
        except OSError as error:
            raise cannot_write(self.path, error) from error
        if self.lost:
            folder = self.path.parent
            holders = _holders(folder) if folder.exists() else {}
            if not holders:
                raise LeaseLostError(
                    f"{folder} was moved or deleted, or its lease was: nothing more is written; bring it "
                    "back and run the same command to go on."
                )
            raise LeaseLostError(
                f"{folder} was taken over by {holders[max(holders)].process}, as this process gave no sign "
                f"of life for {STALE:.0f} s: nothing more is written; run the same command to go on or to "
                "see the result."
            )

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Give signs of life beside what the process does."""
        thread = threading.Thread(target=self._beat, name=f"lease of {self.what}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.ended.set()
            thread.join(BEAT)

    def _beat(self) -> None:
        while not self.ended.wait(BEAT):
            try:
                self.confirm()
            except LeaseLostError as error:
                log.warning("%s", error)
                return
            except InputError:  # a server that is away may come back
                continue

    def release(self) -> None:
        """Take the lease away, unless it is another's."""
        with suppress(OSError):
            if self.path.read_bytes() == self.content:
                self.path.unlink()


def _wait(folder: Path, what: str, meanwhile: Callable[[Holder], object]) -> _Lease:
    """Take the lease of a folder once nobody holds it."""
    watch, said = _Watch(folder), None
    try:
        while True:
            holders = _holders(folder)
            newest = holders[max(holders)] if holders else None
            if newest is None or watch.gives_up(newest):
                lease = _claim(folder, what, holders)
                if lease is not None:
                    if newest is not None:
                        log.info("%s is taken over: %s is gone.", what, newest)
                    return lease
                time.sleep(random.uniform(0, _POLL / 10))  # two that met do not meet again
                continue
            meanwhile(newest)
            if newest.process != said:
                said = newest.process
                log.info("%s is being run by %s: waiting for it.", newest.what or what, newest)
            time.sleep(_POLL)
    except OSError as error:
        raise cannot_write(folder, error) from error


@dataclass
class _Watch:
    """Judges from outside whether a holder lives."""

    folder: Path
    seen: tuple[object, ...] = ()
    since: float = 0.0

    def gives_up(self, holder: Holder) -> bool:
        """Say whether a holder is dead, or has given no sign of life for long enough.

        By the folder's clock, which holder and onlooker share; and having looked on for two beats, as a
        server that was away leaves no signs either.
        """
        left_behind = holder.process == this() and self.folder not in _held  # it could not be taken away
        if left_behind or holder.process.alive is False:
            return True
        if (holder.mark, holder.beat) != self.seen:
            self.seen, self.since = (holder.mark, holder.beat), time.monotonic()
        watched = time.monotonic() - self.since
        if watched >= STALE:
            return True
        return watched >= 2 * BEAT and _clock(self.folder) - holder.beat > STALE * 1e9


def _clock(folder: Path) -> int:
    """Read the clock of a folder's file system, in nanoseconds."""
    os.utime(folder)
    return folder.stat().st_mtime_ns


def _claim(folder: Path, what: str, before: Mapping[int, Holder]) -> _Lease | None:
    """Make the next lease, after those that were found to be dead; None where another was faster."""
    process = this()
    about = {
        **asdict(process),
        "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        "what": what,
        "mark": secrets.token_hex(8),
    }
    lease = _Lease(folder / f".lease.{max(before, default=0) + 1}", json.dumps(about).encode(), what)
    try:
        _make(lease)
    except FileExistsError:
        return None
    others = {path: holder for path, holder in _leases(folder).items() if path != lease.path}
    known = {holder.mark for holder in before.values()}
    if any(holder.mark not in known for holder in others.values()):  # of one who began meanwhile
        lease.path.unlink(missing_ok=True)
        return None
    for path in others:  # so that a holder who wakes does not find its own
        path.unlink(missing_ok=True)
    return lease


def _make(lease: _Lease) -> None:
    """Make the file of a lease, whole from the beginning: after a power cut, too, it says whose it is."""
    draft = lease.path.with_name(f".draft{lease.path.name}.{secrets.token_hex(8)}")
    try:
        with draft.open("xb") as file:
            file.write(lease.content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, lease.path)
        except FileExistsError:
            raise
        except OSError:  # some file systems have no second names for a file
            with lease.path.open("xb") as file:
                file.write(lease.content)
    finally:
        with suppress(OSError):
            draft.unlink()


def _holders(folder: Path) -> dict[int, Holder]:
    return {int(path.name.rpartition(".")[2]): holder for path, holder in _leases(folder).items()}


def _leases(folder: Path) -> dict[Path, Holder]:
    """Read all leases in a folder: one, but for moments and for takeovers that broke off."""
    found = {}
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name):
            with suppress(FileNotFoundError), path.open("rb") as file:
                content, status = file.read(), os.fstat(file.fileno())
                mark = (status.st_ino, content)
                found[path] = Holder(*_described(content), status.st_mtime_ns, mark)
    return found


def _described(content: bytes) -> tuple[Process, str, str]:
    """Who wrote a lease; an unknown process where it is just being written, or damaged."""
    try:
        about = json.loads(content)
        process = Process(about["host"], about["space"], int(about["number"]), int(about["started"]))
        return process, str(about["since"]), str(about["what"])
    except (ValueError, KeyError, TypeError):
        return Process("an unknown machine", "", 0), "an unknown time", ""

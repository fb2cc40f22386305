"""The processes that share a run, called ranks as elsewhere: which one am I, and what do we all know.

They are those that torchrun or srun started, or else those that the Trainer's devices ask for, which are
started here, at once, by the same command. From then on all go through the same code. What matters is
decided by the first (`by_first`), which alone speaks and writes.

What is small goes through a store that needs nobody to take part, so a rank that failed or died is noticed
while others wait: what fails on one fails on all (`together`). Those that wait in a collective, where they
cannot be told, are ended with a sentence, and so are all where one died.
"""

from __future__ import annotations

import atexit
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from i3d_lightning import interruption
from i3d_lightning.errors import InputError
from i3d_lightning.processes import number_given

log = logging.getLogger(__name__)
T = TypeVar("T")

SILENCE = 60.0
"""Seconds without a sign of life after which a rank is taken for dead, where nobody else says so."""
GRACE = 20.0
"""Seconds for the others to notice by themselves that one failed or died, before the job is ended."""
_BEAT = 1.0
_POLL = 0.02
_PIECE = 4 << 20
"""Bytes of a value at most: the store takes no more than 8 MiB."""


class RankFailedError(RuntimeError):
    """Another rank failed, by an error that is not the user's."""


@dataclass(frozen=True)
class _Failure:
    """What went wrong on one rank."""

    rank: int
    text: str
    users: bool
    ends: bool
    signal: signal.Signals | None
    trace: str


@dataclass
class _Team:
    """The ranks of this run, as this one sees them."""

    rank: int
    size: int
    store: Any
    children: Sequence[subprocess.Popen[bytes]] = ()
    block: int = 0
    step: int = 0
    inside: threading.Event = field(default_factory=threading.Event)

    def tell(self, key: str, value: object) -> None:
        """Leave a value for the others."""
        raw = pickle.dumps(value)
        for place in range(0, len(raw), _PIECE):
            self.store.set(f"{key}#{place}", raw[place : place + _PIECE])
        self.store.set(key, str(len(raw)))

    def hear(self, key: str) -> Any:
        """Wait for a value that another rank leaves; raises as soon as one failed."""
        length = int(self.wait(key))
        return pickle.loads(b"".join(self.store.get(f"{key}#{place}") for place in range(0, length, _PIECE)))

    def forget(self, key: str) -> None:
        """Take back a value that all have heard."""
        if self.store.check([key]):
            for place in range(0, int(self.store.get(key)), _PIECE):
                self.store.delete_key(f"{key}#{place}")
            self.store.delete_key(key)

    def wait(self, key: str, heed: bool = True) -> bytes:
        """Wait for a key that another rank sets; raises as soon as one failed, if that is to be heeded."""
        pause = _POLL
        while not self.store.check([key]):
            if heed and (failure := self.failure()):
                raise self.error(failure)
            time.sleep(pause)
            pause = min(2 * pause, 0.5)
        return self.store.get(key)

    def failure(self) -> _Failure | None:
        key = f"{self.block}/failed"
        return pickle.loads(self.store.get(key)) if self.store.check([key]) else None

    def error(self, failure: _Failure) -> BaseException:
        """What a failure of another rank is on this one."""
        text = f"{failure.text} (process {failure.rank} of {self.size})"
        if failure.signal is not None:
            return interruption.stopped_by(failure.signal)
        if failure.ends:
            return SystemExit(f"error: The job ends, since a process did: {text}")
        if failure.users:
            return InputError(text)
        error = RankFailedError(text)
        error.add_note(failure.trace)
        return error


_team: _Team | None = None


def rank() -> int:
    """Give the number of this process among those of the run."""
    if _team is not None:
        return _team.rank
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank()
    return number_given()  # not yet together


def size() -> int:
    """Give the number of processes of the run, one before they came together."""
    if _team is not None:
        return _team.size
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_first() -> bool:
    """Say whether this is the first of the processes that share a run: it alone writes, logs and speaks."""
    return rank() == 0


def by_first(decide: Callable[[], T]) -> T:
    """Let the first rank decide, and give its answer to all; to be called by all."""
    if _team is None or _team.size == 1:
        return decide()
    _team.step += 1
    key = f"{_team.block}/{_team.step}"
    if _team.rank == 0:
        decision = decide()
        _team.tell(key, decision)
        return decision
    return _team.hear(key)


def gather(mine: T) -> list[T]:
    """Give what every rank has to all, by rank; to be called by all."""
    if _team is None or _team.size == 1:
        return [mine]
    _team.step += 1
    keys = [f"{_team.block}/{_team.step}/{number}" for number in range(_team.size)]
    _team.tell(keys[_team.rank], mine)
    found = [_team.hear(key) for key in keys]
    # All have heard what came before, so it need not be kept.
    _team.forget(f"{_team.block}/{_team.step - 1}/{_team.rank}")
    return found


@contextmanager
def together(what: str) -> Iterator[None]:
    """Do something on all ranks that fails on all where it fails on one; to be entered by all.

    Args:
        what: What is done, for whoever reads that it failed.

    Raises:
        InputError: That another rank raised.
        RankFailedError: Another rank failed otherwise.
        SystemExit: Another rank was interrupted.
    """
    team = _team
    if team is None or team.size == 1:
        yield
        return
    team.block, team.step = team.block + 1, 0
    _meet(team, "in")
    team.inside.set()
    try:
        yield
    except BaseException as error:
        failure = _Failure(
            team.rank,
            str(error) or repr(error),
            isinstance(error, InputError),
            not isinstance(error, Exception),
            error.signal if isinstance(error, interruption.Interrupted) else None,
            traceback.format_exc(),
        )
        first = pickle.loads(team.store.compare_set(f"{team.block}/failed", "", pickle.dumps(failure)))
        if not failure.ends:
            _meet(team, "out")
        if first.rank == team.rank or failure.ends or first.text == failure.text:
            raise
        raise team.error(first) from error
    else:
        _meet(team, "out")
        if failed := team.failure():
            raise team.error(failed)
    finally:
        team.inside.clear()


def _meet(team: _Team, where: str) -> None:
    """Wait until all ranks are there, whatever happened to them."""
    keys = [f"{team.block}/{where}/{number}" for number in range(team.size)]
    team.store.set(keys[team.rank], b"")
    for key in keys:
        team.wait(key, heed=False)


def start(trainer: Mapping[str, Any]) -> None:
    """Bring the ranks of this run together, once; where nobody started the others, they are started now.

    They run the same command from its beginning, so until here it may only read.

    Args:
        trainer: The user's arguments of Lightning's Trainer, which knows the ways to start several processes.

    Raises:
        InputError: As many processes as were started are not what the Trainer would use.
    """
    global _team
    if _team is not None and _team.size > 1:
        return
    strategy = _strategy(trainer)
    environment, number, count = strategy.cluster_environment, strategy.global_rank, strategy.world_size
    started = int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else count
    if started != count:
        raise InputError(
            f"{started} processes were started, but the Trainer would use {count}: add, say, "
            f"--trainer '{{devices: {os.environ.get('LOCAL_WORLD_SIZE', started)}, strategy: ddp}}'."
        )
    if count == 1:
        _team = _Team(0, 1, None)
        return
    os.environ["MASTER_ADDR"] = environment.main_address
    os.environ["MASTER_PORT"] = str(environment.main_port)
    children = [] if environment.creates_processes_externally else _start_others(strategy)
    interruption.takes_along(children)
    store, _, _ = next(dist.rendezvous("env://", rank=number, world_size=count))
    _team = _Team(number, count, dist.PrefixStore("i3d", store), children)
    threading.Thread(target=_watch, args=(_team,), name="ranks", daemon=True).start()
    atexit.register(_leave, _team)
    # The strategy leaves a group that is there as it is. Objects go by the CPU, whatever tensors do.
    backend = "gloo" if strategy.root_device.type == "cpu" else f"cpu:gloo,{strategy.root_device.type}:nccl"
    dist.init_process_group(backend, store=dist.PrefixStore("group", store), rank=number, world_size=count)
    dist.all_reduce(torch.zeros(1))  # connects them now: while it waits to, nobody else can use the store


def _strategy(trainer: Mapping[str, Any]) -> Any:
    """What Lightning makes of the user's devices, and of what started this process."""
    import lightning as L
    from lightning.pytorch.strategies import ParallelStrategy

    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    try:
        made = L.Trainer(**{**trainer, **quiet, "enable_progress_bar": False})
    except Exception as error:  # each of Lightning's parts has its own
        why = " ".join(str(error).split())
        raise InputError(f"trainer: this machine cannot run {dict(trainer)} ({why[:300]}).") from error
    strategy: Any = made.strategy
    if made.world_size > 1 and not isinstance(strategy, ParallelStrategy):
        raise InputError(f"--trainer: {type(strategy).__name__} is not for several processes: use ddp.")
    if not isinstance(strategy, ParallelStrategy):
        strategy.cluster_environment, strategy.global_rank, strategy.world_size = None, 0, 1
    return strategy


def _start_others(strategy: Any) -> list[subprocess.Popen[bytes]]:
    """Start the other processes of this machine by the same command, as Lightning would do later."""
    from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

    if not isinstance(strategy.launcher, _SubprocessScriptLauncher):
        raise InputError("--trainer: strategies that spawn or fork are not supported: use ddp.")
    environment = strategy.cluster_environment
    os.environ |= {
        "NODE_RANK": str(environment.node_rank()),
        "LOCAL_RANK": "0",
        "WORLD_SIZE": str(strategy.world_size),
    }
    command = [sys.executable, *sys.orig_argv[1:]]
    numbers = range(1, strategy.num_processes)
    return [subprocess.Popen(command, env={**os.environ, "LOCAL_RANK": str(n)}) for n in numbers]


def _watch(team: _Team) -> None:
    """Give signs of life, and end the job where a rank died, or failed while others cannot be told."""
    beats: dict[int, tuple[bytes, float]] = {}
    failed_since = 0.0
    beat = 0
    while True:
        beat += 1
        try:
            team.store.set(f"alive/{team.rank}", str(beat))
            for other in range(team.size):
                found = team.store.get(f"alive/{other}") if team.store.check([f"alive/{other}"]) else b""
                if beats.get(other, (None, 0.0))[0] != found:
                    beats[other] = found, time.monotonic()
            failure = team.failure()
        except RuntimeError as error:  # of the store: it lives in the first process, or in torchrun
            if team.inside.is_set() and not interruption.received():
                _end(team, f"The process that keeps the others together is gone ({error}).")
            return
        # One that was told to stop may be gone while another still saves.
        stopping = interruption.received() or (failure and failure.ends)
        if team.inside.is_set() and not stopping:
            for number, child in enumerate(team.children, team.rank + 1):
                if child.poll() is not None:
                    _end(team, f"Process {number} of {team.size} {_ended(child.returncode)}.")
            silent = [n for n, (_, since) in beats.items() if time.monotonic() - since > SILENCE]
            if silent:
                _end(team, f"Process {silent[0]} of {team.size} no longer gives a sign of life.")
        waits = failure and team.inside.is_set() and not interruption.received()  # else it leaves by itself
        failed_since = (failed_since or time.monotonic()) if waits else 0.0
        if failure and failed_since and time.monotonic() - failed_since > GRACE:
            if failure.signal is not None:
                os._exit(interruption.farewell(failure.signal))
            _end(team, f"Process {failure.rank} of {team.size} failed while others computed: {failure.text}")
        time.sleep(_BEAT)


def _ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"


def _end(team: _Team, sentence: str) -> None:
    """End this process at once, and those that it started; whoever notices first speaks."""
    with suppress(RuntimeError):  # of the store, which may be gone
        mine = str(team.rank).encode()
        if team.store.compare_set("ended", "", mine.decode()) != mine:
            deadline = time.monotonic() + GRACE
            while not team.store.check(["said"]) and time.monotonic() < deadline:
                time.sleep(_POLL)  # lest the one that speaks be killed before it has
            sentence = ""
    if sentence:
        sys.stderr.write(f"error: {sentence.rstrip('.')}: run the same command to go on.\n")
        sys.stderr.flush()
    with suppress(RuntimeError):
        team.store.set("said", b"")
    for child in team.children:
        if child.poll() is None:
            child.kill()
    os._exit(1)


def _leave(team: _Team) -> None:
    """Let the others come to their end too, before the store goes that this process may keep."""
    try:
        team.store.set(f"left/{team.rank}", b"")
        deadline = time.monotonic() + GRACE
        while team.rank == 0 and time.monotonic() < deadline:
            if team.store.check([f"left/{number}" for number in range(team.size)]):
                break
            time.sleep(_POLL)
    except RuntimeError:
        pass
    for child in team.children:
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()

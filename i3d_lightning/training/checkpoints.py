"""Checkpoints of a training: at any step, whole or noticed not to be, of one run alone.

A training stopped anywhere and resumed equals an undisturbed one bit for bit, on a CPU with as many threads.
Lightning knows how to start its loops again between steps; what it keeps no record of (gradients of
accumulated micro-batches, meters, what each process's BatchNorm and DistributedDataParallel were at) is kept
here, with the rest, in one file.
"""

from __future__ import annotations

import hashlib
import io
import logging
import time
import warnings
from contextlib import ExitStack
from pathlib import Path
from pickle import UnpicklingError
from signal import Signals
from typing import Any, cast

import lightning as L
import torch
import torch.distributed
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from i3d_lightning import interruption
from i3d_lightning.errors import InputError
from i3d_lightning.files import write_atomically
from i3d_lightning.training.finite import LossWatch, diverged, not_finite
from i3d_lightning.training.meters import set_state, state_of
from i3d_lightning.training.streams import VideoStream

log = logging.getLogger(__name__)

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"

EVERY = 600.0
"""Seconds of training between checkpoints at most: what a power cut costs. Of I3D one is 100 MB."""

_MAGIC = b"i3d-lightning checkpoint 1"


# ---------------------------------------------------------------------------------------------- the files


def save(folder: Path, identity: str, state: Any) -> None:
    """Write a checkpoint and keep the one before it.

    Args:
        folder: Where.
        identity: Digest of all that the run's result depends on.
        state: Tensors, numbers and text, nested.

    Raises:
        InputError: It cannot be written; the one before it is kept.
    """
    content = io.BytesIO()
    torch.save(state, content)
    payload = content.getbuffer()
    header = b"%s %s %s\n" % (_MAGIC, hashlib.sha256(payload).hexdigest().encode(), identity.encode())
    last, previous = folder / LAST, folder / PREVIOUS
    kept = last.exists()
    if kept:
        last.replace(previous)
    try:
        write_atomically(last, lambda file: file.writelines((header, payload)))
    except BaseException:
        if kept and not last.exists():
            previous.replace(last)
        raise


def load(folder: Path, identity: str) -> Any:
    """Read the newest checkpoint that is whole, or None where there is none; others are named and deleted."""
    for name in (LAST, PREVIOUS):
        path = folder / name
        try:
            return _read(path, identity)
        except FileNotFoundError:
            continue
        except ValueError as error:
            log.warning("%s %s: training goes on from before it.", path, error)
            path.unlink(missing_ok=True)  # else it would be kept in the place of one that is whole
    return None


def exists(folder: Path) -> bool:
    """Say whether there is a checkpoint in a folder, whole or not."""
    return any((folder / name).exists() for name in (LAST, PREVIOUS))


def remove(folder: Path) -> None:
    """Delete the checkpoints of a run that is complete."""
    for name in (LAST, PREVIOUS):
        (folder / name).unlink(missing_ok=True)


def _read(path: Path, identity: str) -> Any:
    header, _, payload = path.read_bytes().partition(b"\n")
    if not header.startswith(_MAGIC + b" "):
        raise ValueError("is damaged, or of an earlier version")
    sha256, _, theirs = header[len(_MAGIC) + 1 :].partition(b" ")
    if hashlib.sha256(payload).hexdigest().encode() != sha256:
        raise ValueError("is damaged")
    if theirs != identity.encode():
        raise ValueError("belongs to a run with other settings")
    try:
        return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError) as error:
        raise ValueError("cannot be read by this version of PyTorch") from error


# ------------------------------------------------------------------------------------------- the training


class Checkpoints(Checkpoint):
    """Resumes a training from its last checkpoint; takes one at epochs' ends, after a while, and to leave.

    After the first micro-batch, and with several processes from the start, signals are deferred to the end
    of one, of training or of validation, where all processes stop together. Validation that is interrupted
    begins again, since it changes nothing. A loss, weight or gradient that is no finite number ends the
    training before anything is kept of it.

    Args:
        folder: Where checkpoints go.
        identity: Digest of all that the run's result depends on: checkpoints of others are not resumed.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder, self.identity = folder, identity
        self._losses = LossWatch()
        self._deferral, self._deferring = ExitStack(), False
        self._saved_at = time.monotonic()
        self._ours: dict[str, Any] | None = None  # what is to be restored of this process
        self._before_validation: dict[str, Any] = {}

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        stream = cast(VideoStream, pl_module)
        found = load(self.folder, self.identity) if trainer.is_global_zero else None
        state = trainer.strategy.broadcast(found)
        if state is None:
            return
        ranks = state["processes"]
        if len(ranks) != trainer.world_size:
            raise InputError(
                f"{self.folder} holds a training by {len(ranks)} processes, but this is one by "
                f"{trainer.world_size}: go on with as many, or use another --name."
            )
        stream.network.load_state_dict(state["network"])
        stream.logged = state["logged"]
        trainer.optimizers[0].load_state_dict(state["optimizer"])
        for config, schedule in zip(trainer.lr_scheduler_configs, state["schedules"], strict=True):
            config.scheduler.load_state_dict(schedule)
        trainer.fit_loop.load_state_dict(state["loops"])
        self._ours = ranks[trainer.global_rank]
        trainer.datamodule.load_state_dict(self._ours["data"])  # type: ignore[attr-defined]
        # Lightning cannot know that the loader follows its count of micro-batches.
        warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before the epoch")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._saved_at = time.monotonic()
        if trainer.world_size > 1:
            self._defer()
        ours, self._ours = self._ours, None
        if ours is None:
            return
        stream = cast(VideoStream, pl_module)
        set_state(cast(Any, stream.metrics["fit"]), ours["meters"])
        for name, buffer in stream.network.named_buffers():
            buffer.copy_(ours["buffers"][name])
        for name, parameter in stream.network.named_parameters():
            if name in ours["gradients"]:
                parameter.grad = ours["gradients"][name].to(parameter.device)
        if ours["in_step"] is not None:
            trainer.strategy.model.require_forward_param_sync = ours["in_step"]  # type: ignore[union-attr,assignment]

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        stream = cast(VideoStream, pl_module)
        within_step = (batch_idx + 1) % trainer.accumulate_grad_batches != 0
        bad, stop, due = _agreed(
            trainer,
            self._losses.bad_step(trainer.global_step, outputs["loss"]),
            _asked(),
            self._due() and not within_step,
        )
        if bad >= 0:
            raise diverged("The loss", bad, stream.recipe.training)
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:  # else more of the epoch is to come
            if due or stop:
                self._save(trainer, stream, _of_this_process(trainer, stream, gradients=within_step))
            _leave_if(stop)
        self._defer()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self._before_validation = _of_this_process(trainer, cast(VideoStream, pl_module), gradients=False)
            self._save_in_validation(trainer, pl_module, self._due())

    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self._save_in_validation(trainer, pl_module, False)

    def _save_in_validation(self, trainer: L.Trainer, pl_module: L.LightningModule, due: bool) -> None:
        stop, save = _agreed(trainer, _asked(), due)
        if save or stop:
            self._save(trainer, cast(VideoStream, pl_module), self._before_validation, validating=True)
        _leave_if(stop)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        stream = cast(VideoStream, pl_module)
        self._save(trainer, stream, _of_this_process(trainer, stream, gradients=False))
        _leave_if(*_agreed(trainer, _asked()))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._deferral.close()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._deferral.__exit__(type(exception), exception, exception.__traceback__)

    def _defer(self) -> None:
        if not self._deferring:
            self._deferring = True
            self._deferral.enter_context(interruption.deferred())

    def _due(self) -> bool:
        return time.monotonic() - self._saved_at > EVERY

    def _save(
        self, trainer: L.Trainer, stream: VideoStream, ours: dict[str, Any], validating: bool = False
    ) -> None:
        processes = _gathered(trainer, ours)
        problem = None
        if trainer.is_global_zero:
            state = {
                "network": stream.network.state_dict(),
                "optimizer": trainer.optimizers[0].state_dict(),
                "schedules": [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs],
                "loops": _loops(trainer, validating),
                "logged": stream.logged,
                "processes": processes,
            }
            try:
                if where := not_finite(state):
                    raise diverged(where, trainer.global_step, stream.recipe.training)
                save(self.folder, self.identity, state)
            except InputError as error:
                problem = str(error)
        problem = trainer.strategy.broadcast(problem)  # until it is written nobody goes on, or leaves
        if problem:
            raise InputError(problem)
        self._saved_at = time.monotonic()


def _of_this_process(trainer: L.Trainer, stream: VideoStream, gradients: bool) -> dict[str, Any]:
    """What differs between processes, and is not Lightning's to keep."""
    parameters = stream.network.named_parameters() if gradients else ()
    return {
        "meters": state_of(cast(Any, stream.metrics["fit"])),
        "buffers": {name: buffer.cpu().clone() for name, buffer in stream.network.named_buffers()},
        "gradients": {name: p.grad.cpu() for name, p in parameters if p.grad is not None},
        # Whether DistributedDataParallel gives all processes the first one's buffers in the next pass
        "in_step": getattr(trainer.strategy.model, "require_forward_param_sync", None),
        "data": trainer.datamodule.state_dict(),  # type: ignore[attr-defined]
    }


def _loops(trainer: L.Trainer, validating: bool) -> dict[str, Any]:
    """The state of Lightning's loops, such that they start again where training is."""
    loops = trainer.fit_loop.state_dict()
    if validating:  # an interruption of its first batch is what makes Lightning begin it again
        for count in ("total", "current"):
            loops["epoch_loop.val_loop.batch_progress"][count] = {
                "ready": 1,
                "started": 1,
                "processed": 0,
                "completed": 0,
            }
    return loops


def _asked() -> int:
    return int(interruption.requested() or 0)


def _leave_if(signal: int) -> None:
    if signal:
        interruption.leave(Signals(signal))


def _agreed(trainer: L.Trainer, *numbers: int) -> list[int]:
    """Give the largest of each number over all processes."""
    if trainer.world_size == 1:
        return [int(number) for number in numbers]
    together = torch.tensor(numbers, dtype=torch.int64, device=trainer.strategy.root_device)
    torch.distributed.all_reduce(together, torch.distributed.ReduceOp.MAX)
    return together.tolist()


def _gathered(trainer: L.Trainer, ours: dict[str, Any]) -> list[dict[str, Any]]:
    """What all processes have of their own, on the first one."""
    if trainer.world_size == 1:
        return [ours]
    everyone: list[Any] | None = [None] * trainer.world_size if trainer.is_global_zero else None
    torch.distributed.gather_object(ours, everyone)
    return everyone or []

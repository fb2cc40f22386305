"""Sends its process, or the one of a rank, a signal: SIGNAL_AT="training_step 5 SIGUSR1 1"."""

from __future__ import annotations

import os
import signal

from i3d_lightning.training.streams import VideoStream

if os.environ.get("SIGNAL_AT"):
    name, at, which, *rank = os.environ["SIGNAL_AT"].split()
    real, seen = getattr(VideoStream, name), 0

    def step(stream, *arguments):
        global seen
        seen += 1
        if seen == int(at) and (not rank or stream.global_rank == int(rank[0])):
            os.kill(os.getpid(), signal.Signals[which])
        return real(stream, *arguments)

    setattr(VideoStream, name, step)

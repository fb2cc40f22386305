"""Methods timed in turn, several times over, so that a slow minute of the machine meets them all."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

Method = Callable[[], Any]


def medians(methods: Mapping[str, Method], rounds: int = 5, warm_up: bool = True) -> dict[str, float]:
    """Seconds that each method takes, the median of its rounds, after one to warm up or without it."""
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for number in range(-warm_up, rounds):
        for name, method in methods.items():
            took = timed(method)
            if number >= 0:
                seconds[name].append(took)
    return {name: statistics.median(took) for name, took in seconds.items()}


def timed(method: Method) -> float:
    """Seconds that a method takes, until the device is done with it."""
    _wait()
    began = time.perf_counter()
    method()
    _wait()
    return time.perf_counter() - began


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def print_ratios(title: str, seconds: Mapping[str, float], baseline: str) -> None:
    """A Markdown table of seconds and of how many times faster than the baseline each is."""
    print(f"\n**{title}**\n\n| method | seconds | x baseline |\n|---|---|---|")
    for name, took in seconds.items():
        times = "baseline" if name == baseline else f"{seconds[baseline] / took:.1f}"
        print(f"| {name} | {took:.3f} | {times} |", flush=True)


def machine() -> str:
    """What the numbers were measured on."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":")[1] for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = names[0].strip() if names else processor
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] or ["no GPU"]
    return f"{processor}, {torch.get_num_threads()} threads, {', '.join(gpus)}, torch {torch.__version__}"

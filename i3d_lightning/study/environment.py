"""What the code runs on, kept beside each result."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import av
import torch

from i3d_lightning.files import file_sha256
from i3d_lightning.registry import plugins
from i3d_lightning.video.cores import available_cores

PACKAGES = (
    "i3d-lightning", "torch", "torchvision", "pytorchvideo", "transformers", "lightning", "numpy", "scipy",
    "numba", "av", "opencv-python-headless",
)  # fmt: skip
"""Those that numbers go through, where they are installed."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables that say among how many threads sums are divided."""
_PACKAGE = Path(__file__).parents[1]


def environment() -> dict[str, Any]:
    """Describe what the code runs on: all that may make the same run come out differently elsewhere."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: found for name in PACKAGES if (found := _version_of(name)) is not None},
        "ffmpeg": ".".join(map(str, av.library_versions["libavcodec"])),
        "cuda": torch.version.cuda,
        "code": _commit(),
        "source": _source(),
        "plugins": {name: file_sha256(file) for name, file in plugins().items()},
        "cpu": f"{_cpu()}, {torch.backends.cpu.get_cpu_capability()}",
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] or ["cpu"],
        "cores": available_cores(),
        "cpu_threads": torch.get_num_threads(),
        "thread_variables": {name: os.environ[name] for name in _THREADS if name in os.environ},
        "command": sys.argv,
    }


def _version_of(package: str) -> str | None:
    """Say which version of a package is installed, None for none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _commit() -> str | None:
    """The commit of this code, None where it does not lie in a repository of its own."""
    if not shutil.which("git"):
        return None
    here = ["git", "-C", str(_PACKAGE)]
    ours = subprocess.run([*here, "ls-files", "--error-unmatch", __file__], capture_output=True, check=False)
    if ours.returncode:  # installed into an environment that lies in somebody else's
        return None
    shown = subprocess.run(
        [*here, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip() or None


@cache
def _source() -> str:
    """The sha256 of all this package's code, which a commit with changes on top does not tell."""
    found = hashlib.sha256()
    for file in sorted(_PACKAGE.rglob("*.py")):
        found.update(f"{file.relative_to(_PACKAGE).as_posix()} {file_sha256(file)}\n".encode())
    return found.hexdigest()


@cache
def _cpu() -> str:
    """The processor's name, as Linux tells it, or as Python knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()

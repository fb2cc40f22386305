"""Shapes of public tensor functions are checked while tests run; real assets come from I3D_ASSETS."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
from videos import CLASSES, write_video

if "PYTEST_XDIST_WORKER" in os.environ:  # threads of several processes on the same cores wait for each other
    os.environ["OMP_NUM_THREADS"] = "1"

PACKAGE = Path(__file__).parents[1] / "i3d_lightning"
SHAPED = [
    "i3d_lightning." + ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
    for folder in ("networks", "video", "flow")
    for file in (PACKAGE / folder).rglob("*.py")
    if file.parts[-2:] not in (("solvers", "cpu.py"), ("solvers", "cuda.py"))  # compilers want bare functions
]
jaxtyping.install_import_hook([*SHAPED, "i3d_lightning.training.classifier"], "beartype.beartype")

os.environ["WANDB_MODE"] = "disabled"  # tests of tracking say otherwise
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="i3d-tests-")  # not the user's


@pytest.fixture(autouse=True)
def own_data_sets_are_forgotten() -> Iterator[None]:
    """What a test calls its data set says nothing to the next."""
    yield
    registry = sys.modules.get("i3d_lightning.datasets.registry")
    for made in list(registry.DATASETS) if registry else ():
        if made.source is not None:
            del registry.DATASETS._known[made.name]


@pytest.fixture(scope="session")
def assets() -> Path:
    """Real clips, weights and reference results."""
    folder = os.environ.get("I3D_ASSETS")
    if not folder:
        pytest.skip("I3D_ASSETS is not set: no real clips and weights to test on")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny_ucf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """UCF-101 as downloaded, in miniature: three classes told apart by the colour of a moving square.

    In each split four groups of two videos train and two test; the third class has no test video present.
    """
    root = tmp_path_factory.mktemp("tiny") / "ucf101"
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text("".join(f"{i} {c}\n" for i, c in enumerate(CLASSES, 1)))
    videos = {
        (label, group): [f"{name}/v_{name}_g{group:02}_c{clip:02}.avi" for clip in (1, 2)]
        for label, name in enumerate(CLASSES)
        for group in range(1, 7)
    }
    for split in (1, 2, 3):
        tested = {2 * split - 1, 2 * split}
        train = [(v, key[0] + 1) for key, vs in videos.items() if key[1] not in tested for v in vs]
        test = [v for key, vs in videos.items() if key[1] in tested for v in vs]
        (lists / f"trainlist{split:02}.txt").write_text("".join(f"{v} {label}\n" for v, label in train))
        (lists / f"testlist{split:02}.txt").write_text("".join(f"{v}\n" for v in test))
    for (label, group), names in videos.items():
        for clip, name in enumerate(names):
            if not (label == 2 and group <= 2):
                write_video(root / "UCF-101" / name, label, seed=100 * label + 10 * group + clip)
    return root

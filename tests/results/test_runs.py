"""Runs on disk: what is collected, and what is refused or left out."""

from __future__ import annotations

import dataclasses
import json
import logging
import re

import numpy as np
import pytest
from results.made import write_run

from i3d_lightning.cli.main import main
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.files import file_sha256
from i3d_lightning.recipe import digest
from i3d_lightning.results.runs import (
    CONFIG,
    ENVIRONMENT,
    FINGERPRINT,
    PREDICTIONS,
    RESULT,
    collect,
    is_complete,
    load_run,
)
from i3d_lightning.results.scores import scores

EXPERIMENT = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101")
OTHER = Experiment("i3d", "rgb", "none", "origin", "ucf101")


def test_runs_kept_under_a_name_stay_out_of_the_others_table(tmp_path):
    for root in (tmp_path, tmp_path / "wider"):
        write_run(root, EXPERIMENT, right=6)
    (unnamed,), (named,) = collect(tmp_path), collect(tmp_path / "wider")
    assert unnamed.folder == tmp_path / EXPERIMENT.folder
    assert named.folder == tmp_path / "wider" / EXPERIMENT.folder
    assert unnamed.classes == ("a", "b", "c")
    assert unnamed.predictions.accuracy() == 50


def test_a_folder_without_a_result_is_no_run(tmp_path):
    folder = write_run(tmp_path, EXPERIMENT, right=6)
    (folder / RESULT).unlink()
    assert load_run(folder) is None
    assert collect(tmp_path) == []


def change(folder, **changes):
    """Store other values in a result, as if they had been found; None deletes one."""
    metrics = json.loads((folder / RESULT).read_text()) | changes
    metrics = {key: value for key, value in metrics.items() if value is not None and key != "digest"}
    (folder / RESULT).write_text(json.dumps(metrics | ({"digest": digest(metrics)} if changes else {})))


def predict(folder, **arrays):
    """Store other predictions, as if they had been found."""
    with np.load(folder / PREDICTIONS) as stored:
        arrays = dict(stored) | arrays
    np.savez(folder / PREDICTIONS, **arrays)
    change(folder, files={name: file_sha256(folder / name) for name in (CONFIG, PREDICTIONS)})


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def replace(path, content=None):
    """Something else in the place of a file: bytes, nothing, a folder, a link to nowhere."""
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    elif content == "link":
        path.symlink_to("nowhere")


NAN = np.full((12, 3), np.nan, np.float32)
DEEP = b"[" * 100_000
EARLIER = "seed0 was made by an earlier version: run it again elsewhere .--name NAME., or delete it"
DAMAGED = r" is missing or damaged: delete .*seed0 and run"
DAMAGES = {
    **{
        f"{name} {what}": (
            lambda folder, n=name, c=content: replace(folder / n, c),
            re.escape(name) + DAMAGED,
        )
        for name in (RESULT, FINGERPRINT, CONFIG, PREDICTIONS)
        for what, content in {
            "empty": b"",
            "garbage": b'{"ex',
            "binary": b"\xff\x00\x80PK",
            "NULs": bytes(4096),
            "a list": b"[1]",
            "deep": DEEP,
            "a folder": "folder",
            "a link to nowhere": "link",
            "gone": None,
        }.items()
        if name != RESULT or content not in ("link", None)
    },
    **{
        f"a bit of {name}": (lambda folder, n=name: flip(folder / n), re.escape(name) + DAMAGED)
        for name in (RESULT, FINGERPRINT, CONFIG, ENVIRONMENT, PREDICTIONS)
    },
    "cut off": (lambda f: replace(f / PREDICTIONS, (f / PREDICTIONS).read_bytes()[:300]), DAMAGED),
    "another number": (
        lambda f: (f / RESULT).write_text(
            (f / RESULT).read_text().replace('"missing": ', '"top1": 99.9, "missing": ')
        ),
        DAMAGED,
    ),
    "an earlier version": (lambda folder: change(folder, version=1), EARLIER),
    "no version": (lambda folder: (folder / RESULT).write_text("{}"), EARLIER),
    "an unknown field": (lambda f: change(f, experiment={**vars(EXPERIMENT), "speed": "exact"}), EARLIER),
    "another experiment": (
        lambda folder: change(folder, experiment={**vars(EXPERIMENT), "seed": 1}),
        "seed0 holds a run of ucf101-1/i3d-rgb/kinetics/fixed/seed1: move it",
    ),
    "another identity": (lambda folder: change(folder, identity="0"), r"fingerprint\.json" + DAMAGED),
    "foreign predictions": (
        lambda f: replace(f / PREDICTIONS, (f.parents[4] / OTHER.folder / PREDICTIONS).read_bytes()),
        DAMAGED,
    ),
    "one id twice": (lambda folder: predict(folder, ids=np.array(["v0"] * 12)), "v0 was predicted twice"),
    "fewer ids": (lambda folder: predict(folder, ids=np.array(["v0"])), "each needs a row"),
    "labels out of range": (lambda folder: predict(folder, labels=np.full(12, 7)), "v0 is of class 7"),
    "labels of another type": (lambda folder: predict(folder, labels=np.full(12, "a")), "each needs"),
    "logits of another type": (lambda folder: predict(folder, logits=np.full((12, 3), "a")), "each needs"),
    "logits of another shape": (lambda folder: predict(folder, logits=NAN[0]), "each needs"),
    "another number of classes": (lambda f: predict(f, logits=np.eye(12, 4)), DAMAGED),
    "rows that nobody says are unreadable": (lambda folder: predict(folder, logits=NAN), DAMAGED),
    "infinite logits": (lambda folder: predict(folder, logits=np.full((12, 3), np.inf)), "v0 are not finite"),
    "pickled ids": (lambda folder: predict(folder, ids=np.array([object] * 12)), "damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_named_and_left_out_and_no_number_of_it_is_told(tmp_path, caplog, damage):
    write_run(tmp_path, OTHER, right=5)
    folder = write_run(tmp_path, EXPERIMENT, right=6)
    assert len(collect(tmp_path)) == 2
    spoil, message = DAMAGES[damage]
    spoil(folder)
    with caplog.at_level(logging.WARNING):
        (run,) = collect(tmp_path)
    assert run.experiment == OTHER
    (record,) = caplog.records
    assert record.getMessage().startswith("Left out: ")
    assert "\n" not in record.getMessage()
    assert re.search(message, record.getMessage())
    with pytest.raises(InputError, match=message):
        _ = load_run(folder).predictions


@pytest.mark.parametrize("content", [None, "link"])
def test_without_a_result_it_is_not_complete(tmp_path, content):
    folder = write_run(tmp_path, EXPERIMENT, right=6)
    replace(folder / RESULT, content)
    assert load_run(folder) is None
    assert not is_complete(folder)


@pytest.mark.parametrize("verb", ["table", "compare"])
def test_every_verb_leaves_damaged_runs_out(tmp_path, capsys, verb):
    again = dataclasses.replace(OTHER, seed=1)
    for experiment in (OTHER, again):
        write_run(tmp_path, experiment, right=5)
    for number, damage in enumerate(("config.yaml gone", "result.json a folder", "one id twice")):
        spoil, _ = DAMAGES[damage]
        spoil(write_run(tmp_path, dataclasses.replace(EXPERIMENT, split=number + 1), right=6))
    main([verb, *([OTHER.name, again.name] if verb == "compare" else []), f"--runs={tmp_path}"])
    shown = capsys.readouterr().out
    assert "41.7" in shown
    assert "fixed" not in shown


def test_streams_that_cannot_be_fused_keep_their_own_scores(tmp_path, caplog):
    for stream, of in (("rgb", 12), ("flow", 9)):
        write_run(tmp_path, Experiment("i3d", stream, "kinetics", "fixed", "ucf101"), right=6, of=of)
    assert [score.stream for score in scores(collect(tmp_path))] == ["flow", "rgb"]
    assert "Left out: the fusion of" in caplog.text

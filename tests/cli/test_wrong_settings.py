from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from wrong_settings import WRONG, filled, prepare

from i3d_lightning.cli.main import main
from i3d_lightning.datasets.registry import DATASETS
from i3d_lightning.protocols.base import PROTOCOLS


@pytest.fixture
def nothing_may_run(monkeypatch):
    """Protocols train and demo sets are rendered only after everything was checked."""
    for protocol in PROTOCOLS:
        run = replace(protocol, run=lambda job: pytest.fail("it was run"))
        monkeypatch.setitem(PROTOCOLS._known, protocol.name, run)
    for dataset in DATASETS:
        if dataset.prepare is not None:
            ready = replace(dataset, prepare=lambda root: pytest.fail("it was rendered"))
            monkeypatch.setitem(DATASETS._known, dataset.name, ready)
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *a, **k: pytest.fail("it was downloaded"))


@pytest.mark.parametrize("argv", [a for _, a in WRONG], ids=[name.replace(" ", "-") for name, _ in WRONG])
def test_a_wrong_setting_ends_in_one_sentence(argv, tiny_ucf, tmp_path, nothing_may_run, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(filled(argv, tmp_path, tiny_ucf))
    said = capsys.readouterr()
    assert stop.value.code == 2, said.err
    sentences = [line for line in said.err.splitlines() if not line.startswith(("Scanning", "  ", "Running"))]
    assert len(sentences) == 1, said.err
    assert sentences[0].startswith("error: ")
    assert sentences[0].endswith((".", "?", ":", ")")), said.err
    assert len(sentences[0]) < 500
    assert said.out == ""
    made = [p for p in (Path("runs"), Path("demo"), Path("flow"), Path("ran")) if p.exists()]
    assert not made

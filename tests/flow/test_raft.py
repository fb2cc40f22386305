from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torchvision.models import optical_flow

from i3d_lightning.errors import InputError
from i3d_lightning.flow import estimate_flow
from i3d_lightning.flow import raft as module
from i3d_lightning.recipe import Flow


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of downloads, and no memory of networks."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    module._network.cache_clear()
    yield tmp_path / "checkpoints"
    module._network.cache_clear()


def test_flow_is_torchvisions_with_a_warning(hub, caplog):
    torch.manual_seed(0)
    network = optical_flow.raft_small(weights=None).eval()
    hub.mkdir()
    torch.save(network.state_dict(), hub / Path(optical_flow.Raft_Small_Weights.C_T_V2.url).name)
    rgb = torch.randint(0, 256, (1, 3, 3, 130, 150), dtype=torch.uint8)
    with caplog.at_level(logging.WARNING):
        flow = estimate_flow(rgb, Flow(algorithm="raft-small"))
    assert "expect TV-L1" in caplog.text
    assert flow.shape == (1, 2, 2, 130, 150)
    padded = torch.nn.functional.pad(rgb[0].movedim(1, 0) / 127.5 - 1, [0, 2, 0, 6], mode="replicate")
    with torch.no_grad():
        expected = network(padded[:-1], padded[1:])[-1]
    torch.testing.assert_close(flow[0], expected[:, :, :130, :150], atol=1e-3, rtol=1e-3)


def test_without_network_it_is_said_what_to_get(hub, monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    rgb = torch.zeros(1, 3, 2, 32, 32, dtype=torch.uint8)
    with pytest.raises(
        InputError, match=r"raft-small cannot be downloaded .*no route.*\.pth and put it into"
    ):
        estimate_flow(rgb, Flow(algorithm="raft-small"))

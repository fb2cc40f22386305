"""The paper's conclusions, judged on scores made by hand."""

from __future__ import annotations

from results.made import score

from i3d_lightning.experiment import FUSION
from i3d_lightning.results.findings import findings


def test_findings_hold_or_not_or_were_not_run():
    found = [
        score("i3d", "rgb", "imagenet", "origin", "ucf101", 120),
        score("i3d", "flow", "imagenet", "origin", "ucf101", 140),
        score("i3d", FUSION, "imagenet", "origin", "ucf101", 130),
        score("i3d", FUSION, "kinetics", "full-ft", "ucf101", 180),
    ]
    verdicts = {f.statement.split(" (")[0]: f for f in findings(found, demo=False)}
    flow = verdicts["Flow beats RGB on UCF-101 and HMDB-51"]
    assert flow.verdict == "holds"
    assert "+10.0 [" in flow.evidence[0]
    assert "200 videos" in flow.evidence[0]
    assert verdicts["RGB+Flow beats either stream"].verdict == "does not hold"
    assert verdicts["Pretraining on Kinetics beats pretraining on ImageNet"].verdict == "holds"
    assert verdicts["RGB beats flow on Kinetics"].verdict == "not run"
    assert {f.verdict for f in findings(found, demo=True)} == {"not run"}


def test_the_ranking_and_who_gains_most():
    names = ("convnet-lstm", "c3d", "two-stream", "fused-3d")
    both = {"convnet-lstm": "rgb", "c3d": "rgb", "two-stream": "joint", "fused-3d": "joint", "i3d": FUSION}
    found = []
    for dataset, order in (("ucf101", range(5)), ("hmdb51", (0, 1, 3, 2, 4))):
        for name, place in zip((*names, "i3d"), order, strict=True):
            start = "none" if name == "c3d" else "imagenet"
            found.append(score(name, both[name], start, "origin", dataset, 100 + 10 * place))
            if name != "c3d":
                found.append(score(name, both[name], "none", "origin", dataset, 100))
            gain = 60 if name in ("c3d", "i3d") else 20
            found.append(score(name, both[name], "kinetics", "full-ft", dataset, 100 + gain))
    verdicts = {f.statement.split(" (")[0]: f.verdict for f in findings(found, demo=False)}
    assert verdicts["The ranking of architectures is the same on all data sets"] == "does not hold"
    assert verdicts["Two-Stream I3D is the best architecture on every data set"] == "holds"
    assert verdicts["Kinetics helps I3D and the 3D-ConvNet most"] == "holds"
    assert verdicts["Pretraining on Kinetics helps every architecture"] == "holds"

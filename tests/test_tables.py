from __future__ import annotations

import numpy as np
import pytest

from i3d_lightning import published, tables
from i3d_lightning.cli import main
from i3d_lightning.findings import findings
from i3d_lightning.plan import FUSION, Experiment, InputError
from i3d_lightning.results import Predictions, Score


def score(architecture, stream, pretraining, protocol, dataset, right, of=200, split=1, seed=0) -> Score:
    """A score with `right` of `of` videos right."""
    logits = np.zeros((of, 3), np.float32)
    logits[:right, 1] = 1
    logits[right:, 2] = 1
    found = Predictions(tuple(f"v{i}" for i in range(of)), np.ones(of, int), logits)
    one = "rgb" if stream == FUSION else stream
    experiment = Experiment(architecture, one, pretraining, protocol, dataset, split, seed)
    return Score(experiment, stream, found, {"train": 0, "test": 3}, None if pretraining == "none" else "w")


def test_ours_stands_beside_the_papers_with_the_difference():
    found = [score("i3d", "rgb", "imagenet", "origin", "ucf101", 170)]
    table = tables.paper_table(2, found)
    assert table.frame.loc["(e) Two-Stream I3D", ("ucf101", "RGB")] == "85.0 (84.5, +0.5)"
    assert table.frame.loc["(e) Two-Stream I3D", ("ucf101", "Flow")] == "(90.6)"
    assert table.frame.loc["(b) 3D-ConvNet", ("ucf101", "Flow")] == "–"
    assert "ucf101: 200 test videos, 3 of the official list missing" in table.note


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_every_number_of_the_paper_is_in_its_table(number):
    text = tables.flat(tables.paper_table(number, [])).to_string()
    for entry in published.PUBLISHED:
        if entry.table == number:
            assert f"({entry.top1:.1f})" in text


def test_table_3_gives_top_5():
    table = tables.paper_table(3, [])
    assert table.frame.loc["(e) Two-Stream I3D, top-5", ("ImageNet first", "RGB+Flow")] == "(91.3)"


def test_table_4_has_the_change_of_the_error():
    found = [
        score("two-stream", "joint", "none", "origin", "hmdb51", 100),
        score("two-stream", "joint", "kinetics", "fixed", "hmdb51", 140),
        score("two-stream", "joint", "kinetics", "full-ft", "hmdb51", 120),
    ]
    row = tables.paper_table(4, found).frame.loc["(c) Two-Stream"]
    assert row["hmdb51", "origin"] == "(58.3) / 50.0 (47.1, +2.9)"
    assert row["hmdb51", "Δ (ours)"] == "– / -40 %"  # an error of 50 % becomes 30 %


def test_table_5_is_over_three_splits():
    found = [score("i3d", "rgb", "kinetics", "full-ft", "ucf101", 190, split=s) for s in (1, 2, 3)]
    frame = tables.paper_table(5, found).frame
    assert frame.loc["RGB-I3D, Kinetics"].iloc[0] == "95.0 (95.1, -0.1)"
    assert frame.loc["IDT"].tolist() == ["(86.4)", "(61.7)"]
    assert tables.paper_table(5, found[:2]).frame.loc["RGB-I3D, Kinetics"].iloc[0] == "(95.1)"


def test_rendered_data_sets_have_tables_of_their_own():
    found = [score("i3d", "rgb", "none", "origin", "demo-ucf101", 50)]
    frame = tables.paper_table(4, found).frame
    assert "demo-ucf101" in frame.columns.get_level_values(0)
    assert not any("(" in cell for row in frame.to_numpy() for cell in row)
    assert set(tables.all_tables(found)) == {f"demo_table{n}" for n in (2, 3, 4, 5)}


def test_table_1_is_the_papers(capsys):
    main(["architectures", "--format=markdown"])
    text = capsys.readouterr().out
    for words in ("25 RGB, 5.00 s", "1 RGB + 10 flow, 0.40 s", "240 RGB, 9.60 s", "64 RGB + 64 flow, 2.56 s"):
        assert words in text
    assert "25.4 M" in text


def test_latex_compiles_in_form():
    text = tables.as_latex(tables.paper_table(4, []))
    for words in ("\\toprule", "\\bottomrule", "\\multicolumn", "$\\Delta$"):
        assert words in text
    assert text.count("{") == text.count("}")


def test_an_unknown_table_is_refused():
    with pytest.raises(InputError, match="no table 7"):
        tables.paper_table(7, [])


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

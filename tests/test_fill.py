"""Numbers in documents: filled from a stored file of results, which is written from run folders."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import fill
import pytest
import yaml
from results.made import write_run

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
README = """# Title

<!-- results: demo; columns=data set, protocol, RGB, videos -->
| old |
<!-- end -->

It is <!-- results: demo; protocol=origin; data set=demo-ucf101; column=RGB -->1.0<!-- end -->, which is low.
"""


@pytest.fixture
def project(tmp_path) -> Path:
    """A project with two runs, the results stored of them, a document and a recipe with blocks."""
    for protocol, pretraining, right in (("origin", "none", 3), ("fixed", "kinetics", 9)):
        write_run(tmp_path / "runs", Experiment("i3d", "rgb", pretraining, protocol, "demo-ucf101"), right)
    (tmp_path / "docs").mkdir()
    fill.store("demo", tmp_path / "runs", root=tmp_path)
    (tmp_path / "README.md").write_text(README)
    recipe = (EXPERIMENTS / "demo-fixed.yaml").read_text()
    command = "#   make experiment PROTOCOL=fixed\n#\n"
    assert command in recipe
    before, after = recipe.split(command)
    after = re.sub(r"(?m)^#.*\n", "", after)
    (tmp_path / "experiments").mkdir()
    marked = f"{before}{command}# results: demo; protocol=fixed\n# Expect 12.\n# end\n{after}"
    (tmp_path / "experiments" / "demo-fixed.yaml").write_text(marked)
    return tmp_path


def test_blocks_are_filled_from_what_runs_gave(project):
    assert fill.stale(project) == ["README.md", "experiments/demo-fixed.yaml"]
    assert (project / "README.md").read_text() == README  # only looked at
    assert fill.stale(project, write=True) == ["README.md", "experiments/demo-fixed.yaml"]
    assert fill.stale(project) == []

    stored = json.loads((project / "docs/results/demo.json").read_text())
    top1 = {row["protocol"]: row["RGB"] for row in stored["rows"]}
    assert top1["origin"].startswith("25.0 ") and top1["fixed"].startswith("75.0 ")
    assert [row["top1"] for row in stored["numbers"]] == [25.0, 75.0]
    text = (project / "README.md").read_text()
    assert f"| demo-ucf101 | fixed | {top1['fixed']} | 12 |\n" in text
    assert "| old |" not in text
    assert (
        f"It is <!-- results: demo; protocol=origin; data set=demo-ucf101; column=RGB -->{top1['origin']}"
        in text
    )
    made = "`i3d grid my.yaml`: 1 min with 2 threads on a CPU, code abc123, " + stored["date"]
    assert made in text

    recipe = project / "experiments" / "demo-fixed.yaml"
    lines = recipe.read_text().splitlines()
    assert f"# demo-ucf101, split 1, i3d, kinetics, fixed: RGB {top1['fixed']}, " in "\n".join(lines)
    assert max(map(len, lines)) <= 110
    assert yaml.safe_load(recipe.read_text()) == yaml.safe_load((EXPERIMENTS / "demo-fixed.yaml").read_text())


def test_a_block_may_be_a_table_of_the_papers(project):
    page = project / "docs" / "page.md"
    page.write_text("<!-- results: demo; table=demo_table4; architecture=(e) Two-Stream I3D --><!-- end -->")
    fill.stale(project, write=True)
    stored = json.loads((project / "docs/results/demo.json").read_text())["tables"]["demo_table4"]
    row = next(row for row in stored["rows"] if row["architecture"] == "(e) Two-Stream I3D")
    assert "| " + " | ".join(row.values()) + " |\n" in page.read_text()
    assert "(d)" not in page.read_text() and stored["note"] in page.read_text()


def test_another_result_makes_documents_stale(project):
    fill.stale(project, write=True)
    shutil.rmtree(project / "runs")
    for protocol, pretraining, right in (("origin", "none", 3), ("fixed", "kinetics", 6)):
        write_run(project / "runs", Experiment("i3d", "rgb", pretraining, protocol, "demo-ucf101"), right)
    fill.store("demo", project / "runs", "make demo", project)
    assert fill.stale(project, write=True) == ["README.md", "experiments/demo-fixed.yaml"]
    assert "`make demo`: " in (project / "README.md").read_text()
    edited = (project / "README.md").read_text().replace("25.0", "26.0")
    (project / "README.md").write_text(edited)
    assert fill.stale(project) == ["README.md"]


def test_what_is_stored_and_not_shown_is_named(project):
    fill.stale(project, write=True)
    fill.store("more", project / "runs", root=project)
    assert fill.stale(project) == ["docs/results/more.json is used by no document"]


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        ("<!-- results: demo -->", "a block of results that does not end"),
        ("<!--results: demo --><!-- end -->", "not spelt as"),
        ("<!-- results: demo--><!-- end -->", "not spelt as"),
        ("<!-- result: demo -->\n| 12 |\n<!-- end -->", "not spelt as"),
        ("<!-- Results: demo --><!-- End -->", "not spelt as"),
        ("<!-- results: demo --><!-- results: demo --><!-- end -->", "not spelt as"),
        ("<!-- results: dmeo --><!-- end -->", "no stored results 'dmeo'"),
        ("<!-- results: demo; protocl=fixed --><!-- end -->", "did you mean 'protocol'"),
        ("<!-- results: demo; columns=data set, RGBA --><!-- end -->", "did you mean 'RGB'"),
        ("<!-- results: demo; table=table9 --><!-- end -->", "Unknown table of results 'demo'"),
        ("<!-- results: demo; protocol=full-ft --><!-- end -->", "stands for 0 rows"),
        ("<!-- results: demo; column=RGB --><!-- end -->", "stands for 2 rows"),
    ],
)
def test_a_mark_that_stands_for_nothing_is_refused(project, mark, why):
    (project / "docs" / "page.md").write_text(mark)
    with pytest.raises(InputError, match=why):
        fill.stale(project)


def test_a_heading_is_no_mark(project):
    (project / "docs" / "page.md").write_text("# Results: many\n")
    assert "docs/page.md" not in fill.stale(project)


def test_results_that_other_code_stored_are_refused(project):
    file = project / "docs" / "results" / "demo.json"
    content = json.loads(file.read_text())
    del content["tables"]
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="stored by other code, it lacks tables"):
        fill.stale(project)


def test_no_runs_are_no_results(tmp_path):
    with pytest.raises(InputError, match="no complete runs"):
        fill.store("demo", tmp_path, root=tmp_path)

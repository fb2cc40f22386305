"""Everything that the documents tell a reader to type: it parses, and what is quick runs on tiny data."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fill
import pytest
import torch
from jsonargparse import ArgumentParser
from tiny import recipe_flags
from torchvision.models.video import r2plus1d_18
from videos import CLASSES

from i3d_lightning.cli.main import VERBS, build_parser, main
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.recipe import Clips, Training
from i3d_lightning.weights import save_weights

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
TEXT = {name: path.read_text() for name, path in zip(NAMES, DOCUMENTS, strict=True)}
ELSEWHERE = {"pre-commit"}
"""Commands that are not the project's."""


def blocks(language: str) -> list[tuple[str, str]]:
    """Blocks of code, each with its document."""
    found = re.compile(rf"(?ms)^```{language}\n(.*?)^```$")
    return [(name, block) for name, text in TEXT.items() for block in found.findall(text)]


def spans(pattern: str) -> list[tuple[str, str]]:
    """Pieces of inline code that match, each with its document."""
    prose = {name: re.sub(r"(?ms)^```.*?^```$", "", text) for name, text in TEXT.items()}
    inline = [(name, span) for name, text in prose.items() for span in re.findall(r"`([^`\n]+)`", text)]
    return [(name, span) for name, span in inline if re.fullmatch(pattern, span)]


COMMANDS = [(name, line) for name, block in blocks("bash") for line in block.splitlines() if line.strip()]


def i3d_lines(line: str) -> list[list[str]]:
    """The arguments of `i3d` that a line of a document comes to, by way of make where it says so."""
    if line.startswith("make "):
        made = subprocess.run(
            ["make", "-n", "--no-print-directory", *shlex.split(line)[1:]],
            cwd=ROOT, env={**os.environ, "MAKEFLAGS": ""}, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        called = re.findall(r"(?m)bin/i3d ([^;|\n]+)", made.replace("$number", "4"))
        return [shlex.split(arguments.split(" || ")[0]) for arguments in called]
    return [shlex.split(line)[1:]] if re.match(r"(\S*/)?i3d ", line) else []


def parse(argv: list[str]) -> None:
    """Parse a command line as users' are, `--import` left out."""
    while "--import" in argv:
        at = argv.index("--import")
        argv = argv[:at] + argv[at + 2 :]
    build_parser().parse_args(argv)


def ids(found: list[tuple[str, str]]) -> list[str]:
    return [f"{Path(name).stem}: {text.splitlines()[0]}" for name, text in found]


@pytest.mark.parametrize(("name", "line"), COMMANDS, ids=ids(COMMANDS))
def test_a_command_parses(name, line, monkeypatch):
    monkeypatch.chdir(ROOT)
    words = shlex.split(line)
    if words[0] == ".venv/bin/python":
        assert (ROOT / words[1]).exists()
        return
    if words[0] in ELSEWHERE:
        return
    assert words[0] in ("make", ".venv/bin/i3d"), f"{name} has a command that no test knows: {line}"
    for argv in i3d_lines(line):
        parse(argv)


INLINE = spans(r"(\.venv/bin/)?i3d .+")


@pytest.mark.parametrize(("name", "span"), INLINE, ids=ids(INLINE))
def test_a_command_in_a_sentence_parses(name, span):
    words = shlex.split(span)[1:]
    if words[-1] == "--help" or (len(words) == 1 and words[0] != "chart"):  # a verb by its name
        assert words[0] in {"--help", *VERBS}
    else:
        parse(words)


def options(parser: ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        for inner in getattr(action, "_name_parser_map", {}).values():
            yield from options(inner)


def test_flags_in_sentences_exist():
    known = set(options(build_parser()))
    wrong = [(name, span) for name, span in spans("--.+") if span.split()[0] not in known | {"--speed"}]
    assert [w for w in wrong if not w[0].startswith("CHANGELOG")] == []


def test_variables_in_sentences_are_the_makefiles():
    makefile = (ROOT / "Makefile").read_text()
    known = set(re.findall(r"\b[A-Z_]{4,}\b", makefile)) | {"WANDB_MODE"}
    known |= {
        word.upper() for word in re.findall(r"foreach flag,([a-z ]+)", makefile) for word in word.split()
    }
    assert [span for _, span in spans(r"[A-Z_]+=.*") if span.split("=")[0] not in known] == []


def test_targets_of_make_exist():
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    assert [span for _, span in spans(r"make [a-z-]+.*") if span.split()[1] not in targets] == []


LINKS = [(name, link) for name, text in TEXT.items() for link in re.findall(r"\]\(([^)\s]+)\)", text)]


def anchors(text: str) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("name", "link"), [x for x in LINKS if not x[1].startswith("http")])
def test_links_between_documents_resolve(name, link):
    path, _, anchor = link.partition("#")
    target = ((ROOT / name).parent / path).resolve() if path else ROOT / name
    assert target.exists() and target.is_relative_to(ROOT)
    if anchor:
        assert anchor in anchors(target.read_text())


def test_every_document_is_linked_from_the_readme():
    linked = {link.partition("#")[0] for name, link in LINKS if name == "README.md"}
    assert [name for name in NAMES if name != "README.md" and name not in linked] == []


FILES = spans(r"(\.\./)?(i3d_lightning|experiments|tests|benchmarks|notebooks|docs)/[\w./-]*(::\w+)?")


@pytest.mark.parametrize(("name", "span"), FILES, ids=ids(FILES))
def test_files_and_tests_that_documents_name_exist(name, span):
    path, _, test = span.partition("::")
    assert (ROOT / path.removeprefix("../")).exists()
    if test:
        assert re.search(rf"(?m)^def {test}\(", (ROOT / path).read_text()), f"{name} names {span}"


def test_experiments_that_documents_name_exist():
    there = {path.name for path in ROOT.glob("experiments/*.yaml")}
    assert [span for _, span in spans(r"[\w-]+\.yaml") if span not in there] == []


def test_numbers_in_documents_are_those_of_stored_results():
    assert fill.stale() == [], "make numbers"


def test_the_readme_is_one_page_and_so_is_contributing():
    assert len(TEXT["README.md"].splitlines()) <= 150
    assert len(TEXT["CONTRIBUTING.md"].splitlines()) <= 200


def test_the_picture_of_the_package_is_a_true_one():
    (picture,) = re.findall(r"(?ms)^i3d_lightning/\n(.*?)^```", TEXT["CONTRIBUTING.md"])
    drawn = set(re.findall(r"(?m)^  (\w+)/", picture)) | set(re.findall(r"\w+\.py", picture))
    package = ROOT / "i3d_lightning"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    files = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    assert drawn == rooms | files


@pytest.fixture(scope="module")
def small(tiny_ucf, tmp_path_factory) -> Path:
    """A folder with what the documents take for granted: videos, data sets and weights, all tiny."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "ucf101").symlink_to(tiny_ucf)
    videos, rows = sorted((tiny_ucf / "UCF-101").glob("*/*.avi")), ["path,label,split,group"]
    for video in videos:
        part = "test" if int(video.stem.split("_g")[1][:2]) <= 2 else "train"
        place = folder / "videos" / part / video.parent.name / video.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(video)
        rows.append(f"{place.relative_to(folder / 'videos')},{place.parent.name},{part},{video.stem[:-4]}")
    (folder / "surgery.csv").write_text("\n".join(rows))
    shutil.copy(videos[0], folder / "my_video.mp4")
    torch.manual_seed(0)
    clips = Clips(short_side=32, crop=32, train_frames=9, test_frames=12)
    for stream in ("rgb", "flow"):
        save_weights(
            folder / f"{stream}.safetensors", ARCHITECTURES["i3d"].build(3, stream, clips, Training()),
            architecture="i3d", stream=stream, pretraining="kinetics", labels=CLASSES, clips=clips,
        )  # fmt: skip
    (folder / "experiments").symlink_to(ROOT / "experiments")
    return folder


@pytest.fixture
def here(small, tmp_path, monkeypatch) -> Path:
    """An empty folder to work in, with the same things."""
    for thing in small.iterdir():
        (tmp_path / thing.name).symlink_to(thing)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def on_tiny_data(argv: list[str]) -> list[str]:
    """The same command, with what is in the folder in the place of what readers have."""
    argv = [re.sub(r"^/path/to/", "", word) for word in argv]
    argv = ["rgb.safetensors" if word.startswith("i3d-rgb-") else word for word in argv]
    small = {"experiment": recipe_flags(), "flow": ["--short_side", "32", "--preset", "fast"]}
    return [*argv, *small.get(argv[0], [])]


QUICK = [
    (name, line)
    for name, line in COMMANDS
    if re.search(
        r"i3d (predict|flow|features .*actionformer|architectures .|weights|data check --dataset surgery)",
        line,
    )
    or ("make experiment PROTOCOL=fixed DATASET=" in line and "STREAM=rgb" in line)
    or ("PROTOCOL=fixed" in line and "rgb=" in line)
]


@pytest.mark.parametrize(("name", "line"), QUICK, ids=ids(QUICK))
def test_a_quick_command_runs(name, line, here, capsys):
    for argv in i3d_lines(line):
        main(on_tiny_data(argv))
    assert capsys.readouterr().out.strip()


SNIPPETS = [(name, block) for name, block in blocks("python") if not name.startswith("CONTRIBUTING")]


@pytest.mark.parametrize(("name", "snippet"), SNIPPETS, ids=ids(SNIPPETS))
def test_a_snippet_runs(name, snippet, here):
    names = {"rgb": torch.randint(0, 256, (1, 3, 3, 24, 32), dtype=torch.uint8)}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(snippet.replace("i3d-rgb-kinetics400", "rgb.safetensors").replace("/path/to/", ""), names)
    shown = said.getvalue()  # a class, the shape of features, or else there is flow
    assert "Red" in shown or "(1, 1024)" in shown or names["flow"].shape == (1, 2, 2, 24, 32)


def test_a_grid_in_the_documents_is_one(here, capsys):
    (grid,) = (block for name, block in blocks("yaml") if name == "docs/grids.md")
    Path("grid.yaml").write_text(grid)
    main(
        [
            "grid",
            "grid.yaml",
            "--root",
            "{ucf101: ucf101, hmdb51: ucf101, kinetics: ucf101}",
            "--dry_run",
            "true",
        ]
    )
    assert "hmdb51-3/c3d-rgb/kinetics/fixed/seed0" in capsys.readouterr().out


def test_the_examples_of_contributing_work_together(here):
    for name, block in blocks("python"):
        if name == "CONTRIBUTING.md":
            file = re.match(r"# (\w+\.py)\n", block)
            assert file
            Path(file[1]).write_text(block)
    modules = sorted(path.name for path in here.glob("my_*.py"))
    assert modules == ["my_dataset.py", "my_launcher.py", "my_network.py", "my_protocol.py", "my_weights.py"]
    with Path("videos/videos.csv").open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "group", "part"])
        for video in sorted(Path("videos").glob("*/*/*_c01.avi")):
            part, label, name = video.parts[1:]
            rows.writerow([f"{part}/{label}/{name}", label, name.split("_c")[0], part])
    torch.save(r2plus1d_18().state_dict(), "r2plus1d.pth")
    imports = [word for module in modules for word in ("--import", module)]
    argv = ["experiment", "--protocol", "layerwise", "--architecture", "r2plus1d", "--dataset", "my-set"]
    argv += ["--root", "videos", "--weights", "r2plus1d.pth", "--on", "subprocess", *recipe_flags()]
    argv += ["--recipe.training.steps", "2", "--recipe.training.batch_size", "2"]
    argv += ["--recipe.training.reference_batch", "2", "--recipe.training.stages", "[[1, 0.1]]"]
    done = subprocess.run(
        [sys.executable, "-m", "i3d_lightning", *imports, *argv],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "my-set" in done.stdout and "layerwise" in done.stdout

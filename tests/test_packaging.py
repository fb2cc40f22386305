"""What installing the package promises: floors without known advisories, a licence, a public CI."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

FLOORS = {
    # bundled FFmpeg: CVE-2026-40962 (fixed in 8.1), CVE-2026-8461 (fixed in 8.1.2); videos may be anyone's
    "av": "18.1",
    # GHSA-cpwx-vrp4-4pq7, the last of several ways out of the sandbox
    "jinja2": "3.1.6",
    # GHSA-pppj-hq3g-57pj, GHSA-gx64-gj6p-pc4c and three more, all fixed in 4.6.2
    "jupyterlab": "4.6.2",
    # GHSA-w37p-236h-pfx3 (2.6.2 and 2.6.3 carried malware),
    # GHSA-qqmf-gpg7-g8gw = CVE-2026-58659 (a checkpoint's hyperparameters run code)
    "lightning": "2.6.6",
    # CVE-2021-41495 and before
    "numpy": "1.22.2",
    # bundled libwebp: GHSA-qr4w-53vh-m672 (fixed in 4.8.1.78); bundled FFmpeg: CVE-2026-8461 (4.14.0.94)
    "opencv-python-headless": "4.14.0.94",
    # CVE-2026-25990 (12.1.1), CVE-2026-59199 and thirteen more (12.3); only arrays are given to it here
    "pillow": "12.3",
    # GHSA-rgxp-2hwp-jwgg = CVE-2026-25087, GHSA-5wvp-7f3h-6wmm = CVE-2023-47248
    "pyarrow": "23.0.1",
    # GHSA-6w46-j5rx-g56g = CVE-2025-71176
    "pytest": "9.0.3",
    # GHSA-8q59-q68h-6hv4 = CVE-2020-14343
    "pyyaml": "5.4",
    # GHSA-jw8x-6495-233v = CVE-2024-5206
    "scikit-learn": "1.5.0",
    # CVE-2023-25399
    "scipy": "1.10.0",
    # GHSA-5rjg-fvgr-3xxf = CVE-2025-47273
    "setuptools": "78.1.1",
    # GHSA-53q9-r3pm-6pq6 (2.6), GHSA-63cw-57p8-fm3p (2.10), both of torch.load with weights_only;
    # CVE-2026-4538 (up to 2.10); GHSA-rrmf-rvhw-rf47 = CVE-2025-3000 (2.13)
    "torch": "2.13",
    # CVE-2025-6921 and before (fixed in 4.53); and before 5.23 it loads VideoMAE wrongly without a word
    "transformers": "5.23",
    # in the bundled wandb-core: CVE-2026-71556, GHSA-hrxh-6v49-42gf, GHSA-jpjm-c3r5-q96r, CVE-2026-39822
    "wandb": "0.28.2",
}
"""The lowest version without a known advisory, of what is a dependency or may become one."""


def requirements() -> dict[str, Requirement]:
    """All that is asked for, by the package, its groups and its build."""
    lines = [*PROJECT["build-system"]["requires"], *PROJECT["project"]["dependencies"]]
    lines += [line for group in PROJECT["dependency-groups"].values() for line in group]
    lines += [line for extra in PROJECT["project"]["optional-dependencies"].values() for line in extra]
    return {found.name.lower(): found for found in map(Requirement, lines)}


REQUIREMENTS = requirements()


def lowest(requirement: Requirement) -> Version | None:
    floors = [Version(s.version) for s in requirement.specifier if s.operator in (">=", "==")]
    return max(floors, default=None)


@pytest.mark.parametrize("name", sorted(FLOORS.keys() & REQUIREMENTS.keys()))
def test_no_admitted_version_has_a_known_advisory(name):
    floor = lowest(REQUIREMENTS[name])
    assert floor is not None and floor >= Version(FLOORS[name])


@pytest.mark.parametrize("line", PROJECT["project"]["dependencies"])
def test_every_dependency_has_a_floor(line):
    assert lowest(Requirement(line)) is not None


def test_lightning_with_malware_is_not_admitted():
    admitted = REQUIREMENTS["lightning"].specifier
    assert not any(admitted.contains(version) for version in ("2.5.6", "2.6.0", "2.6.2", "2.6.3", "2.6.5"))


def test_the_licence_is_the_one_declared():
    assert PROJECT["project"]["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["license"] == "MIT"


def test_the_citation_is_of_this_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == PROJECT["project"]["version"]


def test_the_changelog_starts_with_what_is_unreleased():
    headings = re.findall(r"(?m)^## (.+)$", (ROOT / "CHANGELOG.md").read_text())
    assert headings[0] == "[Unreleased]"


def test_the_public_ci_runs_what_the_private_one_does_and_audits():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    runs = {name: "\n".join(s.get("run", "") for s in job["steps"]) for name, job in jobs.items()}
    assert "make ci" in runs["ci"]
    assert "pip-audit" in runs["audit"] and "--resolution lowest-direct" in runs["audit"]
    assert (ROOT / ".ci/run").read_text().rstrip().endswith("\nmake ci")


def test_nothing_public_names_a_folder_beside_the_repository():
    public = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "Makefile", *ROOT.glob("docs/*.md")]
    public += [ROOT / ".github/workflows/ci.yml", ROOT / ".pre-commit-config.yaml"]
    assert not [path for path in public if "../shared" in path.read_text()]


def test_pre_commit_runs_what_make_lint_does():
    makefile = (ROOT / "Makefile").read_text()
    (recipe,) = re.findall(r"(?m)^lint:.*\n((?:\t.*\n)+)", makefile)
    linted = re.findall(r"\$\(VENV\)/bin/(.+)", recipe)
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = [hook["entry"].removeprefix(".venv/bin/") for hook in local["hooks"]]
    assert hooks == [line.removesuffix(" .") for line in linted]

"""The verb that chooses settings, on held-out groups of training videos."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from i3d_lightning.cli.experiments import MAX_UNREADABLE, end, quieten_lightning
from i3d_lightning.cli.output import print_frame


def sweep(
    file: Path,
    space: Any,
    root: dict[str, Path] | None = None,
    weights: dict[str, str] | None = None,
    precision: str | None = None,
    on: str = "local",
    max_unreadable: float = MAX_UNREADABLE,
) -> None:
    """Try settings on groups held out of training, never on a reported test, and print the best.

    Args:
        file: Describes the grid, what to try and the share to hold out: see docs/recipes.md.
        root: Folder of each real data set, as in `i3d grid`.
        weights: Weights to start from, as in `i3d grid`.
        precision: As in `i3d experiment`, where the file says nothing else.
        space: Where things are kept: what is tried, in a folder for each setting below that of the name,
            which is the file's if not said.
        on: Where to run: `local`, or another launcher.
        max_unreadable: As in `i3d experiment`.
    """
    from i3d_lightning import ranks
    from i3d_lightning.launch import LAUNCHERS
    from i3d_lightning.results.choices import choose
    from i3d_lightning.results.reading import check_share
    from i3d_lightning.study import sweep as sweeps
    from i3d_lightning.study.grid import with_settings

    quieten_lightning()
    check_share(max_unreadable)
    wanted = sweeps.read_sweep(file)
    if precision is not None:
        grid = with_settings(wanted.grid, {"training": {"precision": precision}})
        wanted = dataclasses.replace(wanted, grid=grid)
    space = dataclasses.replace(space, name=space.name or file.stem)
    launcher = LAUNCHERS[on]
    planned = sweeps.candidates(wanted, space, root or {}, weights)
    failed: list[str] = []
    if planned.pretraining.cells:
        before = launcher(planned.pretraining, space)
        failed += [f"{cell.name}: {why}" for cell, why in before.failed.items()]
    runs: dict[str, list[Any]] = {}
    for setting, cells in planned.cells.items():
        overview = launcher(sweeps.ready(cells, space), sweeps.place(space, setting))
        runs[setting] = overview.done
        failed += [f"{setting}/{cell.name}: {why}" for cell, why in overview.failed.items()]
    if ranks.is_first():
        tried = {setting: [cell.experiment for cell in cells] for setting, cells in planned.cells.items()}
        _show(choose(runs, tried), wanted, runs, space.root)
    failure = ""
    if failed:
        many = len(planned.pretraining.cells) + sum(map(len, planned.cells.values()))
        reasons = "".join(f"\n  {line}" for line in failed)
        failure = f"{len(failed)} of {many} cells failed; the same command runs them again:{reasons}"
    end([run for some in runs.values() for run in some], max_unreadable, failure)


def _show(choices: Sequence[Any], wanted: Any, runs: Mapping[str, Sequence[Any]], root: Path) -> None:
    """Print what was tried and what is best, and store both as JSON and CSV."""
    import pandas as pd

    from i3d_lightning.files import write_atomically
    from i3d_lightning.results.runs import write_json

    rows = [
        {"cell": " ".join(choice.cell), **dataclasses.asdict(tried), "best": tried is choice.best}
        for choice in choices
        for tried in choice.tried
    ]
    if not rows:
        return
    frame = pd.DataFrame(rows)
    write_atomically(root / "sweep.csv", lambda stream: stream.write(frame.to_csv(index=False).encode()))
    best = [
        {
            "cell": choice.cell._asdict(),
            "setting": choice.best.setting,
            "changes": wanted.settings.get(choice.best.setting, {}),
            "as_good": choice.as_good,
            "left_out": choice.left_out,
            "edges": wanted.edges(choice.best.setting),
        }
        for choice in choices
    ]
    write_json(
        root / "sweep.json",
        {
            "hold_out": wanted.hold_out,
            "tried": rows,
            "best": best,
            "runs": {
                name: {r.experiment.name: r.metrics["digest"] for r in some} for name, some in runs.items()
            },
        },
    )
    shown = pd.DataFrame(
        {
            "cell": frame["cell"],
            "setting": frame["setting"],
            "top-1": [
                f"{r['top1']:.1f} [{r['low']:.1f} to {r['high']:.1f}]{' *' if r['best'] else ''}"
                for r in rows
            ],
            "cross-entropy": [f"{r['loss']:.3f}" for r in rows],
            "videos": frame["videos"],
        }
    )
    note = "* best on videos held out of training"
    if not wanted.hold_out:
        note = "* best on development videos"
    print_frame(shown, None, f"{note}: it chooses settings, and is no test result.")
    for choice, chosen in zip(choices, best, strict=True):
        print(f"{' '.join(choice.cell)}: {_verdict(choice)}")
        for setting in choice.left_out:
            print(f"  warning: {setting} is left out: not all of its runs are complete.")
        for edge in chosen["edges"]:
            print(f"  warning: {edge}: extend the sweep.")
    print(f"Stored in {root / 'sweep.json'} and {root / 'sweep.csv'}.")


def _verdict(choice: Any) -> str:
    """What is best, and how sure that is, in words."""
    if len(choice.tried) == 1:
        return f"{choice.best.setting}, the only one{' that is complete' if choice.left_out else ''}."
    if not choice.as_good:
        return f"{choice.best.setting}, clearly."
    others = " or ".join(choice.as_good)
    return f"{choice.best.setting}, but {choice.best.videos} videos do not tell it from {others}."

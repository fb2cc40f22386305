"""The verb that repeats a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from i3d_lightning.cli.experiments import quieten_lightning
from i3d_lightning.cli.output import print_frame, print_json
from i3d_lightning.recipe import plain


def rerun(
    run: Path,
    space: Any,
    root: Path | None = None,
    dataset: str | None = None,
    weights: str | None = None,
    flow_images: Path | None = None,
    fresh: bool = True,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Repeat a run from its folder alone, and say whether it came out equal: exit status 0, or 1 if not.

    Args:
        run: Its folder, or its name below the runs.
        root: Where its data set is now, if it was moved; a list of your own is looked for there, too.
        dataset: Where your own list or folder is now, if it was moved elsewhere.
        weights: Where the weights are now that it started from, if they were moved: a name or path.
        flow_images: Where the flow images are now that it read, if they were moved.
        fresh: Compute flow and features anew, in a cache that is deleted when all is done; `false` takes
            those in the cache, which may be the first run's.
        dry_run: Only say whether it can be repeated and what differs now.
        space: Where things are kept; repeats go below the name `rerun` if none is said.
        json: Print one JSON object instead.
    """
    from i3d_lightning import ranks
    from i3d_lightning.study import rerun as reruns

    quieten_lightning()
    folder = run if run.exists() else space.runs / run
    original = reruns.read(folder)
    moved = reruns.Moved(root, weights, flow_images, dataset)
    repeat = reruns.prepare(original, space, moved, fresh=fresh, dry=dry_run)
    about = {"run": original.name, "differs": {key: list(values) for key, values in repeat.differs.items()}}
    if ranks.is_first() and not json:
        _show_differences(repeat.differs)
    if dry_run:
        if json:
            print_json([about])
        else:
            print(f"{original.name} can be repeated.")
        return
    done = reruns.run(repeat)
    if not ranks.is_first():
        return
    outcome = reruns.compare(original.run.predictions, done.predictions, original.run.experiment.dataset)
    if json:
        print_json([{**about, "repeat": str(done.folder), "fresh": fresh, **plain(outcome)}])
    else:
        print(outcome if fresh else f"{outcome} Flow and features were those in {space.cache}, if there.")
    if not outcome.equal:
        raise SystemExit(1)


def _show_differences(differs: Any) -> None:
    import pandas as pd

    if not differs:
        print("Software and machine are those of the first time.")
        return
    rows = [(name, _short(before), _short(now)) for name, (before, now) in differs.items()]
    print_frame(pd.DataFrame(rows, columns=["", "then", "now"]), None, "What is not as the first time.")


def _short(value: object) -> str:
    """A value as people read it: of a digest its beginning."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text[:12] if len(text) == 64 and text.isalnum() else text

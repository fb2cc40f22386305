"""Verbs on networks and weights: architectures, weights list."""

from __future__ import annotations

from i3d_lightning.cli.output import check_format, print_json, print_paper_table, print_rich
from i3d_lightning.errors import InputError, unknown


def architectures(architecture_pattern: str = "*", format: str = "terminal") -> None:
    """Print networks with their parameters, multiply-adds and clips, and the stages of an Inception-v1.

    Args:
        architecture_pattern: Only networks whose name matches this, such as `r*_18`; of a single
            Inception-v1, its stages and what each sees.
        format: `terminal`, `markdown` or `latex`.
    """
    from i3d_lightning.networks import ARCHITECTURES
    from i3d_lightning.results import tables

    check_format(format)
    found = [ARCHITECTURES[name] for name in ARCHITECTURES.names(architecture_pattern)]
    if not found:
        raise unknown("architecture", architecture_pattern, ARCHITECTURES.names())
    if tables.has_stages(architecture_pattern):
        print_paper_table(tables.endpoint_table(architecture_pattern), format)
    else:
        chosen = None if len(found) == len(ARCHITECTURES.names()) else found
        print_paper_table(tables.architecture_table(chosen), format)


def weights_list(pattern: str = "*", json: bool = False) -> None:
    """List the published weights that are known by name.

    Args:
        pattern: Only names that match this, such as `*flow*`.
        json: Print one JSON object a line.
    """
    from i3d_lightning.experiment import stages
    from i3d_lightning.pretraining import self_supervised
    from i3d_lightning.weights import list_weights

    entries = list_weights(pattern)
    if not entries:
        raise InputError(f"No weights match '{pattern}': i3d weights list shows all.")
    if json:
        print_json(e.as_json() for e in entries)
        return
    from rich.table import Table

    columns = ("name", "stream", "pretraining", "clip", "top-1", "top-5", "views", "licence", "source")
    grid = Table(*columns, box=None)
    for e in entries:
        top1, top5 = ("–" if top is None else f"{top:.1f}" for top in (e.top1, e.top5))
        clip = f"{e.clips.train_frames} at {e.clips.fps:.3g} fps, {e.clips.test_side} px"
        pretraining = f"{e.pretraining}*" if self_supervised(stages(e.pretraining)) else e.pretraining
        grid.add_row(e.name, e.stream, pretraining, clip, top1, top5, e.views, e.licence, e.source)
    print_rich(grid)
    if any(self_supervised(stages(e.pretraining)) for e in entries):
        print("* self-supervised: no labels were seen.")

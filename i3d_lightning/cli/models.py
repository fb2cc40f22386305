"""Verbs on networks and weights: architectures, weights list."""

from __future__ import annotations

from i3d_lightning.cli.output import check_format, print_json, print_paper_table, print_rich
from i3d_lightning.errors import InputError


def architectures(architecture_name: str | None = None, format: str = "terminal") -> None:
    """Print every network with its parameters, multiply-adds and clips, or the stages of one.

    Args:
        architecture_name: Show the stages of this network and what each sees instead.
        format: `terminal`, `markdown` or `latex`.
    """
    from i3d_lightning.results import tables

    check_format(format)
    if architecture_name is not None:
        print_paper_table(tables.endpoint_table(architecture_name), format)
    else:
        print_paper_table(tables.architecture_table(), format)


def weights_list(pattern: str = "*", json: bool = False) -> None:
    """List the published weights that are known by name.

    Args:
        pattern: Only names that match this, such as `*flow*`.
        json: Print one JSON object a line.
    """
    from i3d_lightning.weights import list_weights

    entries = list_weights(pattern)
    if not entries:
        raise InputError(f"No weights match '{pattern}': i3d weights list shows all.")
    if json:
        print_json(e.as_json() for e in entries)
        return
    from rich.table import Table

    grid = Table("name", "stream", "pretraining", "top-1", "top-5", "licence", "source", box=None)
    for e in entries:
        grid.add_row(e.name, e.stream, e.pretraining, f"{e.top1:.1f}", f"{e.top5:.1f}", e.licence, e.source)
    print_rich(grid)

"""How networks transfer: each one's origin, fixed and full-ft side by side, with what it costs.

A row is a network with one stream and one pretraining. Its `origin` is the same network as it was before it
saw video: from scratch, or from images where its pretraining began with them, as in the paper's Table 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NamedTuple

from i3d_lightning.datasets import DATASETS
from i3d_lightning.datasets.registry import is_video, teacher
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import FUSION, NONE, RANDOM, UNTAUGHT, stages
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.networks.registry import check_clips
from i3d_lightning.networks.size import Cost, cost
from i3d_lightning.pretraining import CORPORA
from i3d_lightning.recipe import Clips
from i3d_lightning.results.overview import COLUMNS
from i3d_lightning.results.published_transfer import SPLITS, TRANSFER, Number, number_of
from i3d_lightning.results.scores import Cell, Index, Score, Summary, is_demo, is_target, tests
from i3d_lightning.results.tables import (
    MISSING,
    PaperTable,
    frame_of,
    own_number,
    own_number_without_leaks,
    with_videos,
)
from i3d_lightning.weights.registry import published_pretraining

LEGEND = (
    "Top-1 %: ours ± standard deviation of a run [95 % interval over groups of videos]; † is over seeds that "
    "share one pretraining. In brackets what was published of the very cell, by whom and on which views of a "
    "video (clips x squares), and the difference; ≠ in its place: not comparable, as ours was tested on "
    "other views, or on clips of another length, rate or size; brackets alone: not run here. Origin is the "
    "same network before it saw video: from images where its weights began so and it can start from them, "
    "else from scratch. Multiply-adds are those of one training clip, parameters those with 400 classes."
)


class Target(NamedTuple):
    """A data set that is transferred to, and the splits that a number is over."""

    dataset: str
    splits: tuple[int, ...]

    def __str__(self) -> str:
        if len(self.splits) > 1:
            return f"{self.dataset} mean of {len(self.splits)}"
        known = DATASETS.get(self.dataset)
        several = self.splits != (1,) or (known is not None and len(known.splits) > 1)
        return f"{self.dataset} split {self.splits[0]}" if several else self.dataset


@dataclass(frozen=True)
class Result:
    """A cell of a row: ours, what was published of it, or both."""

    ours: Summary | None
    theirs: Number | None

    @property
    def comparable(self) -> bool:
        """Whether both are there, tested alike."""
        if self.ours is None or self.theirs is None:
            return False
        return self.theirs.tested_as(self.ours.first[0].clips)

    def __str__(self) -> str:
        if self.ours is None:
            return MISSING if self.theirs is None else f"({self.theirs})"
        text = own_number(self.ours)
        if self.theirs is not None:
            difference = f", {self.ours.top1 - self.theirs.top1:+.1f}" if self.comparable else " ≠"
            text = f"{text} ({self.theirs}{difference})"
        return text + own_number_without_leaks(self.ours)


@dataclass(frozen=True)
class Row:
    """A network with one stream and one pretraining.

    Attributes:
        architecture: Its name.
        stream: What it sees, `rgb+flow` too.
        pretraining: What its weights have seen; of `origin` what came before video.
        results: Of each target, by protocol.
    """

    architecture: str
    stream: str
    pretraining: str
    results: Mapping[Target, Mapping[str, Result]]

    @property
    def ours(self) -> list[Summary]:
        """All of its numbers that were run here."""
        return [r.ours for by in self.results.values() for r in by.values() if r.ours is not None]

    @property
    def control(self) -> bool:
        """Whether it is a control: the network of images itself, or random features."""
        ours = self.ours
        return bool(ours) and all(summary.first[0].control for summary in ours)

    @property
    def clips(self) -> list[Clips]:
        """The different clips that it was run on, where they are known."""
        return list(dict.fromkeys(c for s in self.ours if (c := s.first[0].clips) is not None))

    @property
    def costs(self) -> list[Cost]:
        """What it costs on each of `clips`; nothing where the network cannot be built here."""
        network = ARCHITECTURES.get(self.architecture)
        if network is None:
            return []
        streams = ("rgb", "flow") if self.stream == FUSION else (self.stream,)
        try:
            for clips in self.clips:
                check_clips(network, clips)
            each = [[cost(network, stream, clips) for stream in streams] for clips in self.clips]
        except InputError:  # its library is not installed, or it no longer takes these
            return []
        return [Cost(sum(c.parameters for c in s), sum(c.multiply_adds for c in s)) for s in each]

    @property
    def data(self) -> str:
        """What its weights were trained on, in words, and whether labels were learnt."""
        if self.pretraining in UNTAUGHT:
            return "nothing" if self.pretraining == RANDOM else MISSING
        made = [s.first[0] for s in self.ours if s.cell.pretraining == self.pretraining]
        families = sorted({_family(score.provenance) for score in made} or {""})
        return " / ".join(dict.fromkeys(_in_words(self.pretraining, family) for family in families))


def _family(provenance: str) -> str:
    """The family of data sets that weights were taught by, where a run of ours made them."""
    made_on = provenance.split("/")[0].rpartition("-")[0]
    known = DATASETS.get(made_on) if provenance.count("/") else None
    return known.family if known else ""


def _in_words(pretraining: str, family: str) -> str:
    words = []
    for stage in stages(pretraining):
        corpus, taught = CORPORA.get(stage), teacher(stage, family) if family else None
        title = taught.name if taught else corpus.title if corpus else stage
        if taught or corpus:
            title += " (self-supervised)" if not taught and corpus and not corpus.labels else " (labels)"
        words.append(title)
    return ", then ".join(words)


def before_video(architecture: str, pretraining: str) -> str:
    """Name what weights had seen before they saw video, which their `origin` starts from.

    Where neither the network can start from images nor weights of it that have seen images alone are known,
    it is scratch.
    """
    before = "+".join(takewhile(lambda stage: not is_video(stage), stages(pretraining))) or NONE
    network = ARCHITECTURES.get(architecture)
    if network is None or network.images or network.from_images is not None:
        return before
    others = (cell.pretraining for cell in TRANSFER if cell.architecture == architecture)
    return before if before in (*published_pretraining(architecture), *others) else NONE


def rows_of(index: Index) -> list[Row]:
    """Make the rows of all that was run on targets, and of what was published of the same data sets.

    Where nothing was run, they are those of all that was published of networks that are registered.
    """
    ours = {(s.cell, s.splits): s for s in _targets(index)}
    shown = {cell.dataset for cell, _ in ours}
    theirs = {
        (cell, SPLITS)
        for cell in TRANSFER
        if cell.architecture in ARCHITECTURES and not index.demo and (not shown or cell.dataset in shown)
    }
    cells = list(dict.fromkeys([*(cell for cell, _ in ours), *sorted(cell for cell, _ in theirs)]))
    controls = {cell for (cell, _), summary in ours.items() if summary.first[0].control}
    targets = sorted({Target(cell.dataset, splits) for cell, splits in (*ours, *theirs)}, key=_target_order)

    def result(row: tuple[str, str, str], protocol: str, seen: str, target: Target) -> Result:
        cell = Cell(*row[:2], seen, protocol, target.dataset)
        return Result(ours.get((cell, target.splits)), number_of(cell, target.splits))

    return [
        Row(*row, {t: {p: result(row, p, seen, t) for p, seen in starts.items()} for t in targets})
        for row in sorted(_keys(cells, controls), key=_order)
        for starts in [_starts(row, cells, controls)]
    ]


def _starts(row: tuple[str, str, str], cells: Iterable[Cell], controls: set[Cell]) -> dict[str, str]:
    """What each protocol of a row starts from."""
    *network, pretraining = row
    own = {cell.protocol: pretraining for cell in cells if cell[:3] == row}
    if not _sees_video(pretraining):
        return own
    start = before_video(row[0], pretraining)
    before = {c.protocol: start for c in cells if c[:3] == (*network, start) and c not in controls}
    return {"origin": start, "fixed": pretraining, "full-ft": pretraining, **before, **own}


def _targets(index: Index) -> Iterator[Summary]:
    """What was run on targets, over all splits and on split 1; on another one where that was not run."""
    found = [s for s in index if is_target(s.cell.dataset) and is_demo(s.cell.dataset) == index.demo]
    first = {s.cell for s in found if s.splits == (1,)}
    return (s for s in found if len(s.splits) > 1 or s.splits == (1,) or s.cell not in first)


def _keys(cells: Iterable[Cell], controls: set[Cell]) -> set[tuple[str, str, str]]:
    """The rows that there are: an origin stands in those of the same network once it has seen video."""
    cells = list(cells)
    later = {
        (*c[:2], before_video(c.architecture, c.pretraining)) for c in cells if _sees_video(c.pretraining)
    }
    return {c[:3] for c in cells if c in controls or c[:3] not in later}


def _sees_video(pretraining: str) -> bool:
    return any(is_video(stage) for stage in stages(pretraining))


def _order(key: tuple[str, str, str]) -> tuple[Any, ...]:
    architecture, stream, pretraining = key
    names = ARCHITECTURES.names()
    place = names.index(architecture) if architecture in names else len(names)
    seen = (pretraining == RANDOM, len(stages(pretraining)), pretraining)
    return place, architecture, COLUMNS.index(stream), seen


def _target_order(target: Target) -> tuple[Any, ...]:
    known = DATASETS.get(target.dataset)
    stands_for = (known.stands_for if known else "") or target.dataset
    papers = ("ucf101", "hmdb51")
    place = papers.index(stands_for) if stands_for in papers else len(papers)
    return place, target.dataset, len(target.splits), target.splits


def protocols_of(rows: Iterable[Row]) -> list[str]:
    """List the protocols of rows as tables have them in order: those of the paper, then others by name."""
    orders = {s.cell.protocol: s.first[0].order for row in rows for s in row.ours}
    named = {"origin": 0, "fixed": 1, "full-ft": 2, **orders}
    return sorted(named, key=lambda protocol: (named[protocol], protocol))


def transfer_table(
    found: Iterable[Score], demo: bool | None = None, *, exclude_leaks: bool = False
) -> PaperTable:
    """Make the table of how networks transfer.

    Args:
        found: All scores, as `scores.scores` gives them.
        demo: Show the rendered data sets; by default, where nothing else was run.
        exclude_leaks: Show every number without the test videos that are trained on too as well.
    """
    index = Index(tests(found), demo, exclude_leaks=exclude_leaks)
    rows = rows_of(index)
    protocols = protocols_of(rows)
    frame = frame_of([row.architecture for row in rows], [_line(row, protocols) for row in rows])
    note = " ".join((LEGEND, *_sources(rows)))
    return with_videos(PaperTable("Transfer", frame, note), index)


def _line(row: Row, protocols: Iterable[str]) -> dict[tuple[str, str], str]:
    clips, costs = row.clips, row.costs
    words = {
        "stream": row.stream,
        "pretraining": f"{row.pretraining} (control)" if row.control else row.pretraining,
        "its data": row.data,
        "parameters": _each(f"{c.parameters / 1e6:.1f} M" for c in costs),
        "multiply-adds": _each(f"{c.multiply_adds / 1e9:.3g} G" for c in costs),
        "clip": _each(f"{c.train_frames} x {c.crop} px" for c in clips),
        "views": _each(c.views for c in clips),
    }
    line = {("", title): text for title, text in words.items()}
    for target, by_protocol in row.results.items():
        for protocol in protocols:
            line[str(target), protocol] = str(by_protocol.get(protocol, Result(None, None)))
    return line


def _each(words: Iterable[str]) -> str:
    return " / ".join(dict.fromkeys(words)) or MISSING


def _sources(rows: Iterable[Row]) -> Iterator[str]:
    """Say where each published number that is shown comes from."""
    numbers = [r.theirs for row in rows for by in row.results.values() for r in by.values() if r.theirs]
    sources = sorted({(n.by, n.source, n.frames) for n in numbers})
    for by, source, frames in sources:
        yield f"{by}: {source}, {frames} frames{' at most' if by == 'paper' else ' a clip'}."

"""Fills the numbers in documents from stored results, so that none is typed by hand: `make numbers`.

    python docs/fill.py                                      rewrites all marked blocks
    python docs/fill.py --store NAME RUNS [--command WORDS]  writes docs/results/NAME.json from runs

In a Markdown file a block is a table or, with `column`, a number inside a sentence; in a comment of
`experiments/*.yaml` it is a line for each row:

    <!-- results: demo -->                                  <!-- end -->
    <!-- results: demo; protocol=fixed; columns=data set, RGB, Flow -->     <!-- end -->
    <!-- results: demo; protocol=fixed; data set=demo-ucf101; column=RGB -->76.0 ± 1.2<!-- end -->
    <!-- results: demo; table=demo_table4 -->              <!-- end -->
    # results: demo; protocol=fixed
    # end

It is the table of all runs or, with `table`, one of the paper's or `transfer`, with its note. `columns`
chooses columns, and leaves the note out; any other word chooses the rows in whose column it stands. Tables
and comments end with the command that made the runs, its time, machine, code and date. tests/test_docs.py
fails where a block is not what its file gives, or a file is used by no block.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import textwrap
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from i3d_lightning.errors import InputError, check_known
from i3d_lightning.results import overview, tables
from i3d_lightning.results.runs import ENVIRONMENT, RESULT, Run, collect, read_json
from i3d_lightning.results.scores import is_demo, scores, tests
from i3d_lightning.results.transfer import transfer_table

ROOT = Path(__file__).parents[1]
NAMED = ("data set", "split", "architecture", "pretraining", "protocol")
"""Columns that say what a row is of; the others hold numbers."""
_MARKDOWN = re.compile(r"(<!-- results: (.+?) -->)(.*?)(<!-- end -->)", re.DOTALL)
_COMMENT = re.compile(r"(?m)(^# results: (.+)\n)((?:#.*\n)*?)(# end$)")
_MARKS = {".md": re.compile(r"(?i)<!--\s*results?\b"), ".yaml": re.compile(r"(?im)^\s*#\s*results?\s*:")}
"""What is meant to begin a block, however it is spelt."""
_STORED = {"command", "seconds", "machine", "code", "date", "rows", "tables"}


def store(name: str, runs: Path, command: str | None = None, root: Path = ROOT) -> Path:
    """Write the table of all runs below a folder into a file that documents are filled from.

    Args:
        name: What blocks call it.
        runs: The folder.
        command: What made these runs, if not what they say themselves.
        root: Folder of the project.

    Raises:
        InputError: There is no complete run.
    """
    found = collect(runs)
    if not found:
        raise InputError(f"There are no complete runs in {runs}: run what makes them first.")
    scored = scores(found)
    summary = overview.summarise(scored)
    papers = {
        title: {"rows": tables.flat(table).to_dict("records"), "note": table.note}
        for title, table in tables.all_tables(scored).items()
    }
    for demo in {is_demo(score.experiment.dataset) for score in tests(scored)}:
        table = transfer_table(scored, demo)
        title = "demo_transfer" if demo else "transfer"
        papers[title] = {"rows": tables.flat(table).to_dict("records"), "note": table.note}
    content = {
        **_about(found, command),
        "rows": overview.layout(summary).to_dict("records"),
        "numbers": json.loads(summary.to_json(orient="records")),  # NaN is null there
        "tables": papers,
    }
    file = root / "docs" / "results" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return file


def _about(runs: Iterable[Run], command: str | None) -> dict[str, Any]:
    """What made these runs, on what, when, and how long all of them took together."""
    known = [(run, read_json(run.folder / ENVIRONMENT) or {}) for run in runs]
    date = max((run.folder / RESULT).stat().st_mtime for run, _ in known)

    def each(say: Callable[[dict[str, Any]], str]) -> str:
        return ", ".join(sorted({say(environment) for _, environment in known}))

    def machine(e: dict[str, Any]) -> str:
        gpus = [device for device in e["devices"] if device != "cpu"]
        threads = f"{e['cpu_threads']} thread{'s' if e['cpu_threads'] != 1 else ''}"
        return f"{len(gpus)} x {gpus[0]}" if gpus else f"{threads} on {e['cpu']}"

    return {
        "command": command or each(lambda e: shlex.join(["i3d", *e["command"][1:]])),
        "seconds": round(sum(run.metrics["seconds"] for run, _ in known)),
        "machine": each(machine),
        "code": each(lambda e: e["code"] or e["source"][:12]),
        "date": datetime.fromtimestamp(date, UTC).date().isoformat(),
    }


def stale(root: Path = ROOT, write: bool = False) -> list[str]:
    """List the documents that are not what the stored files give, and stored files that none uses.

    Args:
        root: Folder of the project.
        write: Whether to fill them.

    Raises:
        InputError: A block is not closed, or asks for what is not there.
    """
    found, unused = [], {path.stem for path in root.glob("docs/results/*.json")}
    for path in _documents(root):
        before = path.read_text()
        pattern, show = (_COMMENT, _comment) if path.suffix == ".yaml" else (_MARKDOWN, _markdown)
        blocks = pattern.findall(before)
        if len(blocks) != len(_MARKS[path.suffix].findall(before)):
            raise InputError(
                f"{path} has a block of results that does not end, or a mark that is not spelt as "
                "docs/fill.py has it: mend it."
            )
        unused -= {block[1].split(";")[0].strip() for block in blocks}
        after = pattern.sub(lambda m, show=show: m[1] + show(m[2], root) + m[4], before)
        if after != before:
            found.append(str(path.relative_to(root)))
            if write:
                path.write_text(after)
    return found + [f"docs/results/{name}.json is used by no document" for name in sorted(unused)]


def _documents(root: Path) -> list[Path]:
    return [*root.glob("*.md"), *sorted(root.glob("docs/*.md")), *sorted(root.glob("experiments/*.yaml"))]


class _Block(NamedTuple):
    """What a mark asks for: rows, the one column of a number inside a sentence, and what to say below."""

    rows: list[dict[str, str]]
    number: str | None
    below: list[str]


def _block(words: str, root: Path) -> _Block:
    name, *wishes = (word.strip() for word in words.split(";"))
    content = read_json(root / "docs" / "results" / f"{name}.json")
    if content is None:
        raise InputError(f"There are no stored results '{name}': make them with docs/fill.py --store {name}.")
    if lacking := _STORED - content.keys():
        raise InputError(
            f"docs/results/{name}.json was stored by other code, it lacks {min(lacking)}: make it again with "
            f"docs/fill.py --store {name}."
        )
    chosen = {column.strip(): value.strip() for column, _, value in (wish.partition("=") for wish in wishes)}
    rows, below = content["rows"], [_made_by(content)]
    if table := chosen.pop("table", None):
        check_known(f"table of results '{name}'", table, content["tables"])
        rows, below = content["tables"][table]["rows"], [content["tables"][table]["note"], *below]
    number = chosen.pop("column", None)
    columns = [column.strip() for column in (number or chosen.pop("columns", "")).split(",") if column]
    below = below[-1:] if columns else below  # a table's note is of all of it
    for column in (*columns, *chosen):
        check_known(f"column of results '{name}'", column, list(rows[0]) if rows else [])
    found = [
        {column: row[column] for column in columns or row}
        for row in rows
        if all(row[column] == value for column, value in chosen.items())
    ]
    if not found or (number and len(found) > 1):
        raise InputError(f"'{words}' stands for {len(found)} rows of the stored results: choose one or more.")
    return _Block(found, number, below)


def _markdown(words: str, root: Path) -> str:
    rows, number, below = _block(words, root)
    if number:
        return rows[0][number]
    return "\n\n".join((f"\n{overview.markdown(pd.DataFrame(rows)).rstrip()}", *below)) + "\n"


def _comment(words: str, root: Path) -> str:
    rows, _, below = _block(words, root)
    lines = []
    for row in rows:
        of = [f"split {row[c]}" if c == "split" else row[c] for c in NAMED if c in row]
        numbers = [
            f"{column} {value}" for column, value in row.items() if column not in NAMED and value != "–"
        ]
        lines += textwrap.wrap(f"{', '.join(of)}: {', '.join(numbers)}", 105, subsequent_indent="  ")
    for words_below in below:
        lines += textwrap.wrap(words_below.replace("`", ""), 105)
    return "".join(f"# {line}\n" for line in lines)


def _made_by(content: dict[str, Any]) -> str:
    minutes = max(1, round(content["seconds"] / 60))
    return (
        f"`{content['command']}`: {minutes} min with {content['machine']}, code {content['code']}, "
        f"{content['date']}."
    )


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", nargs=2, metavar=("NAME", "RUNS"), help="Store the table of a run folder.")
    parser.add_argument("--command", help="What made the runs, if not what they say themselves.")
    said = parser.parse_args()
    try:
        if said.store:
            print(store(said.store[0], Path(said.store[1]), said.command))
        for path in stale(write=True):
            print(path)
    except InputError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    _main()

"""The table of all runs."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from results.made import judged, score

from i3d_lightning.results import tables
from i3d_lightning.results.overview import LEAKS, layout, legend, markdown, summarise, write_tables
from i3d_lightning.results.reading import Reading


def full_ft(seed, right, split=1, stream="rgb", protocol="full-ft", weights="w"):
    pretraining = "none" if protocol == "origin" else "kinetics"
    return score(
        "i3d", stream, pretraining, protocol, "ucf101", right, 10, split, seed, weights=weights,
        missing={"train": 0, "test": 2},
    )  # fmt: skip


def test_a_row_has_mean_deviation_and_counts():
    row = summarise([full_ft(0, 6), full_ft(1, 8)]).iloc[0]
    assert row["top1"] == pytest.approx(70.0)
    assert row["spread"] == pytest.approx(np.std([60, 80], ddof=1))
    assert (row["seeds"], row["videos"], row["missing_test"]) == (2, 10, 2)


def test_one_pretraining_is_said_and_what_a_spread_is_over():
    def both(*found):
        summary = summarise(found)
        return summary.iloc[0], layout(summary).iloc[0]

    row, read = both(*(full_ft(s, 6, protocol="fixed", weights="same") for s in (0, 1)))
    assert np.isnan(row["spread"])
    assert (row["pretrainings"], row["spread_over"], read["pretrainings"]) == (1, "", "one pretraining")
    row, read = both(full_ft(0, 6), full_ft(1, 8))
    assert (row["spread_over"], read["pretrainings"]) == ("seeds", "one pretraining")
    assert read["RGB"].startswith("70.0 ± 14.1† [")
    row, read = both(full_ft(0, 6, weights="w0"), full_ft(1, 8, weights="w1"))
    assert (row["spread_over"], read["pretrainings"]) == ("pretraining and seeds", "2")
    assert read["RGB"].startswith("70.0 ± 14.1 [")
    row, read = both(*(full_ft(s, 6 + s, protocol="origin", weights=None) for s in (0, 1)))
    assert (row["pretrainings"], read["pretrainings"]) == (0, "–")
    assert "†" not in read["RGB"]


def test_the_interval_is_over_groups_and_where_none_are_known_it_is_said():
    found = full_ft(0, 6)
    grouped = replace(found.predictions, groups=tuple("aabbccddee"))
    row = summarise([replace(found, predictions=grouped)]).iloc[0]
    assert (row["videos"], row["groups"], row["groups_known"]) == (10, 5, True)
    alone = summarise([found]).iloc[0]
    assert row["high"] - row["low"] > 1.2 * (alone["high"] - alone["low"])
    unknown = layout(summarise([score("i3d", "rgb", "none", "origin", "ssv2", 9, 10)])).iloc[0]
    assert (unknown["videos"], unknown["groups"]) == ("10", "unknown")


def test_every_number_is_there_without_leaks_where_that_is_asked_for(tmp_path):
    found = full_ft(0, 6)
    leaked = replace(found, predictions=replace(found.predictions, leaked=np.arange(10) < 2))
    summary = summarise([leaked], exclude_leaks=True)
    row = summary.iloc[0]
    assert (row["top1"], row["top1_without_leaks"], row["leaked"]) == (60, 50, 2)
    read = layout(summary).iloc[0]
    assert read["RGB"].startswith("60.0 [")
    assert ", without leaks 50.0 [" in read["RGB"]
    assert read["leaked"] == "2"
    csv, md = write_tables(tmp_path, summary)
    assert pd.read_csv(csv)["top1_without_leaks"][0] == 50
    assert f"{LEAKS} Of ucf101 these are exact duplicates only" in md.read_text()
    checked = summarise([replace(leaked, near_duplicates=True)], exclude_leaks=True)
    assert legend(checked).endswith(LEAKS)
    plain = layout(summarise([leaked])).iloc[0]
    assert (plain["leaked"], "without" in plain["RGB"]) == ("2", False)
    none = layout(summarise([found], exclude_leaks=True)).iloc[0]
    assert (none["leaked"], "without" in none["RGB"]) == ("0", False)


def test_72_cells_of_ucf_101_are_summarised_in_seconds():
    """31.6 s before, when each interval was made of resampled videos."""
    random = np.random.default_rng(0)
    groups = tuple(f"g{n * 707 // 3783}" for n in range(3783))
    found = []
    for architecture in range(18):
        for stream in ("rgb", "flow", "joint", "rgb+flow"):
            one = score(f"net{architecture}", stream, "none", "origin", "ucf101", 1, 2)
            known = judged(random.random(3783) < 0.8, groups=groups)
            found.append(replace(one, predictions=known))
    began = time.process_time()
    assert len(summarise(found)) == 72
    tables.all_tables(found)
    assert time.process_time() - began < 5


def test_three_splits_also_give_their_mean_beside_the_papers():
    summary = summarise([full_ft(0, right, split=split) for split, right in ((1, 5), (2, 6), (3, 10))])
    mean = summary[[len(s) == 3 for s in summary["splits"]]].iloc[0]
    assert mean["top1"] == pytest.approx(70.0)
    assert mean["paper"] == 95.1  # Table 5, I3D RGB, Kinetics, full-ft
    assert mean["videos"] == 10  # each counts once, however many splits share it


def test_layout_puts_streams_in_columns_and_protocols_in_the_papers_order():
    found = [
        full_ft(0, 9, protocol=protocol, stream=stream)
        for protocol in ("full-ft", "fixed", "origin")
        for stream in ("flow", "rgb", "rgb+flow")
    ]
    table = layout(summarise(found))
    assert list(table["protocol"]) == ["origin", "fixed", "full-ft"]
    assert [c for c in table.columns if c in ("RGB", "Flow", "RGB+Flow")] == ["RGB", "Flow", "RGB+Flow"]
    assert "97.6" in table.iloc[2]["paper"]  # Table 4, I3D full-ft without ImageNet
    assert "90.0 [" in markdown(table)


def test_what_nothing_registered_is_in_the_table_in_the_order_that_its_run_gives():
    found = [
        score("i3d", "rgb", "kinetics", "full-ft", "ucf101", 9, 10),
        score("i3d", "rgb", "kinetics", "my-probe", "ucf101", 8, 10, order=1),
        score("i3d", "rgb", "kinetics", "another", "ucf101", 7, 10, order=1),
        score("i3d", "rgb", "none", "origin", "ucf101", 6, 10),
        score("my-net", "flow", "imagenet22k", "my-probe", "my-set", 5, 10),
    ]
    table = layout(summarise(found))
    assert list(table["protocol"]) == ["my-probe", "origin", "another", "my-probe", "full-ft"]
    row = table.iloc[0]
    assert (row["data set"], row["architecture"], row["pretraining"]) == ("my-set", "my-net", "imagenet22k")
    assert row["Flow"].startswith("50.0 [")


def test_a_control_is_marked():
    (row,) = layout(summarise([score("convnet", "rgb", "imagenet", "fixed", "ucf101", 5)])).itertuples()
    assert row.protocol == "fixed (control)"


def test_the_files_hold_every_number_and_the_table_as_read(tmp_path):
    csv, md = write_tables(tmp_path, summarise([full_ft(0, 6), full_ft(1, 8)]))
    stored = pd.read_csv(csv)
    assert (stored["top1"][0], str(stored["splits"][0])) == (70, "1")
    assert "70.0 ± 14.1† [" in md.read_text()


def table_of(*readings):
    streams = ("rgb", "flow", "rgb+flow")
    found = [
        score("i3d", stream, "none", "origin", "ucf101", 9, 10, reading=reading)
        for stream, reading in zip(streams, readings, strict=True)
    ]
    return layout(summarise(found))


def test_unreadable_and_partly_read_videos_have_columns_where_there_are_any(tmp_path):
    lost = Reading({"train": {"a": "empty"}, "test": {"x": "empty"}})
    partly = Reading({}, {"test": {"y": "28 of 139 frames"}})
    as_ever = table_of(Reading(), Reading(), Reading())
    titles = (
        "| data set | split | architecture | pretraining | protocol | RGB | Flow | RGB+Flow | paper | seeds"
        " | pretrainings"
    )
    cells = f"| ucf101 | 1 | i3d | none | origin {'| 90.0 [55.5–99.7] ' * 3}| RGB+Flow 88.8 | 1 | –"
    rule = "|" + "---|" * 13
    assert markdown(as_ever) == f"{titles} | videos | groups |\n{rule}\n{cells} | 10 | 10 |\n"
    table = table_of(lost, partly, lost.both(partly))
    assert markdown(table) == (
        f"{titles} | videos | groups | unreadable | partly read |\n{rule}---|---|\n"
        f"{cells} | 10 | 10 | 1 train, 1 test | 0 train, 1 test |\n"
    )
    assert "partly read" not in table_of(lost, lost, lost).columns
    summary = summarise([score("i3d", "rgb", "none", "origin", "ucf101", 9, 10, reading=lost.both(partly))])
    stored = pd.read_csv(write_tables(tmp_path, summary)[0]).iloc[0]
    names = ["unreadable_train", "unreadable_test", "partly_train", "partly_test"]
    assert stored[names].tolist() == [1, 1, 0, 1]


def test_counts_of_a_row_are_of_all_its_streams_and_what_is_no_test_has_a_row_of_its_own():
    found = [
        *(full_ft(seed, 6, stream="rgb") for seed in (0, 1, 2)),
        replace(full_ft(0, 6, stream="flow"), predictions=judged([True] * 6 + [False] * 3)),
        replace(full_ft(0, 6, stream="rgb+flow"), tested_on="held out of train"),
    ]
    held_out, tested = sorted(layout(summarise(found)).to_dict("records"), key=lambda row: row["seeds"])
    assert (tested["seeds"], tested["videos"], tested["groups"]) == ("1 to 3", "9 to 10", "9 to 10")
    assert (tested["split"], tested["RGB+Flow"]) == ("1", "–")
    assert (held_out["split"], held_out["RGB"], held_out["seeds"]) == ("1 (held out of train)", "–", "1")

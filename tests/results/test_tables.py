from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from results.made import judged
from results.made import score as made

from i3d_lightning.errors import InputError
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.networks.size import size
from i3d_lightning.results import published, tables
from i3d_lightning.results.reading import Reading
from i3d_lightning.results.scores import Index


def score(*cell_and_right, **run):
    return made(*cell_and_right, **run, missing={"train": 0, "test": 3})


def test_ours_stands_beside_the_papers_with_the_difference():
    found = [score("i3d", "rgb", "imagenet", "origin", "ucf101", 170)]
    table = tables.paper_table(2, found)
    assert table.frame.loc["(e) Two-Stream I3D", ("ucf101", "RGB")] == "85.0 [79.3–89.6] (84.5, +0.5)"
    assert table.frame.loc["(e) Two-Stream I3D", ("ucf101", "Flow")] == "(90.6)"
    assert table.frame.loc["(b) 3D-ConvNet", ("ucf101", "Flow")] == "–"
    assert (
        "ucf101: 200 test videos in 200 groups, one pretraining, 3 of the official list missing" in table.note
    )


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_every_number_of_the_paper_is_in_its_table(number):
    text = tables.flat(tables.paper_table(number, [])).to_string()
    for entry in published.PUBLISHED:
        if entry.table == number:
            assert f"({entry.top1:.1f})" in text


def test_table_3_gives_top_5():
    table = tables.paper_table(3, [])
    assert table.frame.loc["(e) Two-Stream I3D, top-5", ("ImageNet first", "RGB+Flow")] == "(91.3)"


def test_table_4_has_the_change_of_the_error():
    found = [
        score("two-stream", "joint", "none", "origin", "hmdb51", 100),
        score("two-stream", "joint", "kinetics", "fixed", "hmdb51", 140),
        score("two-stream", "joint", "kinetics", "full-ft", "hmdb51", 120),
    ]
    row = tables.paper_table(4, found).frame.loc["(c) Two-Stream"]
    assert row["hmdb51", "origin"] == "(58.3) / 50.0 [42.9–57.1] (47.1, +2.9)"
    change = row["hmdb51", "Δ (ours)"]
    assert change.startswith("– / -40 % [")  # an error of 50 % becomes 30 %
    low, high = (int(end) for end in change.removeprefix("– / -40 % [").removesuffix("]").split(" to "))
    assert -55 < low < -45
    assert -36 < high < -25


def test_no_mistake_left_is_no_certainty_of_the_change():
    found = [
        score("two-stream", "joint", "none", "origin", "hmdb51", 100),
        score("two-stream", "joint", "kinetics", "fixed", "hmdb51", 200),
    ]
    row = tables.paper_table(4, found).frame.loc["(c) Two-Stream"]
    assert row["hmdb51", "Δ (ours)"] == "– / -100 % [-100 to -96]"  # in 200 groups 1.8 % may still be wrong


def test_every_number_of_the_papers_tables_is_there_without_leaks_where_that_is_asked_for():
    one = score("two-stream", "joint", "none", "origin", "hmdb51", 100)
    other = score("two-stream", "joint", "kinetics", "fixed", "hmdb51", 140)
    leaked = np.arange(200) < 20
    other = replace(other, predictions=replace(other.predictions, leaked=leaked))
    table = tables.paper_table(4, [one, other], exclude_leaks=True)
    row = table.frame.loc["(c) Two-Stream"]
    assert row["hmdb51", "origin"].endswith(" (47.1, +2.9), without leaks 44.4 [37.1–52.0]")
    assert ", without leaks -40 % [" in row["hmdb51", "Δ (ours)"]
    assert "20 of them trained on too" in table.note
    assert "of hmdb51 these are exact duplicates only" in table.note.lower()


def test_a_spread_stands_with_the_interval_and_says_where_one_pretraining_is_shared():
    def cell(run):
        found = [
            score("i3d", "rgb", "kinetics", "full-ft", "ucf101", right, split=split, seed=seed, **run(seed))
            for seed, right in ((0, 190), (1, 194))
            for split in (1, 2, 3)
        ]
        table = tables.paper_table(5, found)
        return table.frame.loc["RGB-I3D, Kinetics"].iloc[0], table

    text, table = cell(run=lambda seed: {})
    assert text.startswith("96.0 ± 1.4† [")
    assert text.endswith("] (95.1, +0.9)")
    assert "ucf101: 200 test videos in 200 groups, one pretraining" in table.note
    assert "$\\dagger$" in tables.as_latex(table)
    text, table = cell(run=lambda seed: {"weights": f"w{seed}", "pretraining_seed": seed})
    assert text.startswith("96.0 ± 1.4 [")
    assert "2 pretrainings" in table.note
    assert "groups unknown: intervals over videos" in tables.videos_note(
        Index([score("i3d", "rgb", "none", "origin", "ssv2", 20)])
    )


def test_table_5_is_over_three_splits():
    found = [score("i3d", "rgb", "kinetics", "full-ft", "ucf101", 190, split=s) for s in (1, 2, 3)]
    frame = tables.paper_table(5, found).frame
    assert frame.loc["RGB-I3D, Kinetics"].iloc[0] == "95.0 [91.0–97.6] (95.1, -0.1)"
    assert frame.loc["IDT"].tolist() == ["(86.4)", "(61.7)"]
    assert tables.paper_table(5, found[:2]).frame.loc["RGB-I3D, Kinetics"].iloc[0] == "(95.1)"


def test_rendered_data_sets_have_tables_of_their_own():
    found = [score("i3d", "rgb", "none", "origin", "demo-ucf101", 50)]
    frame = tables.paper_table(4, found).frame
    assert "demo-ucf101" in frame.columns.get_level_values(0)
    assert not any("(" in cell for row in frame.to_numpy() for cell in row)
    assert set(tables.all_tables(found)) == {f"demo_table{n}" for n in (2, 3, 4, 5)}


def test_table_1_is_the_papers():
    frame = tables.flat(tables.paper_table(1, []))
    text = frame.to_string()
    for words in ("25 RGB, 5.00 s", "1 RGB + 10 flow, 0.40 s", "240 RGB, 9.60 s", "64 RGB + 64 flow, 2.56 s"):
        assert words in text
    assert "25.4 M" in text
    assert list(frame.columns) == [
        "architecture",
        "parameters",
        "multiply-adds",
        "training clip",
        "test clip",
    ]
    assert [title[:3] for title in frame["architecture"]] == ["(a)", "(b)", "(c)", "(d)", "(e)"]


def test_all_architectures_are_listed_the_papers_first():
    chosen = [ARCHITECTURES[name] for name in ("i3d", "convnet")]
    frame = tables.flat(tables.architecture_table(chosen))
    assert list(frame["architecture"]) == ["(e) Two-Stream I3D", "ConvNet"]
    assert list(frame["name"]) == ["i3d", "convnet"]
    assert list(frame["streams"]) == ["rgb, flow", "rgb"]
    assert frame["parameters"][1] == f"{size(chosen[1]).parameters / 1e6:.1f} M"


def test_the_stages_of_i3d_see_what_figure_3_of_the_paper_says():
    frame = tables.endpoint_table("i3d").frame["receptive field"].astype(int)
    seen = {stage: tuple(row) for stage, row in zip(frame.index, frame.to_numpy().tolist(), strict=True)}
    assert seen["Conv3d_1a_7x7"] == (7, 7)
    assert seen["MaxPool3d_2a_3x3"] == (7, 11)
    assert seen["MaxPool3d_3a_3x3"] == (11, 27)
    assert seen["Mixed_3c"] == (19, 59)
    assert seen["MaxPool3d_4a_3x3"] == (23, 75)
    assert seen["Mixed_4f"] == (63, 235)
    assert seen["Mixed_5c"] == (99, 379)


def test_early_temporal_stride_sees_as_much_time_as_space_and_an_image_one_frame():
    early, image = tables.endpoint_table("i3d-early-stride").frame, tables.endpoint_table("convnet").frame
    assert (early["receptive field", "frames"] == early["receptive field", "pixels"]).all()
    assert (early["stride", "frames"] == early["stride", "pixels"]).all()
    assert set(image["receptive field", "frames"]) == {"1"}


def test_networks_without_inception_have_no_stages_to_list():
    with pytest.raises(InputError, match="c3d is not an Inception-v1"):
        tables.endpoint_table("c3d")
    with pytest.raises(InputError, match="did you mean 'i3d'"):
        tables.endpoint_table("i3")


def test_what_is_no_part_of_the_paper_leaves_its_tables_as_they_are():
    found = [
        score("my-net", "rgb", "kinetics", "full-ft", "ucf101", 190),
        score("i3d", "rgb", "imagenet", "my-probe", "my-set", 190),
    ]
    for number in (2, 3, 4, 5):
        with_it, without = tables.paper_table(number, found), tables.paper_table(number, [])
        assert with_it.frame.equals(without.frame)
    assert "my-set: 200 test videos (groups unknown: intervals over videos)" in with_it.note


def test_latex_compiles_in_form():
    text = tables.as_latex(tables.paper_table(4, []))
    for words in ("\\toprule", "\\bottomrule", "\\multicolumn", "$\\Delta$"):
        assert words in text
    assert text.count("{") == text.count("}")


def test_an_unknown_table_is_refused():
    with pytest.raises(InputError, match="no table 7"):
        tables.paper_table(7, [])


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_a_note_counts_unreadable_and_partly_read_videos_where_there_are_any(number):
    """Of each data set the most of any run; Markdown, LaTeX and the terminal all write the note."""
    lost = Reading({"train": {"a": "empty"}, "test": {"x": "empty", "y": "empty"}})
    partly = Reading({}, {"train": {}, "test": {"z": "28 of 139 frames"}})
    found = [
        score("i3d", "rgb", "none", "origin", "ucf101", 170, reading=lost),
        score("i3d", "flow", "none", "origin", "ucf101", 170, reading=partly),
        score("i3d", "rgb", "none", "origin", "hmdb51", 170),
    ]
    table = tables.paper_table(number, found)
    assert table.note.endswith(
        "Videos: hmdb51: 200 test videos in 200 groups, 3 of the official list missing; ucf101: 200 test "
        "videos in 200 groups, 3 of the official list missing, unreadable 1 train and 2 test, partly read 0 "
        "train and 1 test."
    )
    assert "partly read 0 train and 1 test." in tables.as_latex(table)


def test_a_caption_in_latex_hides_nothing_behind_a_percent_sign():
    found = [score("i3d", "rgb", "imagenet", "my-probe", "my_set", 190)]
    caption = next(
        line for line in tables.as_latex(tables.paper_table(4, found)).splitlines() if "capt" in line
    )
    assert "Top-1 \\%: ours" in caption
    assert "my\\_set" in caption
    assert not re.search(r"(?<!\\)[%&_#]", caption)


def change_of(before, after, groups=None):
    """Of the error, from origin to full-ft, as Table 4 has it, on so many groups of one video or these."""
    found = [
        replace(
            score("two-stream", "joint", start, protocol, "hmdb51", 1),
            predictions=judged(right, groups=groups),
        )
        for start, protocol, right in (("none", "origin", before), ("kinetics", "full-ft", after))
    ]
    text = tables.paper_table(4, found).frame.loc["(c) Two-Stream", ("hmdb51", "Δ (ours)")]
    return text.removeprefix("– / ")


def test_a_change_of_the_error_is_unsure_where_replicates_know_nothing_of_it():
    wrong, half = np.zeros(20, bool), np.arange(20) < 10
    assert change_of(wrong, wrong) == "+0 % [-17 to +20]"  # 16.8 % of others may be right, before or after
    assert change_of(half, half) == "+0 % [-34 to +34]"
    assert change_of(half, ~half, groups=["one"] * 20) == "+0 % [-100 to ∞]"
    few = np.arange(20) < 19
    assert change_of(few, np.arange(20) < 18).startswith("+100 % [")
    assert change_of(few, np.arange(20) < 18).endswith(" to ∞]")  # where origin makes no error at all


def test_what_settings_are_chosen_on_is_in_no_table_of_the_papers():
    found = [score("i3d", "rgb", "none", "origin", "ucf101", 170, tested_on="held out of train")]
    assert tables.all_tables(found) == {}
    assert "Nothing was run yet" in tables.paper_table(4, found).note


def test_a_top_5_of_none_is_a_number():
    one = score("i3d", "rgb", "none", "origin", "kinetics", 0)
    logits = -np.eye(7, dtype=np.float32)
    none = replace(
        one.predictions,
        labels=np.arange(7),
        logits=logits,
        ids=tuple("abcdefg"),
        groups=tuple("abcdefg"),
        leaked=np.zeros(7, bool),
    )
    frame = tables.paper_table(3, [replace(one, predictions=none)]).frame
    assert frame.loc["(e) Two-Stream I3D, top-5", ("from scratch", "RGB")] == "0.0 [0.0–41.0] (88.0, -88.0)"


def test_there_is_no_change_of_the_error_between_different_videos():
    """As where a folder lost some of them between two runs."""
    assert change_of(np.arange(20) < 10, np.arange(19) < 15) == "other videos"

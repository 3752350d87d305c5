"""Metrics of slices equal those computed by hand; brightness and sharpness are measured."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from flipdetect.errors import DataError
from flipdetect.evaluation.slices import Slice, appearance, slice_keys, slice_metrics, slice_table, with_appearance
from tests.evaluation.made_up import evaluation, record
from tests.frame_sets import page_frame, write_frame

TURNS = [
    record("a.jpg", "flip", phase="0.05"),
    record("b.jpg", "flip", phase="0.0999"),
    record("c.jpg", "flip", phase="0.1"),
    record("d.jpg", "flip", phase="0.5"),
    record("e.jpg", "flip", phase="0.95"),
    record("f.jpg", "notflip", phase="nan"),
    record("g.jpg", "notflip", phase="nan"),
    record("h.jpg", "notflip", phase=""),
    record("i.jpg", "notflip"),
]
PROBABILITIES = [0.9, 0.2, 0.8, 0.7, 0.05, 0.6, 0.3, 0.1, 0.1]


def by_values(groups: list[Slice]) -> dict[tuple[str, ...], dict[str, float]]:
    return {group.values: group.metrics for group in groups}


def test_a_bin_of_phases_is_its_flips_with_all_frames_at_rest() -> None:
    groups = slice_metrics(evaluation(TURNS, PROBABILITIES), ["phase"])
    assert [group.values for group in groups] == [("first tenth",), ("middle",), ("last tenth",)]
    first, middle, last = (group.metrics for group in groups)
    # One of the four frames at rest is called a flip: one false alarm in each bin.
    assert (first["frames"], first["positives"]) == (6, 2)
    assert first["recall"] == 0.5
    assert first["f1"] == pytest.approx(2 * 1 / (1 + 1 + 2))
    assert first["auroc"] == pytest.approx((4 + 2) / 8)
    assert first["best_f1_oracle"] == pytest.approx(2 / 3)
    assert middle["f1"] == pytest.approx(2 * 2 / (2 + 1 + 2))
    assert (last["recall"], last["f1"]) == (0.0, 0.0)
    assert {each["false_alarm_rate"] for each in (first, middle, last)} == {0.25}


def test_the_threshold_decides_f1_and_not_the_oracle() -> None:
    groups = slice_metrics(evaluation(TURNS, PROBABILITIES, threshold=0.65), ["phase"])
    assert groups[0].metrics["f1"] == pytest.approx(2 / 3)
    assert groups[1].metrics["f1"] == 1.0
    assert groups[0].metrics["best_f1_oracle"] == pytest.approx(2 / 3)


def test_keys_combine_and_frames_without_a_value_join_the_groups_they_agree_with() -> None:
    records = [
        record("frames/a.jpg", "flip", "A", phase="0.5"),
        record("tiles/b.jpg", "flip", "B", phase="0.95"),
        record("frames/c.jpg", "notflip", "A", phase="nan"),
        record("tiles/d.jpg", "notflip", "C", phase="nan"),
    ]
    found = by_values(slice_metrics(evaluation(records, [0.9, 0.1, 0.2, 0.8]), ["kind", "source", "phase"]))
    assert {values: each["frames"] for values, each in found.items()} == {
        ("frames", "A", "middle"): 2,
        ("tiles", "B", "last tenth"): 1,
        ("tiles", "C", "(none)"): 1,
    }
    assert found["frames", "A", "middle"]["f1"] == 1.0


def test_a_group_of_one_class_has_a_rate_and_no_f1() -> None:
    found = by_values(slice_metrics(evaluation(TURNS, PROBABILITIES), ["label"]))
    flips, rest = found[("flip",)], found[("notflip",)]
    assert (flips["recall"], flips["called_positive"]) == (0.6, 0.6)
    assert rest["false_alarm_rate"] == 0.25
    for figures in (flips, rest):
        assert str(figures["f1"]) == str(figures["auroc"]) == "nan"
    table = slice_table(slice_metrics(evaluation(TURNS, PROBABILITIES), ["label"]), ["label"], "flip")
    assert "best F1 (oracle)" in table
    assert "predicted flip" in table
    assert "nan" not in table


def test_a_column_of_many_numbers_is_cut_at_the_quartiles_of_the_flips() -> None:
    records = [record(f"{i}.jpg", "flip", sharpness=str(i)) for i in range(12)]
    records.append(record("rest.jpg", "notflip", sharpness="-5"))
    groups = slice_metrics(evaluation(records, [0.9] * 13), ["sharpness"])
    assert [group.values[0] for group in groups] == ["below 2.75", "2.75 to 5.5", "5.5 to 8.25", "8.25 and more"]
    assert [group.metrics["frames"] for group in groups] == [4, 3, 3, 3]


def test_a_column_of_few_values_is_taken_as_it_is_and_in_natural_order() -> None:
    records = [record(f"{i}.jpg", "flip" if i % 2 else "notflip", hands=str(i % 3 * 5)) for i in range(6)]
    groups = slice_metrics(evaluation(records, [0.5] * 6), ["hands"])
    assert [group.values[0] for group in groups] == ["0", "5", "10"]


def test_an_unknown_key_names_those_that_there_are() -> None:
    with pytest.raises(DataError, match=r"'sauce'.*source, video, label, kind, phase"):
        slice_metrics(evaluation(TURNS, PROBABILITIES), ["sauce"])


def test_keys_that_say_more_than_the_label_cut_a_data_set() -> None:
    records = [record(f"{label}/{i}.jpg", label, "s", lens="a") for label in ("flip", "notflip") for i in "01"]
    assert slice_keys(evaluation(records, [0.5] * 4), ["lens"]) == []
    records = [record(f"x{i}/{i}.jpg", ("flip", "notflip")[i % 2], f"s{i}", lens="ab"[i < 2]) for i in range(4)]
    assert slice_keys(evaluation(records, [0.5] * 4), ["lens"]) == ["source", "kind", "lens"]


def test_brightness_and_sharpness() -> None:
    frame = page_frame(True, 1, 384)
    own, dark, blurred = (
        appearance(each)
        for each in (frame, (frame * 0.5).astype(np.uint8), np.asarray(cv2.GaussianBlur(frame, (0, 0), 3), np.uint8))
    )
    assert abs(dark[0] - own[0] / 2) < 0.01
    assert abs(dark[1] - own[1]) < 0.02
    assert blurred[1] < 0.6 * own[1]
    assert appearance(np.full((50, 30, 3), 255, np.uint8)) == (1.0, 0.0)


def test_measured_values_are_columns_and_unreadable_files_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_frame(tmp_path / "set" / "a.png", page_frame(False, 1, 64))
    (tmp_path / "set" / "b.jpg").write_bytes(b"broken")
    records = [record(name, "flip", lens="x") for name in ("a.png", "b.jpg")]
    good, broken = with_appearance(evaluation(records, [0.5, 0.5])).scored
    assert set(good.record.extra) == {"lens", "measured_brightness", "measured_sharpness"}
    assert set(broken.record.extra) == {"lens"}

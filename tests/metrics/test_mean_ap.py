"""COCO's metrics: their values in plain cases, the score from which boxes are shown, COCO's table, matching."""

import math

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from flipdetect.metrics.box_matching import SUMMARY, coco_table, match_boxes
from flipdetect.metrics.mean_ap import BoxMetrics, to_picture

NAMES = ("disc", "square")


def boxes(*corners: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(np.array(corners), dtype=torch.float32).reshape(-1, 4)


def made_up(pictures: int = 12) -> tuple[list[dict], list[dict]]:
    """Found and true boxes: true ones are moved a little, some are missed, some are invented."""
    rng = np.random.default_rng(0)
    found, truth = [], []
    for _ in range(pictures):
        low = rng.uniform(0, 100, (4, 2))
        corners = np.concatenate([low, low + rng.uniform(10, 160, (4, 2))], axis=1)
        labels = rng.integers(0, 2, 4)
        truth.append({"boxes": boxes(*corners[:3]), "labels": torch.tensor(labels[:3])})
        moved = corners + rng.normal(0, 4, corners.shape)
        kept = [0, 1, 3]
        scores = torch.tensor(rng.uniform(0.1, 1, 3), dtype=torch.float32)
        found.append({"boxes": boxes(*moved[kept]), "scores": scores, "labels": torch.tensor(labels[kept])})
    return found, truth


def test_the_twelve_metrics_are_those_of_cocos_own_program(capsys: pytest.CaptureFixture[str]) -> None:
    found, truth = made_up()
    metrics = BoxMetrics()
    metrics.update(found, truth)
    values = metrics.values(NAMES)
    reference = COCO()
    images = [{"id": number} for number in range(len(truth))]
    entries = [
        {"image_id": number, "category_id": int(label), "bbox": [x0, y0, x1 - x0, y1 - y0]}
        | {"area": (x1 - x0) * (y1 - y0), "iscrowd": 0}
        for number, each in enumerate(truth)
        for (x0, y0, x1, y1), label in zip(each["boxes"].tolist(), each["labels"], strict=True)
    ]
    reference.dataset = {"images": images, "categories": [{"id": 0}, {"id": 1}], "info": {}, "licenses": []}
    reference.dataset["annotations"] = [{"id": number, **entry} for number, entry in enumerate(entries, 1)]
    reference.createIndex()
    rows = [
        [number, x0, y0, x1 - x0, y1 - y0, score, int(label)]
        for number, each in enumerate(found)
        for (x0, y0, x1, y1), score, label in zip(each["boxes"].tolist(), each["scores"], each["labels"], strict=True)
    ]
    evaluation = COCOeval(reference, reference.loadRes(np.array(rows, dtype=np.float64)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    for name, expected in zip(SUMMARY, evaluation.stats, strict=True):
        assert values[name] == pytest.approx(expected, abs=1e-5), name
    printed = capsys.readouterr().out
    assert all(line in printed for line in coco_table(values).splitlines() if "AR @" in line and " -" not in line[-4:])


def test_perfect_boxes_have_one_and_sizes_or_classes_without_boxes_are_not_known() -> None:
    metrics = BoxMetrics()
    true = {"boxes": boxes((0, 0, 120, 120)), "labels": torch.tensor([0])}
    metrics.update([{**true, "scores": torch.tensor([0.8])}], [true])
    values = metrics.values(NAMES)
    assert values["map"] == values["map_large"] == values["ap_disc"] == pytest.approx(1)
    assert math.isnan(values["map_small"])
    assert math.isnan(values["ap_square"])
    assert values["threshold"] == pytest.approx(0.8, abs=1e-3)
    assert "square: AP    -" in coco_table(values)


def test_the_threshold_leaves_out_false_boxes_that_score_below_true_ones() -> None:
    metrics = BoxMetrics()
    for _ in range(4):
        true = {"boxes": boxes((0, 0, 50, 50)), "labels": torch.tensor([0])}
        guess = {"boxes": boxes((0, 0, 50, 50), (60, 60, 90, 90)), "labels": torch.tensor([0, 0])}
        metrics.update([{**guess, "scores": torch.tensor([0.7, 0.3])}], [true])
    assert metrics.values(NAMES)["threshold"] == pytest.approx(0.7, abs=1e-3)


def test_nothing_found_is_no_error() -> None:
    metrics = BoxMetrics()
    nothing = {"boxes": boxes(), "scores": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.int64)}
    metrics.update([nothing], [{"boxes": boxes((0, 0, 50, 50)), "labels": torch.tensor([1])}])
    values = metrics.values(NAMES)
    assert values["map"] == 0
    assert values["threshold"] == 0.5


def test_boxes_of_the_input_become_boxes_of_the_picture() -> None:
    placement, size = torch.tensor([0.5, 0.25, 10.0, 0.0]), torch.tensor([400, 200])
    found = to_picture(boxes((20, 25, 60, 50), (0, 0, 500, 500)), placement, size)
    assert found.tolist() == [[20, 100, 100, 200], [0, 0, 200, 400]]


def test_matching_is_one_to_one_within_classes() -> None:
    true = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    found = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], np.float32)
    result = match_boxes(found, np.array([0, 0, 1]), true, np.array([0, 0]))
    assert result == (1, 1, 2, pytest.approx(0.5))
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    assert match_boxes(*nothing, true, np.array([0, 0])) == (0, 2, 0, 0)
    assert match_boxes(*nothing, *nothing) == (0, 0, 0, 1)

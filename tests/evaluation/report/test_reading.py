"""The sentences say what the numbers carry, and no more."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flipdetect.evaluation.report.findings import Findings, find
from flipdetect.evaluation.report.reading import percent, read, worst_sentences
from tests.evaluation.report.made_up import made_up_judged, made_up_scores, save


def findings(folder: Path, probabilities: object = None, **facts: object) -> Findings:
    scored = made_up_scores(hard=0.0)
    if probabilities is not None:
        scored = replace(scored, probabilities=np.asarray(probabilities, float))
    return find(save(folder, scored, made_up_judged(**facts)))


def sentences(found: Findings) -> str:
    return "\n".join(f"{each.tone}: {each.text}" for each in read(found))


def test_a_good_model(tmp_path: Path) -> None:
    found = findings(tmp_path)
    text = sentences(found)
    assert f"F1 {found.headline['f1'].value:.2f} (95% interval" in text
    assert "from 60 videos" in text
    assert "good: Calling every frame flip would give F1 0.67" in text
    assert "good: The threshold suits these frames" in text
    assert "Drawing whole sources instead (15 of them)" in text
    assert "beyond what chance brings" in text
    assert not worst_sentences(found)


def test_a_model_that_calls_everything_a_flip(tmp_path: Path) -> None:
    noise = 0.9 + 0.1 * np.random.default_rng(0).random(240)
    text = sentences(findings(tmp_path, noise))
    assert "warn: At its threshold of 0.500 it calls every frame flip." in text
    assert "which lies within the interval" in text
    assert "that it ranks frames better than chance is not shown" in text
    assert "warn: In 30 of 60 videos with 3 frames or more every frame is told wrong" in text
    assert "not to be taken at their word" in text
    assert "good:" not in text.replace("good: The threshold", "")


def test_a_threshold_that_does_not_suit(tmp_path: Path) -> None:
    text = sentences(findings(tmp_path, threshold=0.999))
    assert "warn: The threshold does not suit these frames" in text
    assert "that is a bound, found with the labels known, not a result" in text


def test_perfection_and_few_videos(tmp_path: Path) -> None:
    scored = made_up_scores(6)
    found = find(save(tmp_path, replace(scored, probabilities=scored.targets.astype(float))))
    text = sentences(found)
    assert "good: Not one frame is told wrong." in text
    assert "The 24 frames come from 6 videos" in text
    assert "No part of the set has 8 videos" in text
    assert found.over_sources is None


def test_without_positive_frames(tmp_path: Path) -> None:
    scored = made_up_scores(8)
    rows = np.flatnonzero(scored.targets == 0)
    found = find(save(tmp_path, scored.take(rows)))
    assert "No frame of this set is a flip" in sentences(found)
    assert found.sensitivity.best is None


def test_the_weakest_part_comes_first(tmp_path: Path) -> None:
    found = find(save(tmp_path, made_up_scores()))
    assert "warn: It is weakest where phase of the turn is “first fifth”" in sentences(found)
    assert worst_sentences(found)[0].startswith("Phase of the turn is “first fifth”: ")


def test_what_changed_frames_cost(tmp_path: Path) -> None:
    def condition(strength: float, change: float, high: float) -> dict[str, object]:
        return {"strength": strength, "change": {"value": change, "low": change - 0.1, "high": high}}

    conditions = [condition(1.0, 0.0, 0.0), condition(0.5, -0.3, -0.2), condition(1.5, -0.1, 0.1)]
    family = {"title": "Brightness", "axis": "factor", "clean": 1.0, "conditions": conditions}
    found = findings(tmp_path)
    text = sentences(replace(found, robustness={"families": [family]}))
    assert "brightness costs most: at 0.5 (factor) F1 changes by -0.30 (-0.40 to -0.20)." in text
    family["conditions"] = [conditions[0], conditions[2]]
    assert "which may be chance" in sentences(replace(found, robustness={"families": [family]}))


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100%"),
        (0.0, "0%"),
        (0.9971, "99.7%"),
        (0.99999, ">99.9%"),
        (0.0001, "<0.1%"),
        (0.526, "53%"),
        (np.nan, "-"),
    ],
)
def test_percent_does_not_round_to_certainty(share: float, text: str) -> None:
    assert percent(share) == text

"""What a training prints at its end: the truth about its F1."""

import logging
from collections.abc import Callable

import numpy as np
import pytest

from flipdetect.callbacks.scores import EpochScores
from flipdetect.callbacks.summary import summarise

Train = Callable[..., int]


def scores(probabilities: list[float], targets: list[int], threshold: float = 0.5) -> EpochScores:
    count = len(targets)
    return EpochScores("test", np.arange(count), np.array(probabilities), np.array(targets), threshold)


def of_videos(*videos: tuple[list[float], list[int]], threshold: float = 0.5) -> tuple[EpochScores, list[str]]:
    names = [f"v{number}" for number, (probabilities, _) in enumerate(videos) for _ in probabilities]
    joined = [[value for video in videos for value in video[part]] for part in (0, 1)]
    return scores(*joined, threshold), names


GOOD = ([0.1, 0.9, 0.2, 0.8], [0, 1, 0, 1])
BAD = ([0.9, 0.1, 0.8, 0.9], [0, 1, 0, 1])


def test_a_good_model_on_many_videos_has_no_warnings() -> None:
    text, warnings = summarise(*of_videos(*[GOOD] * 12), split="Test", positive="flip")
    assert text.startswith("Test F1 1.000 (95% CI ")
    assert "on 12 videos (24 of 48 frames are flip)" in text
    assert "for every frame: F1 0.667" in text
    assert warnings == []


@pytest.mark.parametrize(
    ("videos", "threshold", "split", "words"),
    [
        ([GOOD] * 2, 0.5, "Test", "F1 1.000 on 2 videos says nothing"),
        ([GOOD] * 6, 0.5, "Test", "F1 1.000 on 6 videos says little"),
        ([GOOD] * 12, 0.5, "Validation", "no test split"),
        ([BAD] * 12, 0.5, "Test", "no better than predicting flip for every frame: F1 0.400 against 0.667"),
        ([GOOD, GOOD, BAD] * 4, 0.5, "Test", "95% CI of F1 includes 0.667"),
        ([BAD] * 12, 0.5, "Test", "AUROC is 0.375: below 0.5"),
        ([GOOD] * 12, 0.0, "Test", "The threshold is 0.000"),
        ([GOOD] * 12, 0.9999, "Test", "The threshold is 1.000"),
    ],
)
def test_what_is_wrong_is_said_plainly(
    videos: list[tuple[list[float], list[int]]], threshold: float, split: str, words: str
) -> None:
    _, warnings = summarise(*of_videos(*videos, threshold=threshold), split=split, positive="flip")
    assert words in "\n".join(warnings)


def test_a_small_training_says_what_it_is_worth(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    assert train("tiny_cnn.yaml") == 0
    printed = capfd.readouterr()
    assert "Test F1 " in printed.out
    assert "for every frame: F1 0." in printed.out
    assert "An epoch has only" in printed.err
    assert "--config finetune" in printed.err
    assert "other videos" in printed.err


def test_without_a_test_split_validation_is_summarised(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    assert train("tiny_cnn.yaml", "--data.test_fraction=0") == 0
    printed = capfd.readouterr()
    assert "Validation F1 " in printed.out
    assert "There is no test split" in printed.err


def test_fine_tuning_is_not_recommended_to_fine_tuning(
    train: Train, trained: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert train("tiny_cnn.yaml", f"--model.weights={trained}") == 0
    assert "An epoch has only" not in caplog.text

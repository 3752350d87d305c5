"""Scoring frames in order: what is scored, in which order it is reported, what of the hands reaches the meter."""

import numpy as np
import pytest

from flipdetect.errors import ConfigError
from flipdetect.inference.video import score_video
from flipdetect.records import FrameScore
from flipdetect.sources.streams import StreamFrame
from tests.inference.looking import RednessModel, flat


def frames(values: list[float | None]) -> list[StreamFrame]:
    return [
        StreamFrame(
            "film.mp4", place / 30, place, None if value is None else flat(value), "" if value is not None else "torn"
        )
        for place, value in enumerate(values)
    ]


def scores_of(values: list[float | None], model: RednessModel, **settings: object) -> list[FrameScore]:
    batches = score_video(frames(values), model, 0.5, video="film", **settings)  # type: ignore[arg-type]
    return [score for batch in batches for score in batch]


def score(values: list[float | None], **settings: object) -> tuple[list[int | None], RednessModel]:
    model = RednessModel()
    return [score.frame for score in scores_of(values, model, **settings)], model


def test_every_frame_is_scored_in_order_when_nothing_is_refined() -> None:
    found, model = score([0.1] * 21, batch_size=8)
    assert found == list(range(21))
    assert sum(model.batches) == 21
    assert max(model.batches) == 8


def test_a_calm_film_is_scored_coarsely() -> None:
    found, model = score([0.1] * 31, refine=3, batch_size=4)
    assert found == list(range(0, 31, 3))
    assert sum(model.batches) == len(found)


def test_frames_between_are_scored_where_scores_change() -> None:
    values = [0.05] * 12 + [0.9] * 9 + [0.05] * 12
    found, _ = score(values, refine=3, batch_size=4)
    # Between 9 and 12 the scores rise, between 18 and 21 they fall; inside the turn they are equal.
    assert found == sorted({*range(0, 33, 3), 10, 11, 19, 20})
    assert found == sorted(found)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 64])
def test_what_is_scored_does_not_depend_on_the_batch_size(batch_size: int) -> None:
    rng = np.random.default_rng(3)
    values = [float(value) for value in rng.choice([0.05, 0.3, 0.9], 50)]
    assert score(values, refine=4, batch_size=batch_size)[0] == score(values, refine=4, batch_size=7)[0]


def test_frames_after_the_last_coarse_one_are_scored_if_that_is_a_flip() -> None:
    assert score([0.1] * 3 + [0.9] * 3, refine=3)[0] == [0, 1, 2, 3, 4, 5]
    assert score([0.1] * 6, refine=3)[0] == [0, 3]


def test_an_unreadable_frame_is_reported_with_its_reason_wherever_it_stands() -> None:
    model = RednessModel()
    values: list[float | None] = [None, 0.1, None, 0.1, 0.1, 0.1, None, 0.1]
    found = scores_of(values, model, refine=3, batch_size=2)
    assert [(score.frame, score.error) for score in found if score.error] == [(0, "torn"), (2, "torn"), (6, "torn")]
    assert all(score.time_s is not None for score in found)
    assert [score.frame for score in found] == sorted(score.frame or 0 for score in found)


def test_the_quality_is_measured_with_the_hands_that_lie_over_the_frame() -> None:
    model = RednessModel()
    measured = scores_of([0.6] * 3, model)
    assert all(score.quality is not None for score in measured)
    assert all(score.quality and score.quality.coverage and score.quality.coverage > 0.3 for score in measured)
    model.hands = None
    blind = scores_of([0.6] * 3, model)
    assert all(score.quality is not None and score.quality.coverage is None for score in blind)


def test_nothing_is_measured_unless_wanted() -> None:
    assert all(score.quality is None for score in scores_of([0.6] * 3, RednessModel(), measure=False))


@pytest.mark.parametrize("name", ["refine", "batch_size"])
def test_impossible_settings_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        score([0.1], **{name: 0})

"""Parts of a set: what is hard is found, what is chance is not."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_auroc

from flipdetect.evaluation.report.keys import columns_of
from flipdetect.evaluation.report.parts import auroc_of, comparisons, evenness, slicings, suspects, worst_parts
from tests.evaluation.report.made_up import made_up_judged, made_up_scores


def test_a_hard_part_is_found() -> None:
    found = slicings(made_up_scores(), made_up_judged())
    worst = worst_parts(found)
    assert (worst[0][0].key, worst[0][1].value) == ("phase", "first fifth")
    hard = worst[0][2]
    assert hard.share.value < 0.5 < hard.rest
    assert hard.frames == 30
    phase = next(each for each in found if each.key == "phase")
    assert phase.shared
    assert all(part.alarms is None for part in phase.parts)
    assert {part.frames - part.positives for part in phase.parts} == {120}


@pytest.mark.parametrize("seed", range(4))
def test_chance_is_not_called_worse(seed: int) -> None:
    scored = made_up_scores(seed=seed, hard=0.0)
    found = slicings(replace(scored, probabilities=0.3 + 0.4 * scored.targets), made_up_judged())
    assert not worst_parts(found)
    rng = np.random.default_rng(seed)
    noisy = replace(scored, probabilities=rng.random(len(scored)))
    found = slicings(noisy, made_up_judged())
    assert len(comparisons(found)) > 10
    assert not worst_parts(found)


def test_a_small_gap_is_a_suspicion() -> None:
    """Eighteen of a hundred flips missed with one lens, four with the other: alone, that would be told apart."""
    scored = made_up_scores(400, frames=1, hard=0.0)
    flips = np.flatnonzero(scored.targets == 1)
    missed = np.zeros(400, bool)
    missed[flips[:18]] = True
    missed[flips[100:104]] = True
    bright = scored.columns["measured_brightness"]
    columns = {f"other{n}": bright[n:] + bright[:n] for n in range(8)}
    one = replace(
        scored,
        probabilities=np.where(missed, 0.1, np.where(scored.targets == 1, 0.9, 0.1)),
        columns={"lens": ("a",) * 200 + ("b",) * 200, **columns},
        sources=("",) * 400,
    )
    found = slicings(one, made_up_judged(slices=("lens", *columns)))
    assert not worst_parts(found)
    assert ("lens", "a") in [(each.key, part.value) for each, part, _ in suspects(found)]


def test_parts_of_few_videos_are_shown_and_not_compared() -> None:
    scored = made_up_scores(12)
    odd = replace(scored, sources=tuple("odd" if v.endswith("0011") else "rest" for v in scored.videos))
    wrong = np.where(np.array(odd.sources) == "odd", 0.0, scored.targets)
    found = slicings(replace(odd, probabilities=wrong), made_up_judged())
    by_source = next(each for each in found if each.key == "source")
    (part,) = (part for part in by_source.parts if part.value == "odd")
    assert part.found is not None
    assert part.found.share.value == 0.0
    assert part.found.share.videos == 1
    assert not part.clearly_worse


def test_of_many_values_the_worst_are_shown() -> None:
    scored = made_up_scores()
    wrong = scored.probabilities.copy()
    mine = np.array(scored.videos) == "flip/0007"
    wrong[mine] = 0.0
    found = slicings(replace(scored, probabilities=wrong), made_up_judged())
    videos = next(each for each in found if each.key == "video")
    assert videos.many
    assert len(videos.shares) == 60
    assert len(videos.parts) == 10
    assert videos.parts[0].value == "flip/0007"
    assert videos.parts[0].right == 0.0


def test_columns_that_say_what_the_label_says_are_left_out() -> None:
    keys = {column.key for column in columns_of(made_up_scores())}
    assert keys == {"source", "video", "phase", "measured_brightness", "occlusion"}  # no "kind": flip/ and notflip/


def test_asked_for_columns_and_hands() -> None:
    scored = made_up_scores(8)
    lens = tuple(str(n % 3) for n in range(len(scored)))
    scored = replace(scored, columns={**scored.columns, "lens": lens})
    columns = {column.key: column for column in columns_of(scored, ("lens", "phase", "absent"))}
    assert "lens" in columns
    assert "absent" not in columns
    hands = columns["occlusion"].group(columns["occlusion"].cells, (scored.targets == 1).tolist())
    assert hands.names[0] == "none"
    bare = [float(cell) for cell, place in zip(scored.columns["occlusion"], hands.places, strict=True) if place == 0]
    assert bare
    assert set(bare) == {0.0}


def test_where_the_book_lies() -> None:
    scored = made_up_scores(8)
    boxes = ("0 0 100 100", "10 10 90 90", "0 10 90 90", "10 20 200 90")
    scored = replace(
        scored,
        columns={
            "book_box": tuple(boxes[n % 4] for n in range(len(scored))),
            "frame_height": ("100",) * len(scored),
            "frame_width": ("100",) * len(scored),
        },
    )
    columns = {column.key: column for column in columns_of(scored)}
    assert list(columns["book_cut"].cells[:4]) == ["all sides", "none", "1 side", "1 side"]
    assert columns["book_size"].cells[1] == "0.6400"
    cut = columns["book_cut"]
    assert cut.group(cut.cells, [True] * len(scored)).names == ("none", "1 side", "all sides")
    scored = replace(scored, columns={**scored.columns, "book_box": ("somewhere",) * len(scored)})
    assert "book_cut" not in {column.key for column in columns_of(scored)}


def test_auroc_is_that_of_torchmetrics() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 200)
    scores = np.round((rng.random(200) + 0.3 * targets) / 1.3, 1)  # many ties
    assert auroc_of(scores, targets) == pytest.approx(
        float(binary_auroc(torch.from_numpy(scores), torch.from_numpy(targets)))
    )
    assert math.isnan(auroc_of(scores, np.ones(200, np.int64)))


def test_errors_by_video() -> None:
    scored = made_up_scores(10, hard=0.0)
    right = replace(scored, probabilities=scored.targets.astype(float))
    spread = evenness(right, 0.5)
    assert (spread.errors, spread.faultless, spread.half, spread.hopeless) == (0, 10, 0, 0)
    wrong = right.probabilities.copy()
    wrong[np.array(scored.videos) == "flip/0003"] = 0.0
    wrong[0] = 1.0
    spread = evenness(replace(scored, probabilities=wrong), 0.5)
    assert (spread.errors, spread.faultless, spread.half, spread.hopeless, spread.longer) == (5, 8, 1, 1, 10)

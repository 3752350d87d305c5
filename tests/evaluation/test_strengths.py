"""Curves over the strength of changes: clean frames stand in their place, and change nothing."""

from pathlib import Path

import numpy as np
import pytest

from flipdetect.errors import ConfigError
from flipdetect.evaluation.corruptions import FAMILIES, Family, brightness, crop, greyscale, saturation
from flipdetect.evaluation.selection import select_frames
from flipdetect.evaluation.strengths import measure_strengths, some_videos
from flipdetect.inference.torch_model import load_torch_model

FRAME = np.random.default_rng(0).integers(0, 256, (40, 24, 3), dtype=np.uint8)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.title)
def test_families_change_frames_more_the_stronger_they_are(family: Family) -> None:
    assert family.clean not in family.strengths
    assert list(family.strengths) == sorted(family.strengths)
    smooth = np.repeat(np.repeat(FRAME[:5, :3], 80, axis=0), 80, axis=1)
    distances = {
        strength: float(np.abs(each.apply(smooth).astype(int) - smooth).mean())
        for strength, each in zip(family.strengths, family.perturbations(), strict=True)
    }
    assert min(distances.values()) > 0
    for side in (-1, 1):
        ordered = sorted((s for s in distances if (s - family.clean) * side > 0), key=lambda s: abs(s - family.clean))
        if family.title != "Resolution":  # of eight equal pixels, which steps a share of them hits is chance
            assert [distances[s] for s in ordered] == sorted(distances[s] for s in ordered)


def test_saturation_and_crop() -> None:
    np.testing.assert_array_equal(saturation(FRAME, 0.0), greyscale(FRAME))
    np.testing.assert_array_equal(saturation(FRAME, 1.0), FRAME)
    np.testing.assert_array_equal(crop(FRAME, 1.0), FRAME)
    for bad in (0.0, 1.2):
        with pytest.raises(ConfigError, match="share"):
            crop(FRAME, bad)
    with pytest.raises(ConfigError, match="saturation"):
        saturation(FRAME, -1)


def test_strengths_of_a_model(trained: Path, monreader_set: Path) -> None:
    bundle = load_torch_model(trained, "cpu")
    index = select_frames(monreader_set, bundle.classes)
    family = Family("Brightness", "factor", 1.0, (0.0, 1.4), brightness)
    found = measure_strengths(bundle, index, bundle.threshold, [family])
    assert (found["frames"], found["videos"], found["unreadable"]) == (32, 16, 0)
    conditions = found["families"][0]["conditions"]
    assert [each["strength"] for each in conditions] == [0.0, 1.0, 1.4]
    assert conditions[1]["change"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert conditions[0]["auroc"]["value"] == 0.5  # black frames are all alike
    for each in conditions:
        assert each["f1"]["value"] - conditions[1]["f1"]["value"] == pytest.approx(each["change"]["value"])


def test_some_videos_are_whole(trained: Path, monreader_set: Path) -> None:
    index = select_frames(monreader_set, load_torch_model(trained, "cpu").classes)
    some = some_videos(index, 5)
    assert len(some.records) == 6
    assert len({record.video for record in some.records}) == 3
    assert some_videos(index, 5).records == some.records
    assert some_videos(index, 500).records == index.records

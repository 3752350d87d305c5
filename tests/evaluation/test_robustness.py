"""Corruptions do what their names say; robustness compares with clean frames, which are those of prediction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import DataError
from flipdetect.evaluation import robustness as change
from flipdetect.evaluation.evaluate import evaluate_folder, select_frames
from flipdetect.evaluation.robustness import corrupted_frames, measure_robustness, mirror
from flipdetect.inference.torch_model import load_torch_model
from flipdetect.records import ClassNames
from tests.frame_sets import make_eye_set, make_monreader_set, page_frame

FRAME = page_frame(True, 3, height=160)


@pytest.mark.parametrize("each", change.FULL.values(), ids=change.FULL.keys())
def test_each_is_a_pure_function_of_the_frame(each: Callable[[np.ndarray], np.ndarray]) -> None:
    before = FRAME.copy()
    result = each(FRAME)
    assert (result.shape, result.dtype) == (FRAME.shape, np.uint8)
    assert (before == FRAME).all()
    assert not np.shares_memory(result, FRAME)
    assert (each(FRAME) == result).all()
    assert (result != FRAME).any()
    assert each(FRAME[:33, :20]).shape == (33, 20, 3)


def test_twice_mirrored_or_turned_is_the_frame() -> None:
    for twice in (change.mirror, change.half_turn):
        assert (twice(twice(FRAME)) == FRAME).all()
    assert (change.mirror(FRAME)[:, 0] == FRAME[:, -1]).all()
    assert (change.half_turn(FRAME)[0, 0] == FRAME[-1, -1]).all()


def test_strength_zero_changes_nothing() -> None:
    for same in (
        change.brightness(FRAME, 1.0), change.contrast(FRAME, 1.0), change.hue_shift(FRAME, 0.0),
        change.noise(FRAME, 0.0), change.rotate_and_zoom(FRAME), change.low_resolution(FRAME, 1.0),
    ):  # fmt: skip
        assert np.abs(same.astype(int) - FRAME).max() <= 1


def test_brightness_multiplies_and_clips() -> None:
    values = np.array([[[0, 100, 250]]], np.uint8)
    assert change.brightness(values, 1.15).tolist() == [[[0, 115, 255]]]
    assert change.brightness(values, 0.85).tolist() == [[[0, 85, 212]]]


def test_colour_is_turned_or_gone() -> None:
    red = np.full((2, 2, 3), (200, 0, 0), np.uint8)
    assert change.hue_shift(red, 120)[0, 0].tolist() == [0, 200, 0]
    assert change.hue_shift(red, -120)[0, 0].tolist() == [0, 0, 200]
    grey = change.greyscale(FRAME)
    assert (grey[..., :1] == grey).all()
    assert np.abs(change.hue_shift(grey, 77).astype(int) - grey).max() <= 1


def test_blur_and_low_resolution_take_detail_and_noise_adds_it() -> None:
    def detail(frame: np.ndarray) -> float:
        return float(np.abs(np.diff(frame.astype(float), axis=1)).mean())

    assert detail(change.blur(FRAME, 0.02)) < detail(change.blur(FRAME, 0.005)) < detail(FRAME)
    assert detail(change.low_resolution(FRAME, 0.25)) < detail(change.low_resolution(FRAME, 0.5)) < detail(FRAME)
    assert detail(change.noise(FRAME, 20)) > detail(change.noise(FRAME, 5)) > detail(FRAME)


def test_rotation_is_counter_clockwise_about_the_centre() -> None:
    frame = np.zeros((41, 41, 3), np.uint8)
    frame[20, 30:38] = 255
    turned = change.rotate_and_zoom(frame, 90)
    assert turned[5, 20].min() == 255
    assert turned[20, 34].max() == 0


GREY = PreprocessSpec(height=16, width=16, channels=1, mean=(0.5,), std=(0.5,))


@dataclass
class Brightness:
    """A model that calls what is bright a flip."""

    preprocess: PreprocessSpec
    classes: ClassNames = field(default_factory=ClassNames)
    threshold: float = 0.5
    naming: None = None

    def probabilities(self, frames: Any) -> Any:
        shown: Sequence[Any] = [self.preprocess.to_uint8(frame) for frame in frames]
        return np.array([frame.mean() / 255 for frame in shown])


def test_clean_frames_are_those_of_evaluation_and_identity_loses_nothing(trained: Path, tmp_path: Path) -> None:
    root = make_monreader_set(tmp_path, videos=4, frames=2)
    (root / "flip" / "0001_000000010.jpg").write_bytes(b"")
    bundle = load_torch_model(trained, "cpu")
    index = select_frames(root, bundle.classes)
    result = measure_robustness(bundle, index, {"same": np.copy, "mirrored": mirror})
    metrics = evaluate_folder(bundle, root).metrics
    clean, same, mirrored = result.conditions
    assert (clean.name, same.name, mirrored.name) == ("clean", "same", "mirrored")
    assert {name: clean.metrics[name] for name in metrics} == pytest.approx(metrics)
    assert clean.changes == {"f1": 0.0, "auroc": 0.0}
    assert same.changes == pytest.approx({"f1": 0.0, "auroc": 0.0}, abs=1e-6)
    assert (result.frames, len(result.failed)) == (15, 1)
    assert "mirrored" in result.table()
    assert result.as_dict()["conditions"][2]["changes"] == mirrored.changes


def test_a_change_shows_in_the_figures(tmp_path: Path) -> None:
    root = make_monreader_set(tmp_path, videos=3, frames=1)
    model: Any = Brightness(PreprocessSpec(height=64, width=36))
    dark = {"black": np.zeros_like}
    result = measure_robustness(model, select_frames(root, ClassNames()), dark)
    clean, black = result.conditions
    assert black.metrics["called_positive"] == 0.0
    assert black.metrics["f1"] == 0.0
    assert black.metrics["auroc"] == 0.5
    assert black.changes["f1"] == -clean.metrics["f1"]


def test_grey_models_get_the_grey_frame_unchanged(tmp_path: Path) -> None:
    path = next(make_eye_set(tmp_path, people=1, frames=1).rglob("*.png"))
    seen: list[tuple[int, ...]] = []

    def look(frame: Any) -> Any:
        seen.append(frame.shape)
        return frame.copy()

    frames = corrupted_frames(GREY, path, [look])
    assert seen[0][2] == 3
    assert (frames[0] == GREY.load(path)).all()


def test_a_set_without_readable_frames_is_an_error(tmp_path: Path) -> None:
    root = make_monreader_set(tmp_path, videos=1, frames=1)
    for path in root.rglob("*.jpg"):
        path.write_bytes(b"")
    model: Any = Brightness(PreprocessSpec(height=64, width=36))
    with pytest.raises(DataError, match="none of the 2 frames"):
        measure_robustness(model, select_frames(root, ClassNames()), {})

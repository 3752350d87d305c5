"""Robustness compares with clean frames, which are those of prediction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import DataError
from flipdetect.evaluation.evaluate import evaluate_folder, select_frames
from flipdetect.evaluation.robustness import corrupted_frames, measure_robustness, mirror
from flipdetect.inference.torch_model import load_torch_model
from flipdetect.records import ClassNames
from tests.frame_sets import make_eye_set, make_monreader_set

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

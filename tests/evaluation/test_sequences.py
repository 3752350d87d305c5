"""Decisions about clips: scores, thresholds from validation alone, tables and pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flipdetect.data.index import index_frames
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import DataError, ModelError
from flipdetect.evaluation.sequence_plots import save_matrices
from flipdetect.evaluation.sequences import (
    SEQUENCE,
    ScoredClips,
    clip_report,
    clip_rows,
    frame_part,
    judge_clips,
    matrices,
)
from flipdetect.inference.torch_model import TorchModel, load_torch_model
from flipdetect.metrics.clip import AGGREGATIONS
from flipdetect.records import ClassNames
from flipdetect.runs import CHECKPOINT_KEY
from flipdetect.tasks import SequenceClassifier

NAN = float("nan")
CLASSES = ClassNames()


def scored(probabilities: list[float], **settings) -> ScoredClips:
    """Three clips of two frames; the first two are flips, the first only in its second frame."""
    return ScoredClips("net", "set", tuple("aabbcc"), np.array(probabilities), np.array([0, 1, 1, 1, 0, 0]), **settings)


SURE = [0.1, 0.9, 0.6, 0.8, 0.2, 0.3]


def test_a_clip_is_positive_if_any_of_its_frames_is() -> None:
    scores, targets = scored(SURE).clips("max")
    assert scores.tolist() == [0.9, 0.8, 0.3]
    assert targets.tolist() == [1, 1, 0]


def test_each_aggregation_gets_a_threshold_of_its_own_from_validation() -> None:
    rows = clip_rows(scored(SURE), scored([0.3, 0.5, 0.5, 0.5, 0.2, 0.4]))
    assert [row.method for row in rows] == list(AGGREGATIONS)
    assert {row.origin for row in rows} == {"validation"}
    by = {row.method: row for row in rows}
    assert by["mean"].threshold == pytest.approx((0.3 + 0.4) / 2)
    assert by["max"].threshold == pytest.approx((0.4 + 0.5) / 2)
    assert by["max"].clips.matrix().tolist() == [[1, 0], [0, 2]]
    # Frames are decided at a threshold of frames, chosen on the validation frames.
    assert by["max"].frames.matrix().tolist() == [[3, 0], [0, 3]]


def test_without_validation_the_models_own_thresholds_are_taken() -> None:
    assert {row.origin for row in clip_rows(scored(SURE, frame_threshold=0.7))} == {"frames"}
    rows = clip_rows(scored(SURE, own=(0.4, 0.9, 0.1), clip_threshold=0.35))
    assert [(row.method, row.origin, row.figures["f1"]) for row in rows] == [(SEQUENCE, "checkpoint", 1.0)]


def test_clips_and_frames_without_a_score_are_counted_as_such() -> None:
    rows = clip_rows(scored([NAN, NAN, *SURE[2:]]))
    assert {(row.clips.unscored, row.frames.unscored) for row in rows} == {(1, 2)}
    with pytest.raises(DataError, match="none of 3 clips"):
        clip_rows(scored([NAN] * 6))
    with pytest.raises(DataError, match="validation"):
        clip_rows(scored(SURE), scored([NAN] * 6))


def test_frames_and_clips_stand_side_by_side() -> None:
    rows = clip_rows(scored(SURE), scored(SURE))
    text = matrices(rows[1], CLASSES).splitlines()
    assert "frames" in text[0]
    assert "clips, max" in text[0]
    assert text[2].split() == ["true", "notflip", "3", "0", "true", "notflip", "1", "0"]
    assert text[3].split() == ["true", "flip", "0", "3", "true", "flip", "0", "2"]
    report = clip_report(rows, CLASSES)
    assert "F1 of frames" in report
    assert report.count("true flip") == 2 * len(AGGREGATIONS)


def test_matrices_become_pictures(tmp_path: Path) -> None:
    rows = clip_rows(scored(SURE), scored(SURE))
    save_matrices(rows[:1], CLASSES, tmp_path / "one.png")
    save_matrices(rows, CLASSES, tmp_path / "each.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["each-1.png", "each-2.png", "each-3.png", "one.png"]
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.width > 1.5 * picture.height


def test_rows_are_plain_json() -> None:
    row = json.loads(json.dumps(clip_rows(scored(SURE))[0].as_dict()))
    assert (row["model"], row["set"], row["method"], row["clips"]["true_positives"]) == ("net", "set", "mean", 2)


@pytest.fixture
def sequence_bundle(tmp_path: Path) -> TorchModel:
    """An untrained sequence model that looks at three frames of a clip."""
    torch.manual_seed(0)
    task = SequenceClassifier(weights="none", width=4, hidden=8).eval()
    path = tmp_path / "best.ckpt"
    torch.save({CHECKPOINT_KEY: {"clips": {"frames": 3, "reverse": 0.5}}, "state_dict": task.state_dict()}, path)
    return TorchModel(task, CLASSES, PreprocessSpec(height=32, width=24), 0.4, None, path)


def test_a_sequence_model_judges_each_video_by_the_frames_it_looks_at(
    sequence_bundle: TorchModel, tmp_path: Path, monreader_set: Path
) -> None:
    from tests.frame_sets import make_monreader_set

    root = make_monreader_set(tmp_path / "long", videos=2, frames=5, height=64)
    (root / "flip" / "0001_000000030.jpg").write_bytes(b"no picture")  # the middle frame, which it would look at
    index = index_frames(root, classes=CLASSES, check=False)
    found = judge_clips("net", sequence_bundle, index, "long")
    assert found.own is not None
    assert len(found.own) == 4
    assert np.isfinite(found.own).all()
    looked_at = [
        int((~np.isnan(found.probabilities[[v == video for v in found.videos]])).sum())
        for video in dict.fromkeys(found.videos)
    ]
    assert sorted(looked_at) == [2, 3, 3, 3]
    assert found.clip_threshold == 0.4


def test_the_frame_model_within_judges_frames_by_itself(sequence_bundle: TorchModel, trained: Path) -> None:
    frames = np.random.default_rng(0).normal(size=(2, 3, 32, 24)).astype(np.float32)
    own = frame_part(sequence_bundle)
    expected = sequence_bundle.task.model(torch.from_numpy(frames)).sigmoid().detach().numpy()
    np.testing.assert_allclose(own.probabilities(frames), expected, rtol=1e-5)
    assert own.threshold == 0.5
    with pytest.raises(ModelError, match="single frames"):
        frame_part(load_torch_model(trained))


def test_models_of_frames_and_files_that_do_not_tell_are_refused(
    sequence_bundle: TorchModel, trained: Path, monreader_set: Path
) -> None:
    index = index_frames(monreader_set, classes=CLASSES, check=False)
    with pytest.raises(ModelError, match="single frames"):
        judge_clips("net", load_torch_model(trained), index)
    torch.save({CHECKPOINT_KEY: {}, "state_dict": {}}, sequence_bundle.path)
    with pytest.raises(ModelError, match=r"data\.clips"):
        judge_clips("net", sequence_bundle, index)

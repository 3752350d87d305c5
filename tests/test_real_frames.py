"""The pretrained models on real frames of books; skipped where the folder is absent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from flipdetect.data.index import index_frames
from flipdetect.inference.load import load_model
from flipdetect.inference.score import Predictor
from flipdetect.inference.settings import settings_of
from flipdetect.pipeline.api import detect_flips
from flipdetect.records import ClassNames, FrameRecord, FrameScore
from flipdetect.sources.image import decode_frame
from flipdetect.sources.streams import open_stream
from flipdetect.zoo import DEFAULT, pretrained_path

pytestmark = pytest.mark.realdev
CLIPS = "frames"
FPS = 15


@pytest.fixture(scope="module")
def model():
    return load_model(DEFAULT, threads=1)


@pytest.fixture
def clips(realdev: Path) -> dict[str, list[FrameRecord]]:
    """The frames of the films, by clip (label and video), in order."""
    found: dict[str, list[FrameRecord]] = {}
    for record in index_frames(realdev, classes=ClassNames(), check=False).records:
        if record.path.relative_to(realdev).parts[0] == CLIPS:
            found.setdefault(f"{record.label} {record.path.name.split('_')[0]}", []).append(record)
    return {name: sorted(frames, key=lambda frame: frame.path.name) for name, frames in found.items()}


def scores_of(model, records: list[FrameRecord], root: Path) -> list[FrameScore]:
    batches = Predictor(model, model.threshold).predict([record.path for record in records], root)
    return [score for batch in batches for score in batch]


def test_every_clip_is_told_right(model, clips: dict[str, list[FrameRecord]], realdev: Path) -> None:
    threshold = settings_of(pretrained_path(DEFAULT)).clip_threshold
    assert threshold is not None
    for name, records in clips.items():
        highest = max(score.probability or 0.0 for score in scores_of(model, records, realdev))
        assert (highest >= threshold) == name.startswith("flip"), f"{name}: {highest:.3f} against {threshold:.3f}"


def test_pages_at_rest_are_no_flips(model, realdev: Path) -> None:
    stills = [
        record
        for record in index_frames(realdev, classes=ClassNames(), check=False).records
        if record.path.relative_to(realdev).parts[0] == "stills"
    ]
    right = [score.label == "notflip" for score in scores_of(model, stills, realdev)]
    assert np.mean(right) >= 0.8


def test_a_film_of_a_sweeping_hand_a_turn_and_a_rest_has_one_turn(clips: dict[str, list[FrameRecord]]) -> None:
    order = ["notflip 0008", "flip 0003", *["notflip 0001"] * 3]

    def film() -> Iterator[np.ndarray]:
        for name in order:
            for record in clips[name]:
                yield decode_frame(record.path)

    turns = detect_flips(film(), DEFAULT, fps=FPS)
    assert len(turns) == 1, turns
    first, last = len(clips["notflip 0008"]) / FPS, (len(clips["notflip 0008"]) + len(clips["flip 0003"])) / FPS
    assert first - 0.3 <= turns[0].start_s < turns[0].end_s <= last + 0.3


def test_one_frame_has_one_probability_as_file_array_and_film(
    model, clips: dict[str, list[FrameRecord]], realdev: Path, tmp_path: Path
) -> None:
    records = [records[0] for records in clips.values()]
    arrays = [decode_frame(record.path) for record in records]
    film = tmp_path / "lossless.mkv"
    with av.open(film, "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = *arrays[0].shape[:2], "bgr0"
        for array in arrays:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(array, "rgb24")))
        container.mux(stream.encode())
    of_arrays = model.predict(arrays)
    of_files = [score.probability for score in scores_of(model, records, realdev)]
    of_film = model.predict([frame.image for frame in open_stream(film, rate_hz=10)])
    assert of_files == pytest.approx(of_arrays, abs=0.01)
    assert of_film == pytest.approx(of_arrays, abs=0.01)

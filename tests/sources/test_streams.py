"""Sequences of frames from files, arrays, videos and cameras: order, times, what cannot be read."""

from pathlib import Path

import numpy as np
import pytest

from flipdetect.errors import ConfigError, DataError, FrameError
from flipdetect.records import FrameScore
from flipdetect.sources.folder import find_files
from flipdetect.sources.streams import VideoShots, array_shots, camera_shots, file_shots, frame_times, sequence_files
from flipdetect.sources.video import Place, VideoFrame
from tests.frame_sets import write_frame
from tests.inference.looking import flat
from tests.sources.films import write


def folder(root: Path, *names: str) -> Path:
    for name in names:
        write_frame(root / name, flat(0.5))
    return root


def times(root: Path, fps: float = 10.0) -> dict[str, list[tuple[str, float]]]:
    clips = sequence_files(find_files(root).files, root, fps)
    return {video: [(file.shown, pytest.approx(file.time_s)) for file in files] for video, files in clips.items()}


def test_frame_numbers_are_times_from_the_first_frame_of_each_clip(tmp_path: Path) -> None:
    folder(tmp_path, "a/0001_000000010.png", "a/0001_000000012.png", "a/0001_000000020.png", "a/0002_000000005.png")
    found = times(tmp_path)
    assert found["a/0001"] == [
        ("a/0001_000000010.png", 0.0),
        ("a/0001_000000012.png", 0.2),
        ("a/0001_000000020.png", 1.0),
    ]
    assert found["a/0002"] == [("a/0002_000000005.png", 0.0)]


def test_frames_without_numbers_are_counted(tmp_path: Path) -> None:
    folder(tmp_path, "x/one.png", "x/three.png", "x/two.png")
    assert times(tmp_path) == {"x": [("x/one.png", 0.0), ("x/three.png", 0.1), ("x/two.png", 0.2)]}


def test_files_are_read_in_order_and_a_torn_one_has_its_reason(tmp_path: Path) -> None:
    names = [f"0001_{number:09d}.png" for number in range(1, 30)]
    folder(tmp_path, *names)
    (tmp_path / names[7]).write_bytes(b"torn")
    (clip,) = sequence_files(find_files(tmp_path).files, tmp_path, 10.0).values()
    shots = list(file_shots(clip, workers=3))
    assert [shot.path for shot in shots] == names
    assert [shot.path for shot in shots if shot.image is None] == [names[7]]
    assert names[7] in shots[7].error
    assert shots[6].image is not None
    assert shots[6].image.shape == (64, 36, 3)


def test_reading_may_stop_early(tmp_path: Path) -> None:
    folder(tmp_path, *(f"0001_{number:09d}.png" for number in range(1, 20)))
    (clip,) = sequence_files(find_files(tmp_path).files, tmp_path).values()
    shots = file_shots(clip, workers=2)
    next(shots)
    shots.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_an_impossible_rate_is_refused(fps: float) -> None:
    with pytest.raises(ConfigError, match="fps"):
        sequence_files([], Path(), fps)
    with pytest.raises(ConfigError, match="fps"):
        next(array_shots([flat(0.1)], fps))


def test_arrays_have_the_times_of_their_rate_or_their_own() -> None:
    frame = flat(0.2)
    assert [shot.time_s for shot in array_shots([frame] * 3, 10)] == pytest.approx([0, 0.1, 0.2])
    assert [shot.time_s for shot in array_shots([(0.5, frame), (0.9, frame)])] == [0.5, 0.9]
    assert [shot.time_s for shot in array_shots([VideoFrame(1.5, 3, frame)])] == [1.5]


@pytest.mark.parametrize(
    ("frames", "kind", "said"),
    [
        ([np.zeros((4, 4), np.uint8)], FrameError, "shape"),
        ([np.zeros((4, 4, 3), np.float32)], FrameError, "float32"),
        ([np.zeros((0, 4, 3), np.uint8)], FrameError, "no pixels"),
        (["frame.jpg"], FrameError, "str"),
        ([(1.0, flat(0.1)), (0.5, flat(0.1))], DataError, "do not go back"),
        ([(float("nan"), flat(0.1))], DataError, "nan"),
    ],
)
def test_what_is_no_frame_is_refused(frames: list, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        list(array_shots(frames))


def test_a_video_goes_on_at_a_frame(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mp4", [flat(0.5, 48, 64)] * 50, rate=25)
    with VideoShots(path, "film.mp4", rate_hz=5.0) as shots:
        whole = [shot.time_s for shot in shots]
        assert shots.problems == ()
    assert whole == pytest.approx([place / 5 for place in range(10)])
    with VideoShots(path, "film.mp4", rate_hz=5.0, place=Place(whole[4], 20, 0.0)) as shots:
        rest = [(shot.time_s, shot.frame) for shot in shots]
    assert [time for time, _ in rest] == whole[4:]
    assert [frame for _, frame in rest] == [20, 25, 30, 35, 40, 45]


def test_a_video_that_breaks_off_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = write(tmp_path / "film.avi", [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(60)], codec="mpeg4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with VideoShots(path, "film.avi", stride=1) as shots:
        assert list(shots)
        assert shots.problems


def test_a_camera_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError, match="camera 97"):
        next(camera_shots(97))


def score(video: str, frame: int | None, time_s: float | None = None) -> FrameScore:
    return FrameScore(f"{video}/{frame}.png", video, frame, 0.5, "flip", time_s=time_s)


def test_scores_without_times_get_those_of_their_frame_numbers() -> None:
    rows = [score("a", 7), score("a", 10), score("b", 3, 9.5), score("c", 100)]
    assert [row.time_s for row in frame_times(rows, 10)] == pytest.approx([0.0, 0.3, 9.5, 0.0])


def test_a_score_with_neither_time_nor_number_is_refused() -> None:
    with pytest.raises(DataError, match=r"a/None\.png"):
        frame_times([score("a", None)])

"""Sequences of frames from files, arrays, videos and cameras: order, times, what cannot be read."""

from pathlib import Path

import numpy as np
import pytest

from flipdetect.errors import ConfigError, DataError, FrameError
from flipdetect.records import FrameScore
from flipdetect.sources.folder import find_files, find_inputs
from flipdetect.sources.naming import NamePattern
from flipdetect.sources.streams import (
    ArrayStream,
    CameraStream,
    FolderStream,
    VideoStream,
    folder_streams,
    frame_times,
    open_stream,
    video_streams,
)
from flipdetect.sources.video_decoder import VideoFrame
from tests.frame_sets import write_frame
from tests.inference.looking import flat
from tests.sources.films import write


def folder(root: Path, *names: str) -> Path:
    for name in names:
        write_frame(root / name, flat(0.5))
    return root


def streams(root: Path, fps: float = 10.0) -> dict[str, FolderStream]:
    return {stream.video: stream for stream in folder_streams(find_files(root).files, root, fps)}


def times(root: Path) -> dict[str, list[tuple[str, float]]]:
    return {
        video: [(frame.path, pytest.approx(frame.time_s)) for frame in stream]
        for video, stream in streams(root).items()
    }


def test_frame_numbers_are_times_from_the_first_frame_of_each_clip(tmp_path: Path) -> None:
    folder(tmp_path, "a/0001_000000010.png", "a/0001_000000012.png", "a/0001_000000020.png", "a/0002_000000005.png")
    found = times(tmp_path)
    assert found["a/0001"] == [
        ("a/0001_000000010.png", 0.0),
        ("a/0001_000000012.png", 0.2),
        ("a/0001_000000020.png", 1.0),
    ]
    assert found["a/0002"] == [("a/0002_000000005.png", 0.0)]


def test_numbers_of_a_clock_are_counted(tmp_path: Path) -> None:
    """Situation F2: nanoseconds are not frames, or a second of film would last for years."""
    folder(tmp_path, *(f"cam/x_{10**18 + 33_000_000 * n}.png" for n in (2, 0, 1)))
    (found,) = times(tmp_path).values()
    assert [second for _, second in found] == [0.0, 0.1, 0.2]
    assert [path for path, _ in found] == sorted(path for path, _ in found)


def test_frames_without_numbers_are_counted(tmp_path: Path) -> None:
    folder(tmp_path, "x/one.png", "x/three.png", "x/two.png")
    assert times(tmp_path) == {"x": [("x/one.png", 0.0), ("x/three.png", 0.1), ("x/two.png", 0.2)]}


def test_files_are_read_in_order_and_a_torn_one_has_its_reason(tmp_path: Path) -> None:
    names = [f"0001_{number:09d}.png" for number in range(1, 30)]
    folder(tmp_path, *names)
    (tmp_path / names[7]).write_bytes(b"torn")
    (stream,) = streams(tmp_path).values()
    assert stream.expected_frames == 29
    next(iter(stream))  # reading may stop early
    shots = list(stream)
    assert [shot.path for shot in shots] == names
    assert [shot.path for shot in shots if shot.image is None] == [names[7]]
    assert names[7] in shots[7].error
    assert shots[6].image is not None
    assert shots[6].image.shape == (64, 36, 3)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_an_impossible_rate_is_refused(fps: float) -> None:
    with pytest.raises(ConfigError, match="fps"):
        folder_streams([], Path(), fps)
    with pytest.raises(ConfigError, match="fps"):
        ArrayStream([flat(0.1)], fps)


def test_arrays_have_the_times_of_their_rate_or_their_own() -> None:
    frame = flat(0.2)
    assert [shot.time_s for shot in ArrayStream([frame] * 3, 10)] == pytest.approx([0, 0.1, 0.2])
    assert [shot.time_s for shot in ArrayStream([(0.5, frame), (0.9, frame)])] == [0.5, 0.9]
    assert [shot.time_s for shot in ArrayStream([VideoFrame(1.5, 3, frame)])] == [1.5]


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
        list(ArrayStream(frames))


def test_a_video_is_read_at_a_rate_or_by_a_stride_and_frames_are_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mp4", [flat(place / 50, 480, 270) for place in range(50)], rate=25)
    stream = VideoStream(path, rate_hz=2.5, refine=2, every_frame=True)
    found = list(stream)
    assert (stream.video, stream.decoding, stream.expected_frames, stream.problems) == ("film", "every frame", 50, ())
    assert [frame.time_s for frame in found] == pytest.approx([place / 5 for place in range(10)])
    assert [frame.fine for frame in found] == [False, True] * 5
    assert [frame.frame for frame in VideoStream(path, stride=20)] == [0, 20, 40]
    (image,) = stream.fetch([found[4].time_s])
    assert image.shape == (480, 270, 3)
    assert float(image[:, :, 0].mean()) == pytest.approx(255 * 20 / 50, abs=4)
    assert next(stream.fetch([0.4], (48, 27))).shape == (48, 27, 3)
    assert len(list(stream.resample(5.0, (48, 27)))) == 10


@pytest.mark.parametrize(("rate", "coarse"), [(10, 10), (15, 8), (30, 10)])
def test_a_video_of_few_frames_a_second_is_scored_at_the_asked_rate_all_the_same(
    tmp_path: Path, rate: int, coarse: int
) -> None:
    path = write(tmp_path / "film.mp4", [flat(place / 60, 480, 270) for place in range(2 * rate)], rate=rate)
    found = list(VideoStream(path, every_frame=True))
    assert len(found) == 2 * rate
    assert sum(not frame.fine for frame in found) in (2 * coarse, 2 * coarse - 1)


def test_a_part_of_a_film_has_the_times_and_numbers_of_the_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mp4", [flat(place / 50, 48, 28) for place in range(50)], rate=25)
    stream = VideoStream(path, rate_hz=5, refine=1, every_frame=True, start_s=0.5, end_s=1.2)
    assert [(frame.frame, frame.time_s) for frame in stream] == [
        (place, pytest.approx(place / 25)) for place in (13, 18, 23, 28)
    ]
    assert (stream.expected_frames, stream.duration_s, stream.problems) == (30, pytest.approx(2.0), ())
    assert [time for time, _ in stream.resample(2.5, (48, 28))] == pytest.approx([0.52, 0.92])
    for number in range(10):
        write_frame(tmp_path / f"0001_{number:09d}.png", flat(0.1))
    frames = open_stream(tmp_path, fps=10, start_s=0.2, end_s=0.5)
    assert ([frame.frame for frame in frames], frames.duration_s) == ([2, 3, 4, 5], 1.0)
    arrays = open_stream([flat(0.1)] * 10, fps=10, start_s=0.2, end_s=0.5)
    assert [frame.frame for frame in arrays] == [2, 3, 4, 5]


@pytest.mark.parametrize(("stamps", "length"), [(None, 2.0), ([*range(0, 1960, 40), 5000], 5.04)])
def test_the_length_is_that_of_the_film(tmp_path: Path, stamps: list[int] | None, length: float) -> None:
    path = write(tmp_path / "film.mp4", [flat(0.1)] * 50, rate=25, stamps=stamps)
    stream = VideoStream(path, rate_hz=1)
    assert stream.duration_s == pytest.approx(length, abs=0.05)
    list(stream)
    assert stream.duration_s == pytest.approx(length, abs=0.05)
    assert VideoStream(tmp_path / "none.mp4").duration_s is None


def test_frames_of_one_film_may_lie_in_several_folders_with_gaps(tmp_path: Path) -> None:
    for label, number in (("flip", 4), ("notflip", 2), ("flip", 40), ("notflip", 41)):
        write_frame(tmp_path / label / f"0001_{number:09d}.png", flat(0.1))
    files = find_files(tmp_path).files
    one = NamePattern(one_film=True)
    (stream,) = folder_streams(files, tmp_path, 10, one)
    assert [(frame.frame, frame.time_s) for frame in stream] == [(2, 0.0), (4, 0.2), (40, 3.8), (41, 3.9)]
    write_frame(tmp_path / "flip" / "0002_000000002.png", flat(0.1))
    (stream,) = folder_streams(find_files(tmp_path).files, tmp_path, 10, one)
    assert [Path(frame.path).name[3:] for frame in stream] == [
        "1_000000002.png", "1_000000004.png", "1_000000040.png", "1_000000041.png", "2_000000002.png"
    ]  # fmt: skip
    assert len(folder_streams(files, tmp_path, 10)) == 2


@pytest.mark.parametrize(
    "wrong",
    [{"rate_hz": 0}, {"rate_hz": float("nan")}, {"refine": 0}, {"stride": 0}, {"start_s": -1}, {"end_s": 0}],
)
def test_impossible_rates_and_strides_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match="must be"):
        VideoStream(Path("film.mp4"), **wrong)


def test_frames_of_a_folder_are_read_again_by_their_times(tmp_path: Path) -> None:
    for number in (1, 2, 5):
        write_frame(tmp_path / f"0001_{number:09d}.png", flat(number / 10))
    (stream,) = streams(tmp_path).values()
    images = list(stream.fetch([0.1, 0.4]))
    assert [float(image[:, :, 0].mean()) for image in images] == pytest.approx([51, 128], abs=1)
    with pytest.raises(FrameError, match=r"no frame at 0\.200 s"):
        next(stream.fetch([0.2]))
    (tmp_path / "0001_000000002.png").write_bytes(b"torn")
    assert [time for time, _ in stream.resample(10, (16, 9))] == pytest.approx([0.0, 0.4])


def test_arrays_cannot_be_read_a_second_time() -> None:
    stream = open_stream([flat(0.1)])
    assert not stream.can_reread
    with pytest.raises(FrameError, match="a second time"):
        stream.fetch([0.0])


def test_a_video_that_breaks_off_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = write(tmp_path / "film.avi", [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(60)], codec="mpeg4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    stream = VideoStream(path, stride=1)
    assert list(stream)
    assert stream.problems


def test_a_camera_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError, match="camera 97"):
        next(iter(CameraStream(97)))


def score(video: str, frame: int | None, time_s: float | None = None) -> FrameScore:
    return FrameScore(f"{video}/{frame}.png", video, frame, 0.5, "flip", time_s=time_s)


def test_scores_without_times_get_those_of_their_frame_numbers() -> None:
    rows = [score("a", 7), score("a", 10), score("b", 3, 9.5), score("c", 100)]
    assert [row.time_s for row in frame_times(rows, 10)] == pytest.approx([0.0, 0.3, 9.5, 0.0])


def test_a_score_with_neither_time_nor_number_is_refused() -> None:
    with pytest.raises(DataError, match=r"a/None\.png"):
        frame_times([score("a", None)])


def test_inputs_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "frames", "b/2.png", "b/10.png", "a.png")
    for name in ("films/a.mp4", "films/b.mov", "films/notes.txt", "odd.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "frames" / "gone.png").symlink_to("nowhere.png")
    found = find_inputs(["films"])
    assert ([path.name for path in found.videos], found.frames) == (["a.mp4", "b.mov"], [])
    found = find_inputs(["frames"])
    assert [path.name for path in found.frames] == ["a.png", "2.png", "10.png", "gone.png"]
    assert found.root == Path("frames")
    assert [problem.path.name for problem in found.problems] == ["gone.png"]
    found = find_inputs(["films/*", "odd.bin", "frames/a.png", "frames"])
    assert [path.name for path in found.videos] == ["a.mp4", "b.mov", "odd.bin"]
    assert len(found.frames) == 4
    assert found.root == Path()


def test_videos_of_one_name_go_by_their_paths() -> None:
    names = [stream.video for stream in video_streams([Path("a/x.mp4"), Path("b/x.mp4"), Path("b/y.mp4")])]
    assert names == ["a/x.mp4", "b/x.mp4", "y"]

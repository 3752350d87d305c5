"""The programs that the benchmark compares run, and report a time."""

from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import REPOSITORY
from tests.frame_sets import page_frame, write_frame
from tests.scripts.loading import load_script
from tests.sources.films import write


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return load_script("benchmark_workers")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    for number in range(16):
        name = "flip" if number % 2 else "notflip"
        write_frame(folder / name / f"{number:04d}_1.jpg", page_frame(bool(number % 2), number, 96))
    return folder


@pytest.mark.parametrize("work", ["predict", "limit", "plain_predict"])
def test_each_way_to_score_a_folder_reports_its_time(benchmark: ModuleType, frames: Path, work: str) -> None:
    assert benchmark.WORKERS[work](str(frames), "tiny_cnn")["ms"] > 0


def test_latency_is_that_of_a_model_file(benchmark: ModuleType, frames: Path) -> None:
    path = REPOSITORY / "flipdetect" / "weights" / "tiny_cnn.onnx"
    found = benchmark.WORKERS["latency"](str(frames), str(path), calls=3)
    assert 0 < found["p50"] <= found["p99"]


def test_the_plain_program_trains(benchmark: ModuleType, frames: Path) -> None:
    found = benchmark.WORKERS["plain_train"](str(frames), "tiny_cnn", batch=4, epochs=1, workers=0)
    assert 0 <= found["f1"] <= 1


def test_the_programs_for_films_take_a_film(benchmark: ModuleType, tmp_path: Path) -> None:
    film = write(tmp_path / "film.mp4", [page_frame(False, number, 96) for number in range(50)], rate=25)
    benchmark.WORKERS["repeat"](str(film), str(tmp_path / "long.mp4"), minutes=0.1)
    assert benchmark.WORKERS["seconds_of"](str(tmp_path / "long.mp4"))["seconds"] == pytest.approx(6.0, abs=0.1)
    assert benchmark.WORKERS["decode"](str(tmp_path / "long.mp4"))["seconds"] > 0
    found = benchmark.WORKERS["pages"](str(film))
    assert found["seconds"] > 0
    assert found["memory_mb"] > 50


def test_the_plain_program_fine_tunes_on_the_split_that_flipdetect_uses(benchmark: ModuleType, frames: Path) -> None:
    rows = [
        f"{path.relative_to(frames).as_posix()},{'val' if n % 4 > 1 else 'train'}"
        for n, path in enumerate(sorted(frames.glob("*/*.jpg")))
    ]
    (frames / "splits.csv").write_text("path,split\n" + "\n".join(rows) + "\n")
    options = {"batch": 4, "epochs": 1, "workers": 0, "size": (65, 65)}
    found = benchmark.WORKERS["plain_train"](str(frames), benchmark.PRETRAINED, **options)
    assert 0 <= found["f1"] <= 1

"""`flipdetect batch`: the same rows as `flipdetect predict`, whatever happens to its processes."""

import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from flipdetect.apps.batch import RUN_FILE, PartScorer
from flipdetect.apps.batch_parts import Part, plan
from flipdetect.cli.main import main
from flipdetect.errors import DataError
from flipdetect.inference.load import load_model
from flipdetect.outputs.predictions import COLUMNS, read_predictions
from flipdetect.records import FrameScore
from flipdetect.zoo import find_model
from tests.frame_sets import page_frame, write_frame
from tests.inference.looking import RATE, film
from tests.sources.films import write

FRAMES = 160
ATTEMPTS = 5


@pytest.fixture(autouse=True)
def small_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra [batch]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("flipdetect.apps.batch_parts.PART_FRAMES", 20)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames in two folders, one of them unreadable, a film, and one that is none."""
    folder = tmp_path_factory.mktemp("inputs")
    write_frame(folder / "0000_000000000.png", page_frame(True, 1, 64))
    for number in range(FRAMES):
        frame = page_frame(number % 3 == 0, number % 7, 64)
        write_frame(folder / f"book {number % 2}" / f"{number // 10:04d}_{number:09d}.jpg", frame)
    (folder / "book 1" / "0099_000000001.jpg").write_bytes(b"no picture")
    write(folder / "book.mp4", film((1, 2), rest_s=0.5), rate=RATE)
    (folder / "none.mp4").write_bytes(b"no film")
    return folder


@pytest.fixture(scope="module")
def wanted(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> list[FrameScore]:
    table = tmp_path_factory.mktemp("wanted") / "predictions.csv"
    assert main(["predict", str(inputs), "--model", "tiny_cnn", "--output", str(table)]) == 1  # of none.mp4
    return read_predictions(table)


def rows_of(folder: Path) -> list[FrameScore]:
    return [row for part in sorted(folder.glob("part-*.csv")) for row in read_predictions(part)]


def scorer(output: object, suffix: str) -> PartScorer:
    path = find_model("tiny_cnn")
    return PartScorer(path, load_model("tiny_cnn", threads=1).threshold, "cpu", 1, str(output), suffix)


def score(parts: list[Part], made: PartScorer) -> list[str]:
    return [problem for part in parts if (problem := made(vars(part))["problem"])]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for the processes in /proc")
def test_a_killed_process_costs_nothing_and_a_run_goes_on(
    inputs: Path, wanted: list[FrameScore], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="needs the extra [batch]")
    killed: list[int] = []
    command = ["batch", str(inputs), "--model", "tiny_cnn", "--output", "scores", "--format", "csv"]
    for _ in range(ATTEMPTS):
        shutil.rmtree("scores", ignore_errors=True)
        over = threading.Event()
        killer = threading.Thread(target=kill_a_worker, args=(tmp_path / "scores", killed, over))
        killer.start()
        assert main([*command, "--workers", "2"]) == 1  # of none.mp4
        over.set()
        killer.join()
        assert rows_of(tmp_path / "scores") == wanted
        assert "none.mp4" in capfd.readouterr().err
        if killed:
            break
    assert killed

    parts = sorted((tmp_path / "scores").glob("part-*.csv"))
    parts[3].unlink()
    Path(f"{parts[3]}.part").write_text("cut off")
    before = {part: part.stat().st_mtime_ns for part in parts if part.exists()}
    assert main([*command, "--workers", "1"]) == 1
    assert rows_of(tmp_path / "scores") == wanted
    assert {part: part.stat().st_mtime_ns for part in before} == before
    assert not list((tmp_path / "scores").glob("*.part"))

    assert main([*command, "--threshold", "0.3"]) == 1
    assert "different --threshold" in capfd.readouterr().err


def kill_a_worker(output: Path, killed: list[int], over: threading.Event) -> None:
    """Kill one of the processes, once a part is done; they may be faster."""
    while not over.wait(0.01):
        if not any(output.glob("part-*.csv")):
            continue
        for process in Path("/proc").iterdir():
            try:
                if (process / "cmdline").read_bytes().startswith(b"ray::MapWorker") and is_ours(process.name):
                    killed.append(int(process.name))
                    os.kill(killed[0], signal.SIGKILL)
                    return
            except OSError:  # it has ended, or is no process
                continue


def is_ours(pid: str) -> bool:
    while pid not in ("0", "1", str(os.getpid())):
        pid = (Path("/proc") / pid / "stat").read_text().rpartition(")")[2].split()[1]
    return pid == str(os.getpid())


def test_urls_and_parquet_give_the_same_rows(inputs: Path, wanted: list[FrameScore], tmp_path: Path) -> None:
    from pyarrow import dataset

    parts = plan([f"file://{inputs}"])
    (tmp_path / "far").mkdir()
    assert len(score(parts, scorer(f"file://{tmp_path}/far", ".csv"))) == 1  # none.mp4
    frames = [row for row in wanted if row.time_s is None]
    found = rows_of(tmp_path / "far")
    assert [row.probability for row in found] == [row.probability for row in wanted]
    assert [row.path for row in found if row.time_s is None] == [row.path for row in frames]

    score(plan([str(inputs)]), scorer(tmp_path / "near", ".parquet"))
    (tmp_path / "near" / RUN_FILE).write_text("{}")
    table = dataset.dataset(tmp_path / "near", format="parquet").to_table()
    assert table.column_names == list(COLUMNS)
    near = table.to_pylist()
    for name in ("path", "video", "frame", "time_s", "probability", "label"):
        assert [row[name] or None for row in near] == [getattr(row, name) or None for row in wanted], name
    assert [row["error"] for row in near] == [row.error for row in wanted]


def test_a_table_names_frames_below_it_or_below_one_url(inputs: Path, tmp_path: Path) -> None:
    names = ["book 0/0000_000000000.jpg", "book.mp4", "absent.jpg"]
    (inputs / "list.csv").write_text("label,path\n" + "".join(f"x,{name}\n" for name in names))
    parts = plan([str(inputs / "list.csv")])
    assert [part.names for part in parts] == [b"book.mp4", b"book 0/0000_000000000.jpg\0absent.jpg"]
    assert score(parts, scorer(tmp_path, ".csv")) == []
    assert "no such file" in rows_of(tmp_path)[-1].error

    urls = Path("urls.csv")
    urls.write_text("path\n" + "".join(f"file://{inputs}/{name}\n" for name in names))
    assert [part.names for part in plan(["urls.csv"])] == [part.names for part in parts]
    assert plan(["urls.csv"])[0].base == f"file://{inputs}"

    for text in (
        "path\ns3://a/1.jpg\ngs://b/1.jpg\n",
        "path\nfile:///a/1.jpg\nfile:///a/../../etc/2.jpg\n",
        "name\n1.jpg\n",
        "path\n",
    ):
        urls.write_text(text)
        with pytest.raises(DataError, match=r"urls\.csv"):
            plan(["urls.csv"])
    with pytest.raises(DataError, match="nowhere"):
        plan(["nowhere://frames/"])

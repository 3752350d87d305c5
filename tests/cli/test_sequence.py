"""`inference.py` on videos, ordered frames and saved scores: what is written, interruption, refusals."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from flipdetect.cli.inference import main
from flipdetect.errors import FrameError
from flipdetect.inference.settings import EventSettings
from flipdetect.inference.video import Scanner
from flipdetect.outputs.predictions import read_predictions
from flipdetect.pipeline.clips import FolderClip
from tests.frame_sets import write_frame
from tests.inference.looking import RATE, RednessModel, film, flat
from tests.sources.films import write

PAGES = (1, 2, 3, 4)


@pytest.fixture(autouse=True)
def red(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A model that takes red frames for flips and sees no hands, with event settings of its own."""
    monkeypatch.setattr("flipdetect.inference.settings.settings_of", lambda path: EventSettings())
    monkeypatch.setattr("flipdetect.inference.load.load_model", lambda *_, **__: RednessModel(hands=0.0))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four spreads and three turns."""
    return write(tmp_path_factory.mktemp("films") / "book.mp4", film(PAGES), rate=RATE)


@pytest.fixture(scope="module")
def back(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page that is turned, turned back, and turned again."""
    return write(tmp_path_factory.mktemp("films") / "back.mp4", film((5, 6, 5, 6, 7)), rate=RATE)


def run(*args: object) -> int:
    return main([str(arg) for arg in args])


def rows(path: str = "flips.csv") -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text("utf-8").splitlines()))


def test_a_video_gives_tables_and_a_timeline(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--video", book) == 0
    turns = rows()
    assert [row["event"] for row in turns] == ["1", "2", "3"]
    for number, row in enumerate(turns):
        begins = 2.0 + number * 2.8
        assert float(row["start_s"]) == pytest.approx(begins, abs=0.2)
        assert float(row["end_s"]) == pytest.approx(begins + 0.75, abs=0.2)
        assert int(row["start_frame"]) == round(float(row["start_s"]) * RATE)
    (video,) = json.loads(Path("flips.json").read_text())["videos"]
    assert (video["video"], video["complete"], len(video["spreads"])) == ("book", True, 4)
    assert Image.open("timeline.png").width > 400
    assert all(score.time_s is not None for score in read_predictions(Path("predictions.csv")))
    assert "book" in capsys.readouterr().out


def test_stills_pdf_report_and_preview(book: Path, tmp_path: Path) -> None:
    wanted = ("--save-stills", "pages", "--pdf", "book.pdf", "--report", "book.html", "--preview", "book.gif")
    assert run("--video", book, *wanted) == 0
    names = sorted(path.name for path in (tmp_path / "pages").iterdir())
    assert [name[:3] for name in names] == ["001", "002", "003", "004"]
    assert all(Image.open(tmp_path / "pages" / name).size == (216, 384) for name in names)
    assert Path("book.pdf").read_bytes().startswith(b"%PDF")
    assert Path("book.html").read_text("utf-8").count("data:image/jpeg") >= 4
    assert getattr(Image.open("book.gif"), "n_frames", 1) > 20
    assert [row["still"] for row in rows()] == [f"pages/{name}" for name in names[1:]]


def test_a_page_seen_twice_is_kept_once(back: Path, tmp_path: Path) -> None:
    assert run("--video", back, "--save-stills", "pages") == 0
    (video,) = json.loads(Path("flips.json").read_text())["videos"]
    assert [spread["same_as"] for spread in video["spreads"]] == [None, None, 1, 2, None]
    assert len(list((tmp_path / "pages").iterdir())) == 3


def test_ordered_frames_give_the_same(tmp_path: Path) -> None:
    for number, frame in enumerate(film(PAGES)):
        write_frame(tmp_path / "frames" / f"book_{number:06d}.jpg", frame)
    assert run("--folder-path", "frames", "--events", "--fps", RATE, "--save-stills", "pages") == 0
    assert len(rows()) == 3
    assert len(list((tmp_path / "pages").iterdir())) == 4


def test_scores_give_turns_again_without_a_model(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("--video", book) == 0
    before = rows()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is to be loaded")

    monkeypatch.setattr("flipdetect.inference.load.load_model", refuse)
    assert run("--scores", "predictions.csv", "--output", "again/predictions.csv") == 0
    assert rows("again/flips.csv") == before
    assert run("--scores", "predictions.csv", "--threshold", "0.9999", "--output", "none/predictions.csv") == 0
    assert rows("none/flips.csv") == []
    assert run("--scores", "predictions.csv", "--save-stills", "pages") == 0
    assert len(list(Path("pages").iterdir())) == 4


def test_several_videos_each_have_their_turns(book: Path, back: Path, tmp_path: Path) -> None:
    assert run("--video", book.parent, back, "--save-stills", "pages") == 0
    assert [row["video"] for row in rows()] == ["book"] * 3 + ["back"] * 4
    assert (tmp_path / "timeline_book.png").is_file()
    assert (tmp_path / "timeline_back.png").is_file()
    assert sum(path.name.startswith("book_") for path in (tmp_path / "pages").iterdir()) == 4


def test_a_film_that_cannot_be_read_does_not_stop_the_others(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.mp4").write_bytes(b"no film")
    (tmp_path / "films" / "b.mp4").write_bytes(book.read_bytes())
    assert run("--video", "films") == 1
    assert len(rows()) == 3
    assert "a.mp4" in capsys.readouterr().err


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a command that is interrupted after some batches."""
    scan = Scanner.scan

    def run_in_part(*args: object, batches: int = 3) -> None:
        def interrupted(self: Scanner, shots: object) -> object:
            for count, scores in enumerate(scan(self, shots)):  # type: ignore[arg-type]
                if count == batches:
                    raise KeyboardInterrupt
                yield scores

        with monkeypatch.context() as patch:
            patch.setattr(Scanner, "scan", interrupted)
            assert run(*args) == 130

    return run_in_part


def test_an_interrupted_run_writes_what_it_found_and_goes_on(
    book: Path, tmp_path: Path, interrupt: Callable[..., None]
) -> None:
    interrupt("--video", book)
    part = rows()
    assert 0 < len(part) < 3
    assert json.loads(Path("flips.json").read_text())["videos"][0]["complete"] is False
    assert not (tmp_path / "predictions.csv").exists()
    done = len(read_predictions(tmp_path / "predictions.csv.part"))
    assert run("--video", book, "--resume") == 0
    assert [row["start_s"][:3] for row in rows()] == ["2.0", "4.8", "7.6"]
    assert len(read_predictions(tmp_path / "predictions.csv")) > done
    assert not list(tmp_path.glob("*.part*"))


@pytest.mark.parametrize(
    ("batches", "pace"), [(1, ()), (4, ()), (2, ("--rate", 7)), (3, ("--stride", 3))], ids=str
)  # fmt: skip
def test_a_run_that_went_on_scores_what_a_whole_one_does(
    book: Path, interrupt: Callable[..., None], batches: int, pace: tuple[object, ...]
) -> None:
    command = ("--video", book, "--batch-size", 5, *pace)
    assert run(*command, "--output", "whole.csv") == 0
    interrupt(*command, batches=batches)
    assert run(*command, "--resume") == 0
    whole, parts = (
        [(score.frame, score.time_s, score.probability, score.quality is not None) for score in read_predictions(path)]
        for path in (Path("whole.csv"), Path("predictions.csv"))
    )
    assert parts == whole


def test_a_run_goes_on_only_with_what_it_was_begun_with(
    book: Path, back: Path, interrupt: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    film = shutil.copy(book, "book.mp4")
    interrupt("--video", film)
    before = Path("predictions.csv.part").read_bytes()
    for more, said in (
        (("--threshold", 0.7), "with --threshold 0.5, now it is 0.7"),
        (("--rate", 5), "with --rate 10.0, now it is 5.0"),
        (("--stride", 2), "with --rate 10.0, now it is none"),
    ):
        assert run("--video", film, "--resume", *more) == 1
        message = capfd.readouterr().err
        assert said in message
        assert "leave out --resume" in message
    assert run("--video", back, "--resume") == 1
    assert "with book, which is not among the films now" in capfd.readouterr().err
    os.utime(film, (1, 1))
    assert run("--video", film, "--resume") == 1
    assert "another book: it was changed since" in capfd.readouterr().err
    assert Path("predictions.csv.part").read_bytes() == before
    assert run("--video", film) == 0


def test_a_run_does_not_go_on_with_another_model(
    book: Path, interrupt: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("red.onnx").write_text("one")
    interrupt("--video", book)
    Path("red.onnx").write_text("two")
    assert run("--video", book, "--resume") == 1
    assert "begun with another model" in capfd.readouterr().err
    Path("predictions.csv.part.run.json").write_text("{}")
    assert run("--video", book, "--resume") == 1
    assert "cannot be understood" in capfd.readouterr().err
    Path("predictions.csv.part.run.json").unlink()
    assert run("--video", book, "--resume") == 1
    assert "is missing" in capfd.readouterr().err
    assert run("--video", book) == 0


def test_frames_that_changed_are_noticed_too(interrupt: Callable[..., None], capfd: pytest.CaptureFixture[str]) -> None:
    for number in range(60):
        write_frame(Path("frames") / f"book_{number:06d}.png", flat(0.02))
    command = ("--folder-path", "frames", "--events", "--fps", 10, "--batch-size", 8)
    interrupt(*command)
    done = len(read_predictions(Path("predictions.csv.part")))
    assert run(*command, "--fps", 5, "--resume") == 1
    assert "with --fps 10.0, now it is 5.0" in capfd.readouterr().err
    assert run(*command, "--resume") == 0
    assert 0 < done < 60
    assert [score.frame for score in read_predictions(Path("predictions.csv"))] == list(range(60))
    interrupt(*command)
    write_frame(Path("frames") / "book_000050.png", flat(0.7))
    assert run(*command, "--resume") == 1
    assert "it was changed since (60 files" in capfd.readouterr().err


def test_to_resume_without_an_earlier_run_is_to_begin(book: Path) -> None:
    assert run("--video", book, "--resume") == 0
    assert len(rows()) == 3


def test_an_unreadable_frame_has_a_row_and_strict_fails(tmp_path: Path) -> None:
    for number in range(40):
        write_frame(tmp_path / "frames" / f"book_{number:06d}.png", flat(0.02))
    (tmp_path / "frames" / "book_000007.png").write_bytes(b"torn")
    command = ("--folder-path", "frames", "--events", "--fps", 10)
    assert run(*command) == 0
    assert [score.frame for score in read_predictions(Path("predictions.csv")) if score.error] == [7]
    assert run(*command, "--strict") == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--folder-path", "frames", "--save-stills", "pages"),
        ("--folder-path", "frames", "--resume"),
        ("--scores", "predictions.csv", "--resume"),
        ("--video", "book.mp4", "--resume", "--output", "-"),
        ("--folder-path", "frames", "--events", "--stride", "3"),
        ("--video", "nothing.mp4"),
        ("--video", "book.mp4", "--preview", "book.avi"),
        ("--scores", "nothing.csv"),
        ("--video", "book.mp4", "--event-settings", "nothing.yaml"),
    ],
)
def test_what_cannot_work_is_refused_in_words(options: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*options) == 1
    error = capsys.readouterr().err
    assert "error" in error
    assert "Traceback" not in error


def test_a_picture_that_has_gone_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, frame in enumerate(film(PAGES)):
        write_frame(tmp_path / "frames" / f"book_{number:06d}.jpg", frame)
    fetch = FolderClip.pictures
    gone: list[int] = []

    def pictures(self: FolderClip, stills: list, min_size: object = None) -> object:
        for still, picture in fetch(self, stills, min_size):  # type: ignore[arg-type]
            if still.spread == 2 and min_size is None:
                gone.append(2)
                raise FrameError("it was taken away")
            yield still, picture

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderClip, "pictures", pictures)
        run("--folder-path", "frames", "--events", "--fps", RATE, "--save-stills", "pages")
    assert gone == [2]
    assert [path.name[:3] for path in sorted((tmp_path / "pages").iterdir())] == ["001", "003", "004"]
    assert "it was taken away" in capsys.readouterr().err

"""`flipdetect predict` on videos, ordered frames and saved scores: what is written, interruption, refusals."""

import csv
import io
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pikepdf
import pytest
from PIL import Image

from flipdetect.atomic import alone
from flipdetect.cli.main import main
from flipdetect.cli.predict import inference
from flipdetect.errors import FrameError, ModelError
from flipdetect.inference.settings import EventSettings
from flipdetect.outputs.predictions import read_predictions
from flipdetect.pipeline import extract_pages
from flipdetect.sources.streams import FolderStream, VideoStream
from tests.frame_sets import write_frame
from tests.inference.looking import RATE, DrawnPages, RednessModel, film, flat
from tests.pages.made_up import KnownMaps, surface
from tests.sources.films import write

PAGES = (1, 2, 3, 4)


@pytest.fixture(autouse=True)
def red(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A model that takes red frames for flips and sees no hands, with event settings of its own."""
    monkeypatch.setattr("flipdetect.inference.settings.settings_of", lambda path: EventSettings())
    monkeypatch.setattr("flipdetect.pipeline.predict_job.load_model", lambda *_, **__: RednessModel(hands=0.0))
    monkeypatch.setattr("flipdetect.stills.page_finder.page_network", DrawnPages)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four spreads and three turns."""
    return write(tmp_path_factory.mktemp("films") / "book.mp4", film(PAGES), rate=RATE)


@pytest.fixture(scope="module")
def back(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page that is turned, turned back, and turned again."""
    return write(tmp_path_factory.mktemp("films") / "back.mp4", film((5, 6, 5, 6, 7)), rate=RATE)


@pytest.fixture(scope="module")
def scored(book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of a run on the book."""
    folder = tmp_path_factory.mktemp("scored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flipdetect.inference.settings.settings_of", lambda path: EventSettings())
        patch.setattr("flipdetect.pipeline.predict_job.load_model", lambda *_, **__: RednessModel(hands=0.0))
        assert run(book, "-o", folder / "predictions.csv") == 0
    return folder


def run(*args: object) -> int:
    return main(["predict", *map(str, args)])


def rows(path: str = "flips.csv") -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text("utf-8").splitlines()))


def test_a_video_gives_tables_and_a_timeline(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(book, "--timeline") == 0
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
    wanted = ("--stills", "pages", "--pdf", "book.pdf", "--report", "book.html", "--preview", "book.gif")
    assert run(book, *wanted) == 0
    names = sorted(path.name for path in (tmp_path / "pages").iterdir())
    assert [name[:3] for name in names] == ["001", "002", "003", "004"]
    assert all(Image.open(tmp_path / "pages" / name).size == (216, 384) for name in names)
    assert Path("book.pdf").read_bytes().startswith(b"%PDF")
    assert Path("book.html").read_text("utf-8").count("data:image/jpeg") >= 4
    assert getattr(Image.open("book.gif"), "n_frames", 1) > 20
    assert [row["still"] for row in rows()] == [f"pages/{name}" for name in names[1:]]


def test_pages_are_cut_out_and_become_the_pdf(book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = surface((216, 384), depth=1.6)
    monkeypatch.setattr("flipdetect.pipeline.write_outputs.page_network", lambda: KnownMaps(known))
    assert run(book, "--pages", "pages", "--page-mode", "grey", "--pdf", "book.pdf", "--still-name", "p{number}") == 0
    names = sorted(path.name for path in (tmp_path / "pages").iterdir())
    assert names[:2] == ["p001_left.jpg", "p001_right.jpg"]
    assert len(names) == 8
    assert len({Image.open(tmp_path / "pages" / name).size for name in names}) == 1
    assert Image.open(tmp_path / "pages" / names[0]).mode == "L"
    with pikepdf.open("book.pdf") as document, document.open_outline() as outline:
        assert [page.label for page in document.pages][:3] == ["1 left", "1 right", "2 left"]
        assert len({item.title for item in outline.root}) == len(document.pages) == 8
        assert outline.root[1].title.startswith("spread 1 right at 0:0")
    (video,) = json.loads(Path("flips.json").read_text())["videos"]
    for spread in video["spreads"]:
        assert [page["side"] for page in spread["pages"]] == ["left", "right"]
        assert all((tmp_path / page["file"]).is_file() and page["confidence"] > 0.8 for page in spread["pages"])
        assert not any(page["flaw"] for page in spread["pages"])


def test_frames_without_a_book_are_kept_whole(book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = KnownMaps(None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flipdetect.pipeline.write_outputs.page_network", lambda: known)
        assert run(book, "--pages", "pages") == 0
    assert len(list((tmp_path / "pages").glob("*_whole.jpg"))) == 4
    assert "spread 1: no page was found: the whole frame is kept" in capsys.readouterr().err


def test_a_page_seen_twice_is_kept_once(back: Path, tmp_path: Path) -> None:
    assert run(back, "--stills", "pages") == 0
    (video,) = json.loads(Path("flips.json").read_text())["videos"]
    assert [spread["same_as"] for spread in video["spreads"]] == [None, None, 1, 2, None]
    assert len(list((tmp_path / "pages").iterdir())) == 3


def test_scores_of_another_film_are_refused(
    book: Path, scored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    longer = write(tmp_path / "longer.mp4", film((1, 2) * 5), rate=RATE)
    assert run(book, "--scores", scored / "predictions.csv", "--stills", "pages", "-o", "again/p.csv") == 0
    assert "another film" not in capsys.readouterr().err
    assert run(longer, "--scores", scored / "predictions.csv", "--stills", "pages", "-o", "again/p.csv") == 0
    assert "longer.mp4 ends at" in capsys.readouterr().err
    shorter = write(tmp_path / "shorter.mp4", film((1, 2)), rate=RATE)
    assert run(shorter, "--scores", scored / "predictions.csv", "--stills", "other", "-o", "other/p.csv") == 1
    assert "give the film that was scored" in capsys.readouterr().err
    assert not list((tmp_path / "other").glob("*"))


def test_ordered_frames_give_the_same(tmp_path: Path) -> None:
    for number, frame in enumerate(film(PAGES)):
        write_frame(tmp_path / "frames" / f"book_{number:06d}.jpg", frame)
    assert run("frames", "--events", "--fps", RATE, "--stills", "pages") == 0
    assert len(rows()) == 3
    assert len(list((tmp_path / "pages").iterdir())) == 4
    again = ("--scores", "predictions.csv", "--fps", RATE, "--stills", "again")
    assert run("frames", *again) == 0, "with scores, pictures are frames of films"
    assert len(list((tmp_path / "again").iterdir())) == 4


def test_scores_give_turns_again_without_a_model(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(book) == 0
    before = rows()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is to be loaded")

    monkeypatch.setattr("flipdetect.pipeline.predict_job.load_model", refuse)
    assert run("--scores", "predictions.csv", "--output", "again/predictions.csv") == 0
    assert rows("again/flips.csv") == before
    assert run("--scores", "predictions.csv", "--threshold", "0.9999", "--output", "none/predictions.csv") == 0
    found = rows("none/flips.csv")
    assert [row["kind"] for row in found] == ["content change"] * len(before), "the pages have changed all the same"
    assert [row["kind"] for row in before] == ["turn"] * len(before)
    assert run("--scores", "predictions.csv", "--stills", "pages") == 0
    assert len(list(Path("pages").iterdir())) == 4


def test_a_table_that_is_read_again_holds_what_was_measured(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or else ties and thresholds would decide otherwise, and other stills be chosen."""
    found = []
    find = extract_pages.find_pages
    monkeypatch.setattr(
        extract_pages, "find_pages", lambda scores, *a, **b: found.append(scores) or find(scores, *a, **b)
    )
    assert run(book) == 0
    assert read_predictions(Path("predictions.csv")) == found[0]


def edit(change: Callable[[list[dict[str, str]]], object], path: str = "flips.csv", **dialect: str) -> None:
    """Change flips.csv as a person does, and write it as some program does."""
    table = rows()
    change(table)
    names = list(rows()[0])
    lines = io.StringIO()
    writer = csv.DictWriter(lines, names, restval="", delimiter=dialect.get("delimiter", ","), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(table)
    Path(path).write_text(lines.getvalue(), dialect.get("encoding", "utf-8"), newline="")


def test_an_edited_table_makes_the_pages_again(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(book) == 0
    before = rows()
    monkeypatch.setattr("flipdetect.pipeline.predict_job.load_model", None)
    assert run(book, "--from", "flips.csv", "-o", "same") == 0
    assert rows("same/flips.csv") == before

    def change(table: list[dict[str, str]]) -> None:
        """In a spreadsheet program of a country with decimal commas."""
        del table[1]
        table.insert(0, {"start_s": "0:01"})
        for row in table:
            for name in ("start_s", "end_s", "still_time_s"):
                row[name] = row.get(name, "").replace(".", ",")
        table[1].update(still_time_s="3,33", rotate="180")
        table.append({"kind": "start", "still_time_s": "0:00.5", "rotate": "-90"})

    edit(change, "edited.csv", delimiter=";", encoding="utf-8-sig")
    wanted = ("--stills", "pages", "--pdf", "book.pdf", "--report", "book.html")
    assert run(book, "--from", "edited.csv", "-o", "out", *wanted) == 0
    (video,) = json.loads(Path("out/flips.json").read_text())["videos"]
    assert [event["start_s"] for event in video["events"]] == [1.0, *(float(before[n]["start_s"]) for n in (0, 2))]
    assert [spread["rotate"] for spread in video["spreads"]] == [270, 0, 180, 0]
    times = [spread["time_s"] for spread in video["spreads"]]
    assert (times[0], times[2]) == (0.5, 3.33)
    assert 1.0 < times[1] < 2.0
    pictures = [Image.open(path) for path in sorted(Path("pages").iterdir())]
    assert [picture.size for picture in pictures] == [(384, 216), (216, 384), (216, 384), (216, 384)]
    whole = np.asarray(next(VideoStream(book).fetch([3.33])))
    assert np.abs(np.asarray(pictures[2])[::-1, ::-1].astype(int) - whole).mean() < 3
    with pikepdf.open("book.pdf") as document:
        assert len(document.pages) == 4
    assert Path("book.html").read_text("utf-8").count("data:image/jpeg") >= 4
    shutil.copy(book, "renamed.mp4")
    assert run("renamed.mp4", "--from", "edited.csv", "-o", "renamed") == 0
    assert rows("renamed/flips.csv") == [{**row, "still": ""} for row in rows("out/flips.csv")]
    assert run("--from", "out/flips.csv", "--scores", "predictions.csv", "-o", "again") == 0
    assert rows("again/flips.csv") == [{**row, "still": ""} for row in rows("out/flips.csv")]
    assert run("--from", "out/flips.csv") == 2
    assert "predictions.csv of the same run" in capsys.readouterr().err
    edited = Path("flips.csv").read_bytes()
    assert run("--from", "flips.csv", "--stills", "pages") == 0
    assert Path("flips.csv").read_bytes() == edited, "a table that was edited is not written over"


def test_repeats_are_as_the_edited_table_says(back: Path) -> None:
    assert run(back) == 0

    def change(table: list[dict[str, str]]) -> None:
        table[3]["kind"] = "taken back"

    edit(change)
    assert run(back, "--from", "flips.csv", "-o", "out") == 0
    (video,) = json.loads(Path("out/flips.json").read_text())["videos"]
    assert [spread["same_as"] for spread in video["spreads"]] == [None, None, 1, 2, 2]


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("start_s", "soon", "row 3, column start_s: 'soon' is no time; give seconds (12.5) or minutes"),
        ("end_s", "12:00", "row 3, column end_s: 720 s is after the end of the film, 10.4 s; give seconds"),
        ("start_s", "2.1", "row 3, column start_s: the turn starts at 2.1 s, before that in row 2 has ended"),
        ("end_s", "1", "row 3, column end_s: the turn would end at 1 s, before it starts"),
        ("kind", "page", "row 3, column kind: 'page' is none of turn, content change"),
        ("rotate", "45", "row 3, column rotate: '45' is no quarter turn"),
        ("video", "other", "row 3, column video: 'other' is none of the films scored: book"),
    ],
)
def test_a_badly_edited_table_is_refused_with_row_and_column(
    book: Path, scored: Path, capsys: pytest.CaptureFixture[str], column: str, cell: str, said: str
) -> None:
    for path in scored.iterdir():
        shutil.copy(path, path.name)
    edit(lambda table: table[1].update({column: cell}))
    assert run(book, "--from", "flips.csv", "--stills", "pages", "-o", "out") == 1
    assert f"flips.csv, {said}" in capsys.readouterr().err
    assert not Path("pages").exists()


def test_several_videos_each_have_their_turns(book: Path, back: Path, tmp_path: Path) -> None:
    assert run(book.parent, back, "--stills", "pages", "--timeline") == 0
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
    assert run("films") == 1
    assert len(rows()) == 3
    assert "a.mp4" in capsys.readouterr().err


def test_what_is_no_film_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no film")
    assert run("a.mp4", "--stills", "pages", "--pdf", "out/book.pdf", "--report", "book.html") == 1
    assert "a.mp4: it cannot be opened as a video" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_part_of_a_film_in_another_format_with_names_of_ones_own(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ("--stills", "pages", "--still-format", "png", "--still-name", "{video} {number}", "--pdf", "book.pdf")
    assert run(book, "--start", "0:01", "--end", "7,4", *wanted) == 0
    assert sorted(path.name for path in Path("pages").iterdir()) == [f"book {n:03d}.png" for n in (1, 2, 3)]
    assert [float(row["start_s"]) for row in rows()] == pytest.approx([2.0, 4.8], abs=0.2)
    (video,) = json.loads(Path("flips.json").read_text())["videos"]
    assert video["duration_s"] == pytest.approx(10.4, abs=0.05), "that of the film"
    times = [score.time_s or 0 for score in read_predictions(Path("predictions.csv"))]
    assert (times[0], times[-1]) == (pytest.approx(1.0), pytest.approx(7.4, abs=0.6))
    said = capsys.readouterr().err.splitlines()
    written = said[said.index("Written:") + 1 :]
    assert {"predictions.csv", "pages", "book.pdf", "flips.csv", "flips.json"} == set(written)
    with pikepdf.open("book.pdf") as document, document.open_outline() as outline:
        assert [page.label for page in document.pages] == ["1", "2", "3"]
        assert [item.title.split(" at ")[0] for item in outline.root] == ["spread 1", "spread 2", "spread 3"]
    before = rows()
    assert run("--scores", "predictions.csv", "--end", "4", "--output", "again/p.csv") == 0
    assert [row["start_s"] for row in rows("again/flips.csv")] == [before[0]["start_s"]]


def test_frames_in_class_folders_are_one_film_if_asked(tmp_path: Path) -> None:
    for number, frame in enumerate(film(PAGES)):
        label = "flip" if frame[:, :, 2].max() == 0 else "notflip"
        write_frame(tmp_path / "frames" / label / f"0001_{number:06d}.jpg", frame)
    assert run("frames", "--one-film", "--fps", RATE, "--stills", "pages") == 0
    assert {row["video"] for row in rows()} == {"frames"}
    assert (len(rows()), len(list(Path("pages").iterdir()))) == (3, 4)


def test_the_options_of_the_first_release_still_work(book: Path, tmp_path: Path) -> None:
    assert inference(["--video", str(book), str(book), "--save-stills=pages", "--pdf", "book.pdf"]) == 0
    assert len(rows()) == 3
    assert Path("timeline.png").is_file()
    assert len(list(Path("pages").iterdir())) == 4
    assert inference(["--scores", "predictions.csv", "--output", "again/predictions.csv"]) == 0
    assert rows("again/flips.csv")[0]["start_s"] == rows()[0]["start_s"]


@pytest.mark.parametrize("output", ["--output", "--pdf", "--report", "--preview", "--stills", "--pages"])
def test_a_place_that_cannot_be_written_to_is_refused_before_scoring(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    """Case 09, situations F10 and F19."""
    (tmp_path / "file").write_text("x")
    assert run(book, output, "file/book.mp4") == 1
    said = capsys.readouterr().err
    assert "book.mp4 cannot be written: " in said
    assert "a part of the path is a file" in said
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), ValueError("odd size"), IndexError()])
def test_one_product_that_fails_does_not_lose_the_rest(
    book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failure: Exception
) -> None:
    """Situations F10 and F13."""

    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr("flipdetect.pipeline.write_outputs.write_pdf", fail)
    assert run(book, "--pdf", "book.pdf", "--report", "book.html") == 1
    assert "error: " in capsys.readouterr().err
    assert Path("book.html").is_file()
    assert len(rows()) == 3
    film = Path(shutil.copy(book, "film.mp4"))
    assert run(film) == 0
    film.unlink()
    assert run("--scores", "predictions.csv", "--pdf", "book.pdf") == 1
    assert "there are no images of it" in capsys.readouterr().err


def test_a_disk_that_is_full_ends_in_a_sentence(
    book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Case 09 and situation F19."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flipdetect.outputs.predictions.prediction_cells", full)
    assert run(book) == 1
    assert "predictions.csv cannot be written: no space left on device; free some space" in capsys.readouterr().err


def test_a_second_run_is_kept_from_the_files_of_the_first(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Case 05."""
    with alone(Path("predictions.csv")):
        assert run(book) == 1
    assert "predictions.csv cannot be written: another run is writing it" in capsys.readouterr().err
    with alone(Path("pages")):
        assert run(book, "--output", "p.csv", "--stills", "pages") == 1
    assert run(book, "--stills", "pages") == 0
    assert not list(Path().glob(".*"))


def test_stills_of_an_earlier_run_do_not_mix_with_new_ones(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Case 12."""
    Path("pages").mkdir()
    for name in ("001_00m02.50s.jpg", "book_004_61m02.50s.jpg", "holiday.jpg"):
        (Path("pages") / name).write_text(name)
    assert run(book, "--stills", "pages") == 0
    assert "pages held stills of an earlier run; they are in pages/earlier-1 now" in capsys.readouterr().err
    assert sorted(path.name for path in Path("pages/earlier-1").iterdir()) == [
        "001_00m02.50s.jpg",
        "book_004_61m02.50s.jpg",
    ]
    stills = {Path(row["still"]).name for row in rows()}
    assert {path.name for path in Path("pages").iterdir()} - stills - {"earlier-1", "holiday.jpg"} <= {
        path.name for path in Path("pages").glob("001_*")
    }


def test_pictures_that_are_not_read_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Case 11."""
    for number in range(3):
        write_frame(tmp_path / "frames" / f"book_{number:06d}.jpg", flat(0.02))
    (tmp_path / "frames" / "book_000003.HEIC").write_bytes(b"x")
    Path("frames/book_000002.jpg").rename("frames/book_000002.jfif")
    assert run("frames", "--events") == 0
    assert "book_000003.HEIC: is a picture in a format that is not read; convert it" in capsys.readouterr().err
    assert len(read_predictions(Path("predictions.csv"))) == 3
    assert run("frames", "--events", "--strict") == 1


def test_fingerprints_of_another_length_are_refused(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Situation F12."""
    assert run(book) == 0
    prints = Path("predictions.fingerprints")
    header, *lines = prints.read_bytes().splitlines(keepends=True)
    prints.write_bytes(header + b"".join(line[:5] + b"\n" for line in lines))
    assert run("--scores", "predictions.csv", "--output", "again/p.csv") == 1
    assert "predictions.fingerprints has fingerprints of another length" in capsys.readouterr().err


def test_names_do_not_control_the_terminal(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Situation F14."""
    name = "a\x1b[31mred\nerror: all is lost.mp4"
    shutil.copy(book, name)
    Path("torn\x1b]0;x\x07.mp4").write_bytes(b"x")
    assert run(name, "torn\x1b]0;x\x07.mp4") == 1
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "a\\x1b[31mred\\nerror: all is lost" in said.out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_what_ends_programs_ends_a_run_as_ctrl_c_does(
    book: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Situations F4 and F5: while outputs are written; what is complete by then is named."""
    monkeypatch.setattr("flipdetect.pipeline.write_outputs.write_pdf", lambda *_, **__: os.kill(os.getpid(), number))
    # A test run in the background, or under nohup, ignores some of them.
    before = signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    try:
        assert run(book, "--stills", "pages", "--pdf", "book.pdf") == 130
    finally:
        signal.signal(number, before)
    assert len(rows()) == 3
    assert Path("predictions.csv").is_file()


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a command that is interrupted when the model has seen some batches of a film."""
    score = extract_pages.score_video

    def run_in_part(*args: object, video: str, batches: int = 3) -> None:
        def interrupted(*others: object, **more: object) -> object:
            for count, scores in enumerate(score(*others, **more)):  # type: ignore[arg-type]
                if count == batches and more["video"] == video:
                    raise KeyboardInterrupt
                yield scores

        with monkeypatch.context() as patch:
            patch.setattr(extract_pages, "score_video", interrupted)
            assert run(*args) == 130

    return run_in_part


def test_an_interruption_is_none_of_a_broken_package(
    book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What compiled modules make of Ctrl-C while they are imported."""

    def load(*_: object, **__: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            try:
                raise ImportError("initialization failed") from error
            except ImportError as broken:
                raise ModelError("ONNX Runtime cannot be imported; install it") from broken

    monkeypatch.setattr("flipdetect.pipeline.predict_job.load_model", load)
    assert run(book) == 130
    assert "install" not in capsys.readouterr().err


def test_names_are_those_of_several_films_when_one_was_handled(
    book: Path, back: Path, interrupt: Callable[..., None]
) -> None:
    outputs = ("--stills", "pages", "--preview", "preview.mp4", "--batch-size", 4)
    interrupt(book, back, *outputs, video="book")
    assert run(book, back, *outputs, "--resume") == 0
    assert sorted(path.name for path in Path().glob("preview*")) == ["preview_back.mp4", "preview_book.mp4"]
    assert all(path.name.startswith(("back_", "book_")) for path in Path("pages").rglob("*.jpg"))


def test_an_interrupted_run_writes_what_it_found_and_skips_finished_films(
    book: Path, back: Path, tmp_path: Path, interrupt: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command = (book, back, "--stills", "pages", "--batch-size", 4)
    assert run(*command, "--output", "whole/predictions.csv") == 0
    interrupt(*command, video="back", batches=2)
    assert [video["complete"] for video in json.loads(Path("flips.json").read_text())["videos"]] == [True, False]
    assert [row["video"] for row in rows()][:3] == ["book"] * 3
    assert not (tmp_path / "predictions.csv").exists()
    capsys.readouterr()
    assert run(*command, "--resume") == 0
    assert "book.mp4: scored before" in capsys.readouterr().err
    assert rows() == rows("whole/flips.csv")
    assert json.loads(Path("flips.json").read_text()) == json.loads(Path("whole/flips.json").read_text())
    assert Path("predictions.csv").read_bytes() == Path("whole/predictions.csv").read_bytes()
    assert Path("predictions.fingerprints").read_bytes() == Path("whole/predictions.fingerprints").read_bytes()
    assert not list(tmp_path.glob("*.part*"))


def test_a_run_is_resumed_only_with_its_model_and_options(
    book: Path, back: Path, interrupt: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt(book, back, "--batch-size", 4, video="back")
    before = Path("predictions.csv.part").read_bytes()
    for option, *value in (("--threshold", 0.7), ("--rate", 5), ("--stride", 2), ("--every-frame",)):
        assert run(book, back, "--resume", option, *value) == 1
        assert f"different {option}" in capsys.readouterr().err
    Path("red.onnx").write_text("another")
    assert run(book, back, "--resume") == 1
    assert "different model" in capsys.readouterr().err
    assert Path("predictions.csv.part").read_bytes() == before
    assert run(book, back) == 0


def test_to_resume_without_an_earlier_run_is_to_begin(book: Path) -> None:
    assert run(book, "--resume") == 0
    assert len(rows()) == 3


def test_an_unreadable_frame_has_a_row_and_strict_fails(tmp_path: Path) -> None:
    for number in range(40):
        write_frame(tmp_path / "frames" / f"book_{number:06d}.png", flat(0.02))
    (tmp_path / "frames" / "book_000007.png").write_bytes(b"torn")
    command = ("frames", "--events", "--fps", 10)
    assert run(*command) == 0
    assert [score.frame for score in read_predictions(Path("predictions.csv")) if score.error] == [7]
    assert run(*command, "--strict") == 1


def test_a_picture_that_has_gone_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, frame in enumerate(film(PAGES)):
        write_frame(tmp_path / "frames" / f"book_{number:06d}.jpg", frame)
    fetch = FolderStream.fetch
    failed: list[float] = []

    def fetch_but_one(self: FolderStream, times: list[float], min_size: object = None) -> object:
        for time in times:
            if 3 < time < 5:
                failed.append(time)
                raise FrameError("it was removed")
            yield from fetch(self, [time], min_size)  # type: ignore[arg-type]

    monkeypatch.setattr(FolderStream, "fetch", fetch_but_one)
    assert run("frames", "--events", "--fps", RATE, "--stills", "pages") == 1
    assert len(failed) == 1
    assert [path.name[:3] for path in sorted((tmp_path / "pages").iterdir())] == ["001", "003", "004"]
    assert "spread 2: it was removed" in capsys.readouterr().err


def test_a_chosen_frame_is_decoded_twice_at_most(
    book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[float] = []
    fetch = VideoStream.fetch

    def counted(self: VideoStream, times: list[float], min_size: object = None) -> object:
        asked.extend(times)
        return fetch(self, times, min_size)  # type: ignore[arg-type]

    monkeypatch.setattr(VideoStream, "fetch", counted)
    wanted = ("--stills", "pages", "--pdf", "book.pdf", "--report", "book.html", "--timeline")
    assert run(book, *wanted) == 0
    assert len(asked) == len(set(asked)) == 4

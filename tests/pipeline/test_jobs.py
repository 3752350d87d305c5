"""The whole job of one film, as the demo and the service run it."""

from pathlib import Path

import pytest

from flipdetect.errors import FrameError
from flipdetect.pipeline.extract_pages import ExtractSettings
from flipdetect.pipeline.jobs import extract_film
from flipdetect.pipeline.write_outputs import Outputs
from flipdetect.progress import JobProgress
from tests.inference.looking import RATE, RednessModel
from tests.inference.looking import film as pages
from tests.sources.films import write


class _EndedError(Exception):
    """Whoever watches has had enough."""


def test_progress_covers_all_phases_and_never_goes_back(tmp_path: Path) -> None:
    film = write(tmp_path / "book.mp4", pages((1, 2, 3), rest_s=1.0), rate=RATE)
    out = tmp_path / "out"
    outputs = Outputs(out, out / "stills", out / "book.pdf", out / "report.html")
    seen: list[tuple[str, float]] = []
    progress = JobProgress(disable=True, on_show=lambda: seen.append((progress.words, progress.share)))
    result = extract_film(film, film.name, RednessModel(), ExtractSettings(), outputs, progress)
    assert (len(result.stills), result.problems) == (3, ())
    phases = list(dict.fromkeys(words.split(",")[0] for words, _ in seen if words))
    assert phases == ["reading book", "fetching stills", "writing the stills", "writing the PDF"]
    assert progress.words == "writing the report"
    shares = [share for _, share in seen]
    assert shares == sorted(shares)
    assert 0 < next(share for words, share in reversed(seen) if words == "reading book") < 0.9
    assert progress.share <= 1
    assert sorted(path.name for path in out.iterdir()) == [
        "book.pdf", "flips.csv", "flips.json", "predictions.csv", "predictions.fingerprints", "report.html", "stills",
    ]  # fmt: skip


@pytest.mark.parametrize("phase", ["reading", "fetching", "writing the PDF"])
def test_a_job_ends_in_any_phase(tmp_path: Path, phase: str) -> None:
    film = write(tmp_path / "book.mp4", pages((1, 2), rest_s=1.0), rate=RATE)

    def check() -> None:
        if progress.words.startswith(phase):
            raise _EndedError

    progress = JobProgress(disable=True, on_show=check)
    outputs = Outputs(tmp_path / "out", pdf=tmp_path / "out" / "book.pdf", report=tmp_path / "out" / "report.html")
    with pytest.raises(_EndedError):
        extract_film(film, film.name, RednessModel(), ExtractSettings(), outputs, progress)
    assert not [path for path in (tmp_path / "out").iterdir() if path.is_dir()]  # temporary files


def test_what_is_no_film_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "book.mp4").write_bytes(b"no film")
    film, outputs, progress = tmp_path / "book.mp4", Outputs(tmp_path), JobProgress(disable=True)
    with pytest.raises(FrameError, match=r"book\.mp4"):
        extract_film(film, film.name, RednessModel(), ExtractSettings(), outputs, progress)

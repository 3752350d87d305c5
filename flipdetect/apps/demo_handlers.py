"""The handlers of the demo: what happens to a picture, a film, or frames of the camera, and how it is shown."""

from __future__ import annotations

import html
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import numpy as np
from numpy.typing import NDArray

from flipdetect.errors import FlipdetectError
from flipdetect.inference.detector import Detector
from flipdetect.inference.load import load_model
from flipdetect.inference.model import Model
from flipdetect.inference.occlusion import occlusion_map
from flipdetect.inference.settings import settings_of
from flipdetect.outputs.box_files import COLUMNS, box_rows, draw_boxes
from flipdetect.outputs.still_files import write_pdf
from flipdetect.outputs.tables import clock
from flipdetect.pipeline.capture_session import CaptureSession
from flipdetect.pipeline.extract_pages import ExtractSettings
from flipdetect.pipeline.jobs import extract_film
from flipdetect.pipeline.write_outputs import Outputs
from flipdetect.progress import JobProgress
from flipdetect.records import DetectionResult, VideoResult
from flipdetect.sources.image import decode_frame
from flipdetect.stills.repeats import kept
from flipdetect.zoo import DEFAULT

SHOWN_SIDE = 1000
"""Pixels of the longer side of a picture as it is shown."""
HAND = 0.35
"""Share of a cell that hands cover from which it is outlined."""

HINTS = {
    "turn": "Page turned. Wait until it lies still.",
    "capture": "Captured. Turn the page.",
    "replace": "Replaced by a better picture. Turn the page.",
    "hands": "Take your hands off the pages.",
    "blurred": "The picture is blurred. Hold still, or tap to focus.",
    "lost": "The book is out of the picture.",
}

ORANGE, BLUE = (230, 120, 0), (60, 140, 255)


@dataclass
class Scan:
    """A user's scan with the camera."""

    session: CaptureSession
    threshold: float
    hint: str = "Put the book into the picture."


class _CancelledError(Exception):
    """The user cancelled."""


class Demo:
    """What the handlers of all tabs share.

    Args:
        model: as for `load_model`.
        threshold: that is set at first; None: the model's own.
    """

    def __init__(self, model: str | None, threshold: float | None, root: Path) -> None:
        self.root = root
        self.model_name = str(model or DEFAULT)
        self.threshold = load(self.model_name).threshold if threshold is None else threshold
        self._films: dict[str, FilmProgress] = {}  # by session
        self._scans: dict[str, Scan] = {}  # by session; a `gr.State` is copied now and then

    def picture(self, path: str | None, name: str, threshold: float) -> tuple[str, Any]:
        """Verdict as HTML, and the picture with the evidence in it."""
        if path is None:
            return card("<p>Choose a picture, or one of the examples.</p>"), gr.update(value=None, visible=False)
        with told():
            model = load(name)
            image = decode_frame(Path(path), min_size=(SHOWN_SIDE, SHOWN_SIDE))
            inputs = model.preprocess.load(Path(path))
            probabilities, hands = model.predict_with_maps(inputs[np.newaxis])
            evidence = model.preprocess.unplace(occlusion_map(model, inputs), *image.shape[:2])
            probability = float(probabilities[0])
        # In grey, orange where it speaks for a flip, and hands outlined.
        size = (image.shape[1], image.shape[0])
        heat = cv2.resize(
            np.maximum(evidence, 0) / max(float(evidence.max()), 1.0), size, interpolation=cv2.INTER_CUBIC
        )
        heat = np.clip(heat, 0, 1)[..., np.newaxis] * 0.75
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) * (1 - heat)
        drawn = np.asarray(grey + heat * np.array(ORANGE), np.uint8)
        if hands is not None:
            shares = cv2.resize(
                model.preprocess.unplace(hands[0], *image.shape[:2]), size, interpolation=cv2.INTER_CUBIC
            )
            outlines, _ = cv2.findContours(
                np.asarray(shares > HAND, np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
            )
            cv2.drawContours(drawn, outlines, -1, BLUE, max(2, max(size) // 250))
        flip = probability >= threshold
        word = "A page is being turned" if flip else "No page is being turned"
        label = html.escape(model.classes.names[int(flip)])
        text = f"<h3>{word}</h3><p>Label <b>{label}</b></p>{_bar(probability, threshold)}"
        return card(text), gr.update(value=drawn, visible=True)

    def film(self, path: str | None, name: str, threshold: float, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Progress, and at the end what was found in a film, as `_film_view` has it."""
        if path is None:
            raise gr.Error("Choose a film first.", print_exception=False)
        progress = self._films[_user(request)] = FilmProgress()
        folder = self._new_folder("film", request)
        outputs = Outputs(folder, folder / "pages", folder / "book.pdf", timeline=True)

        def extract() -> VideoResult:
            model = load(name, fast=True)
            settings = ExtractSettings.of_model(model.path, threshold)
            return extract_film(Path(path), Path(path).name, model, settings, outputs, progress)

        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(extract)
            try:
                while not job.done():
                    yield _film_view(progress.as_html(), running=True)
                    wait([job], timeout=0.4)
                result = job.result()
            except _CancelledError:
                yield _film_view(card("<p>Cancelled.</p>"))
            except (FlipdetectError, OSError) as error:
                yield _film_view(card(f"<h3>This film cannot be used</h3><p>{_without_folders(str(error))}</p>"))
            else:
                yield _film_view(*_film_results(result, folder))
            finally:
                progress.cancelled.set()  # also if the browser was closed

    def stop(self, request: gr.Request) -> None:
        """Stop a user's film."""
        if (progress := self._films.get(_user(request))) is not None:
            progress.cancelled.set()

    def leave(self, request: gr.Request) -> None:
        """A user has closed the page."""
        self.stop(request)
        self._films.pop(_user(request), None)
        self._scans.pop(_user(request), None)
        for kind in ("film", "live"):
            shutil.rmtree(self._folder(kind, request), ignore_errors=True)

    def frame(
        self, image: NDArray[np.uint8] | None, name: str, threshold: float, request: gr.Request
    ) -> tuple[Any, ...]:
        """Take in a frame of the camera; returns the state as HTML, gallery and PDF button."""
        if image is None:
            return gr.skip(), gr.skip(), gr.skip()
        with told():
            if (scan := self._scans.get(_user(request))) is None:
                model = load(name, fast=True)
                settings = settings_of(model.path).at_threshold(threshold)
                scan = Scan(CaptureSession(model, settings, self._new_folder("live", request)), threshold)
                self._scans[_user(request)] = scan
            seen = scan.session.push(time.monotonic(), image)
        for event in seen.events:
            scan.hint = HINTS[event.kind]
        text = card(
            f"<p class='fd-hint' role='status'>{scan.hint}</p><div class='fd-counts'>"
            f"<span><b>{scan.session.turns}</b> turns</span>"
            f"<span><b>{len(scan.session.pages)}</b> pages captured</span></div>"
            + _bar(seen.frame.probability, scan.threshold)
        )
        changed = any(event.kind in ("capture", "replace") for event in seen.events)
        return text, *(_live_pages(scan) if changed else (gr.skip(), gr.skip()))

    def remove(self, position: int | None, request: gr.Request) -> tuple[Any, ...]:
        """Delete a captured page; returns what `_live_pages` does, and that none is selected."""
        scan = self._scans.get(_user(request))
        if scan is None or position is None or position >= len(scan.session.pages):
            raise gr.Error("Select a page in the gallery first.", print_exception=False)
        scan.session.remove(position)
        return *_live_pages(scan), None

    def pdf(self, request: gr.Request) -> Any:
        """Write the captured pages as a PDF; returns the button to download it."""
        scan = self._scans.get(_user(request))
        if scan is None or not scan.session.pages:
            raise gr.Error("No page has been captured yet.", print_exception=False)
        path = self._folder("live", request) / "book.pdf"
        with told():
            write_pdf(path, scan.session.pages, title="book")
        return gr.update(value=str(path), visible=True)

    def start_again(self, request: gr.Request) -> tuple[Any, ...]:
        """Forget a user's scan; the next frame begins another, with the model and threshold chosen then."""
        self._scans.pop(_user(request), None)
        return card("<p>Ready for another book.</p>"), [], gr.update(visible=False)

    def _folder(self, kind: str, request: gr.Request) -> Path:
        return self.root / f"{kind}-{_user(request)}"

    def _new_folder(self, kind: str, request: gr.Request) -> Path:
        folder = self._folder(kind, request)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def _user(request: gr.Request) -> str:
    return str(request.session_hash)


@contextmanager
def told() -> Iterator[None]:
    """Show the program's own errors to the user."""
    try:
        yield
    except (FlipdetectError, OSError) as error:
        raise gr.Error(_without_folders(str(error)), duration=None, print_exception=False) from error


def _without_folders(text: str) -> str:
    """A message without the server's folders."""
    return html.escape(" ".join(Path(word).name if word.startswith("/") else word for word in text.split(" ")))


def path_of(payload: Any) -> str | None:
    """The file of a picture component's upload, undecoded."""
    return None if payload is None else str(payload.path)


@lru_cache(maxsize=4)
def load(name: str, *, fast: bool = False) -> Model:
    """A model, which stays loaded; raises as `load_model`."""
    return load_model(name, fast=fast)


class FilmProgress(JobProgress):
    """How far a film is, for the page; ends the job once the user has cancelled."""

    def __init__(self) -> None:
        super().__init__(disable=True, on_show=self._check)
        self.cancelled = threading.Event()
        self._begun = time.monotonic()

    def _check(self) -> None:
        if self.cancelled.is_set():
            raise _CancelledError

    def as_html(self) -> str:
        """The phase, the share of the whole job that is done, and the time left until its end."""
        seconds = time.monotonic() - self._begun
        left = (
            f"about {clock(seconds / self.share - seconds)} left" if self.share > 0.02 else "estimating the time left"
        )
        words = html.escape((self.words or "opening the film").capitalize())
        bar = f"<progress max='1' value='{self.share:.3f}' aria-label='Progress'></progress>"
        return card(f"<p role='status'>{words} · {self.share:.0%} · {left}</p>{bar}")


def _film_view(status: str, results: tuple[Any, ...] | None = None, *, running: bool = False) -> tuple[Any, ...]:
    """Status, start button, cancel button; timeline, table, gallery and the two downloads, hidden without results."""
    buttons = gr.update(visible=not running), gr.update(visible=running)
    return status, *buttons, *(results or [gr.update(visible=False)] * 5)


def _film_results(result: VideoResult, folder: Path) -> tuple[str, tuple[Any, ...]]:
    """What was found in a film, as HTML, and the results that `_film_view` shows."""
    shown = sum(still.time_s is not None and still.same_as is None for still in result.stills)
    text = f"<h3>{_count(len(result.events), 'turn')}, {_count(shown, 'page')}</h3>"
    text += f"<p>in {clock(result.duration_s)} of film, {result.frames} frames scored</p>"
    doubts = [
        f"Spread {still.spread} at {clock(still.time_s or 0)}: {still.doubt}" for still in result.stills if still.doubt
    ]
    notes = "".join(f"<p class='fd-note'>{_without_folders(each)}</p>" for each in (*doubts, *result.problems))
    rows = [
        [event.number, clock(event.start_s, 1), clock(event.end_s, 1), f"{event.peak_probability:.0%}", event.kind]
        for event in result.events
    ]
    times = [still.time_s for still in kept(list(result.stills)) if still.time_s is not None]
    files = sorted((folder / "pages").glob("*.jpg"))
    captions = map(clock, times) if len(files) == len(times) else [""] * len(files)  # one could not be written
    pages = [(str(path), caption) for path, caption in zip(files, captions, strict=True)]
    pdf = folder / "book.pdf"
    return card(text + notes), (
        gr.update(value=str(folder / "timeline.png"), visible=True),
        gr.update(value=rows, visible=True),
        gr.update(value=pages, visible=True),
        gr.update(value=str(pdf) if pdf.is_file() else None, visible=pdf.is_file()),
        gr.update(value=str(folder / "flips.csv"), visible=True),
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def card(text: str) -> str:
    """HTML in a frame."""
    return f"<div class='fd-card'>{text}</div>"


def _bar(probability: float, threshold: float) -> str:
    """A probability as a bar, with the threshold as a mark in it."""
    side = "over" if probability >= threshold else "under"
    return (
        f"<div class='fd-bar {side}' role='img' aria-label='Probability {probability:.0%}, threshold {threshold:.0%}'>"
        f"<i style='width:{probability:.1%}'></i><b style='left:{threshold:.1%}'></b></div>"
        f"<p class='fd-note'>Probability of a turn <b>{probability:.1%}</b> · threshold {threshold:.0%}</p>"
    )


def _live_pages(scan: Scan) -> tuple[Any, ...]:
    """The gallery, and the button to download a PDF, which is out of date now."""
    pages = [(str(path), str(number)) for number, path in enumerate(scan.session.pages, 1)]
    return gr.update(value=pages), gr.update(visible=False)


NO_PICTURE = "<p>Choose a picture.</p>"
BOX_HEADS = COLUMNS[1:7]


def boxes_of(detector: Detector, path: str | None, threshold: float) -> tuple[str, Any, Any]:
    """What is found in a picture, as HTML; the picture with the boxes; and their table."""
    if path is None:
        return card(NO_PICTURE), gr.update(value=None, visible=False), gr.update(value=None, visible=False)
    with told():
        image = decode_frame(Path(path))
        (found,) = detector.predict(image, threshold)
    boxes = detector.named(found)
    counts = Counter(box.label for box in boxes)
    words = [f"<li>{html.escape(name)}: <b>{counts[name]}</b></li>" for name in detector.classes if counts[name]]
    text = f"<ul>{''.join(words)}</ul>" if words else f"<p>Nothing with a score of at least {threshold:.2f}.</p>"
    rows = [row[1:7] for row in box_rows([DetectionResult(path, image.shape[1], image.shape[0], boxes)])]
    drawn = draw_boxes(image, found.boxes, found.labels.tolist(), detector.classes, found.scores.tolist())
    return card(text), gr.update(value=drawn, visible=True), gr.update(value=rows, visible=bool(rows))

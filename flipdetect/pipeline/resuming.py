"""Whether an interrupted run may be gone on with: a note beside its table says what its rows were made with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

import flipdetect
from flipdetect.atomic import write_text
from flipdetect.errors import DataError
from flipdetect.inference.model import Model
from flipdetect.inference.onnx_model import OnnxModel, file_digest
from flipdetect.pipeline.clips import Clip

SUFFIX = ".run.json"
FORMAT = "flipdetect.run"
REMEDY = "give what it was begun with, or leave out --resume to start anew"


@dataclass(frozen=True)
class RunNote:
    """What the rows of a table depend on.

    Attributes:
        release: of flipdetect.
        model: digest of the model's file; of an exported one, that of the file it was exported from.
        settings: name on the command line -> value, as text.
        sources: name of a clip -> the state of its file or files.
    """

    release: str
    model: str
    settings: Mapping[str, str]
    sources: Mapping[str, str]


def note_of(model: Model, settings: Mapping[str, object], clips: Iterable[Clip]) -> RunNote:
    """The note of a run that begins.

    Args:
        model: that scores.
        settings: name on the command line -> value, of all that rows depend on.
        clips: that are to be scored.
    """
    return RunNote(
        flipdetect.__version__,
        _digest(model),
        {name: str(value) for name, value in settings.items()},
        {clip.video: clip.state() for clip in clips},
    )


def note_path(part: Path) -> Path:
    """Where the note of a table lies that is being written to a part file."""
    return part.with_name(part.name + SUFFIX)


def write_note(part: Path, note: RunNote) -> None:
    """Write the note beside the part file.

    Raises:
        OSError: if it cannot be written.
    """
    write_text(note_path(part), json.dumps({"format": FORMAT, **asdict(note)}, indent=1, ensure_ascii=True) + "\n")


def forget_note(part: Path) -> None:
    """Remove the note of a table that is whole."""
    note_path(part).unlink(missing_ok=True)


def check_same_run(part: Path, note: RunNote, videos: Sequence[str]) -> None:
    """Refuse to go on with a run that was begun with something else.

    Args:
        part: the table that the earlier run left.
        note: of the run that is to go on.
        videos: clips that have rows in the table.

    Raises:
        DataError: if the model, a setting, or the film of such a clip is another, or nothing is known of them.
    """
    if not videos:
        return
    earlier = _read(part)
    if earlier.release != note.release:
        _refuse(part, f"by flipdetect {earlier.release}, this is {note.release}")
    if earlier.model != note.model:
        _refuse(part, "with another model")
    for name in sorted({*earlier.settings, *note.settings}):
        before, now = earlier.settings.get(name, "none"), note.settings.get(name, "none")
        if before != now:
            _refuse(part, f"with {name} {before}, now it is {now}")
    for video in videos:
        if video not in note.sources:
            _refuse(part, f"with {video}, which is not among the films now")
        if earlier.sources.get(video) != note.sources[video]:
            _refuse(part, f"with another {video}: it was changed since ({note.sources[video]})")


def _read(part: Path) -> RunNote:
    path = note_path(part)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ValueError("it has another format")
        return RunNote(**content)
    except FileNotFoundError as error:
        raise DataError(
            f"{part} cannot be gone on with: {path.name} is missing, so what it was made with is not known; "
            "leave out --resume to start anew"
        ) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path} cannot be understood ({error}); leave out --resume to start anew") from error


def _digest(model: Model) -> str:
    if isinstance(model, OnnxModel) and model.source:
        return model.source
    return file_digest(model.path) if model.path.is_file() else ""


def _refuse(part: Path, what: str) -> NoReturn:
    raise DataError(f"{part} cannot be gone on with: it was begun {what}; {REMEDY}")

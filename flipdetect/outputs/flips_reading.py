"""The document of a flips.json back to results; every complaint names the field."""

from __future__ import annotations

import math
from typing import Any

from flipdetect.errors import DataError
from flipdetect.records import FlipEvent, FrameQuality, Still, VideoResult


def as_results(document: dict[str, Any], name: str) -> list[VideoResult]:
    """The results of a document whose schema and version are known to be right.

    Args:
        document: as JSON holds it.
        name: of the file, for messages.

    Raises:
        DataError: if a field is missing or has a value that it cannot have.
    """
    return [_video(fields) for fields in _Fields(document, name).items("videos")]


class _Fields:
    """The fields of one JSON object, each asked for with the type that it must have."""

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, dict):
            raise DataError(f"{where}: expected an object with named fields, got {_shown(values)}")
        self._values = values
        self._where = where

    def items(self, name: str) -> list[_Fields]:
        return [
            _Fields(value, self._path(f"{name}[{number}]")) for number, value in enumerate(self._of(name, list, "list"))
        ]

    def fields(self, name: str) -> _Fields | None:
        value = self._get(name)
        return None if value is None else _Fields(value, self._path(name))

    def text(self, name: str) -> str:
        value: str = self._of(name, str, "text")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        values = self._of(name, list, "list of texts")
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(name, "list of texts", values)
        return tuple(values)

    def flag(self, name: str) -> bool:
        value: bool = self._of(name, bool, "true or false")
        return value

    def whole(self, name: str, least: int = 0) -> int:
        value = self._of(name, int, "whole number")
        if isinstance(value, bool) or value < least:
            raise self._wrong(name, f"whole number from {least} up", value)
        return int(value)

    def whole_or_none(self, name: str, least: int = 0) -> int | None:
        return None if self._get(name) is None else self.whole(name, least)

    def number(self, name: str) -> float:
        value = self._get(name)
        # Python reads NaN and Infinity, which JSON does not know.
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._wrong(name, "number", value)
        return float(value)

    def number_or_none(self, name: str) -> float | None:
        return None if self._get(name) is None else self.number(name)

    def share(self, name: str) -> float:
        value = self.number(name)
        if not 0.0 <= value <= 1.0:
            raise self._wrong(name, "number from 0 to 1", value)
        return value

    def share_or_none(self, name: str) -> float | None:
        return None if self._get(name) is None else self.share(name)

    def _get(self, name: str) -> Any:
        if name not in self._values:
            raise DataError(f"{self._path(name)} is missing")
        return self._values[name]

    def _of(self, name: str, kind: type, words: str) -> Any:
        value = self._get(name)
        if not isinstance(value, kind):
            raise self._wrong(name, words, value)
        return value

    def _wrong(self, name: str, words: str, value: Any) -> DataError:
        return DataError(f"{self._path(name)}: expected a {words}, got {_shown(value)}")

    def _path(self, name: str) -> str:
        # "flips.json: videos[0].events[2].start_s"
        return f"{self._where}.{name}" if ": " in self._where else f"{self._where}: {name}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _video(fields: _Fields) -> VideoResult:
    video = fields.text("video")
    return VideoResult(
        video=video,
        source=fields.text("source"),
        duration_s=fields.number("duration_s"),
        frames=fields.whole("frames"),
        events=tuple(_event(each, video) for each in fields.items("events")),
        stills=tuple(_still(each, video) for each in fields.items("spreads")),
        model=fields.text("model"),
        threshold=fields.share_or_none("threshold"),
        problems=fields.texts("problems"),
        complete=fields.flag("complete"),
    )


def _event(fields: _Fields, video: str) -> FlipEvent:
    return FlipEvent(
        number=fields.whole("event", 1),
        start_s=fields.number("start_s"),
        peak_s=fields.number("peak_s"),
        end_s=fields.number("end_s"),
        start_frame=fields.whole_or_none("start_frame"),
        peak_frame=fields.whole_or_none("peak_frame"),
        end_frame=fields.whole_or_none("end_frame"),
        mean_probability=fields.share("mean_probability"),
        peak_probability=fields.share("peak_probability"),
        video=video,
    )


def _still(fields: _Fields, video: str) -> Still:
    return Still(
        spread=fields.whole("spread", 1),
        video=video,
        start_s=fields.number("start_s"),
        end_s=fields.number("end_s"),
        time_s=fields.number_or_none("time_s"),
        frame=fields.whole_or_none("frame"),
        quality=fields.share_or_none("quality"),
        flaw=fields.text("flaw"),
        same_as=fields.whole_or_none("same_as", 1),
        measured=_quality(fields.fields("measured")),
    )


def _quality(fields: _Fields | None) -> FrameQuality | None:
    if fields is None:
        return None
    return FrameQuality(
        sharpness=fields.number("sharpness"),
        exposure=fields.share("exposure"),
        coverage=fields.share_or_none("coverage"),
        motion=fields.share_or_none("motion"),
        fingerprint=fields.text("fingerprint"),
    )

"""Turns and captures as frames come in: the table that every port of the two state machines has to pass."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flipdetect.errors import ConfigError
from flipdetect.events.hmm import run_detector
from flipdetect.inference.load import load_model
from flipdetect.inference.settings import EventSettings, settings_of
from flipdetect.pipeline.capture_session import CaptureSession
from flipdetect.pipeline.live import CaptureParameters, LiveCapture, LiveFrame
from tests.frame_sets import page_frame

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "live_sequences.json").read_text(encoding="utf-8"))
"""`settings`: of the event detector, by name. `captures`: frames as of `LiveFrame`, expected (second, kind, spread).
`turns`: frames (second, probability), expected (second reported, start, peak, end); the last ones when frames end."""


def settings(case: dict[str, Any]) -> EventSettings:
    return EventSettings.from_dict(TABLE["settings"][case["settings"]])


@pytest.mark.parametrize("case", TABLE["turns"], ids=lambda case: case["name"])
def test_turns_are_found_as_the_table_says(case: dict[str, Any]) -> None:
    found = run_detector(settings(case).live(), [(*frame, None) for frame in case["frames"]])
    assert [[at, event.start_s, event.peak_s, event.end_s] for event, at in found] == case["expected"]


@pytest.mark.parametrize("case", TABLE["captures"], ids=lambda case: case["name"])
def test_spreads_are_captured_as_the_table_says(case: dict[str, Any]) -> None:
    own = settings(case)
    capture = LiveCapture(
        own.live(), own.asked_threshold, CaptureParameters.from_dict(case.get("parameters", {}))
    )  # fmt: skip
    events = [event for frame in case["frames"] for event in capture.push(LiveFrame(*frame))]
    assert [list(event) for event in events] == case["expected"]


def test_impossible_parameters_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"capture\.better is 1"):
        CaptureParameters(better=1)
    assert CaptureParameters.from_dict(CaptureParameters().to_dict()) == CaptureParameters()


def test_a_session_writes_the_picture_of_a_spread(tmp_path: Path) -> None:
    model = load_model("tiny_cnn", threads=1)
    session = CaptureSession(model, settings_of(model.path), tmp_path)
    image = page_frame(False, 1, 480)
    kinds = [event.kind for number in range(12) for event in session.push(number / 10, image).events]
    assert kinds == ["capture"]
    assert session.pages == list(tmp_path.iterdir())
    seen = session.push(1.3, np.zeros_like(image))
    assert 0 <= seen.frame.probability <= 1
    assert seen.frame.paper == 0


def test_the_8_bit_model_has_the_settings_of_its_model() -> None:
    assert settings_of(load_model("ensemble", fast=True).path) == settings_of(load_model("ensemble").path)
    assert settings_of(load_model("ensemble").path) != EventSettings()

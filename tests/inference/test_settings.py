"""Event settings as YAML next to a model; the effect of another threshold."""

from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from flipdetect.errors import ConfigError
from flipdetect.events.hmm import detect_events, run_detector
from flipdetect.events.parameters import EventParameters
from flipdetect.events.score_history import ScoredFrame
from flipdetect.inference.settings import EventSettings, read_event_settings, settings_of
from tests.inference.score_streams import HARD, frames_of, simulate


def turns(settings: EventSettings, height: float) -> int:
    """How many turns are found in half a minute with three plateaus of the given probability."""
    frames = [
        ScoredFrame(place / 10, height if any(start <= place < start + 9 for start in (60, 130, 220)) else 0.02)
        for place in range(300)
    ]
    return len(settings.find(frames))


def test_settings_survive_yaml(tmp_path: Path) -> None:
    settings = EventSettings(EventParameters(level=-3.0), threshold=0.4, clip_threshold=0.8)
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(settings.to_dict()))
    assert read_event_settings(path) == settings


def test_what_is_left_out_keeps_its_default(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("hmm: {level: -3}\n")
    assert read_event_settings(path) == EventSettings(hmm=EventParameters(level=-3))
    path.write_text("")
    assert read_event_settings(path) == EventSettings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hmm: 3", "table under hmm"),
        ("[1, 2]", "keys among"),
        ("colour: red", "keys among"),
        ("detector: hysteresis", "events.detector is 'hysteresis'.*delete the keys detector and hysteresis"),
        ("threshold: 2", "between 0 and 1"),
        ("threshold: high", "must be a number"),
        ("clip_threshold: -1", "clip_threshold must lie between 0 and 1"),
        ("clip_threshold: []", "clip_threshold must be a number"),
        ("hmm: {level: high}", "high"),
        ("hmm: {levle: 1}", "levle"),
        ("hmm: [", "cannot be read"),
        ("\x00", "cannot be read"),
        ("#" * 200_000, "more than"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as error:
        read_event_settings(path)
    assert "x.yaml" in str(error.value)


def test_settings_lie_beside_a_model(tmp_path: Path) -> None:
    model = tmp_path / "best.ckpt"
    assert settings_of(model) == EventSettings()
    (tmp_path / "best.events.yaml").write_text("threshold: 0.7")
    assert settings_of(model).threshold == 0.7


def test_keys_that_meant_nothing_are_read_in_files_of_earlier_versions(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("detector: hmm\nhmm: {level: -3}\nhysteresis: {upper: 0.5, lower: 0.3}\n")
    assert read_event_settings(path) == EventSettings(hmm=EventParameters(level=-3))


def test_a_higher_threshold_asks_for_higher_probabilities() -> None:
    settings = EventSettings(threshold=0.5)
    assert turns(settings, 0.8) == 3
    assert turns(settings.at_threshold(0.97), 0.8) == 0
    assert turns(settings.at_threshold(0.97), 0.999) == 3
    assert turns(settings.at_threshold(0.2), 0.4) == 3
    assert turns(settings, 0.06) == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_higher_threshold_never_finds_more_turns(seed: int) -> None:
    frames = frames_of(simulate(seed, seconds=40, turns=10, fps=10, difficulty=HARD))
    settings = EventSettings(threshold=0.6)
    found = [settings.at_threshold(step / 20).find(frames) for step in range(2, 19)]
    for more, less in pairwise(found):
        assert {event.start_s for event in less} <= {event.start_s for event in more}
        assert [event.number for event in less] == list(range(1, len(less) + 1))
    assert len(found[-1]) < len(found[0])
    assert settings.at_threshold(0.6).find(frames) == settings.find(frames)


def test_a_turn_has_a_clear_frame() -> None:
    low = EventParameters(odds=(-6.0, -4.0), evidence=(-4.0, 4.0))
    settings = EventSettings(low, threshold=0.68)
    assert settings.least_peak == pytest.approx(0.34)
    frames = [ScoredFrame(place / 10, 0.05 if 60 <= place < 69 else 0.001) for place in range(200)]
    assert len(detect_events(frames, low)) == 1
    assert settings.find(frames) == []
    assert run_detector(settings.live(), frames) == []


def test_the_threshold_of_clips_moves_along() -> None:
    settings = EventSettings(threshold=0.5, clip_threshold=0.8)
    assert settings.at_threshold(0.5).clip_threshold == pytest.approx(0.8)
    assert settings.at_threshold(0.8).clip_threshold == pytest.approx(16 / 17)
    assert settings.at_threshold(1.0).clip_threshold == pytest.approx(1, abs=1e-5)
    assert EventSettings(threshold=0.5).at_threshold(0.8).clip_threshold is None


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_an_impossible_threshold_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        EventSettings().at_threshold(threshold)


def test_extreme_thresholds_work() -> None:
    assert turns(EventSettings(threshold=0.5).at_threshold(1.0), 0.8) == 0
    EventSettings(threshold=0.0).at_threshold(0.0)

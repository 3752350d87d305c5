"""What the parts make of their measurements; the programs are not run here."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flipdetect.benchmark import prediction, scale, size, startup, training
from flipdetect.benchmark.figure import Findings
from flipdetect.benchmark.models import ModelRow, row_table
from flipdetect.benchmark.running import Run, Workplace
from tests.frame_sets import page_frame, write_frame

Answers = Callable[[list[str]], tuple[float, Mapping[str, Any]]]


@dataclass(frozen=True)
class Pretended(Workplace):
    """Answers instead of running programs; `answers` gives seconds and report for a command's words."""

    answers: Answers = field(kw_only=True)

    def run(self, command: Any, *arguments: object, reports: bool = False, cwd: Path | None = None) -> Run:
        seconds, report = self.answers([*command, *map(str, arguments)])
        return Run(seconds, 100.0, report)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A working folder whose frames have been made."""
    for folder in ("frames-1920", "frames-320"):
        for number in range(4):
            write_frame(tmp_path / folder / "flip" / f"{number + 1:04d}_000000001.jpg", page_frame(True, number, 64))
        (tmp_path / folder / "done").touch()
    return tmp_path


def values(found: Findings) -> dict[str, float]:
    return {figure.name: figure.value for figure in found.figures}


def test_prediction_is_set_against_loop_and_limit(place: Path) -> None:
    def answers(words: list[str]) -> tuple[float, Mapping[str, Any]]:
        if "latency" in words:
            return 1.0, {"p50_ms": 5.0, "p99_ms": 20.0, "frame": [1920, 1080]}
        if "limit" in words:
            stages = dict.fromkeys(prediction.STAGES, 1.0)
            return 1.0, {"decode_s": 0.3, "model_s": 0.1, "frames": 4, "stages_ms": stages}
        return 9.0, {"work_s": 4.0 if "predict" in words else 2.0 if "torch" in words else 0.44, "frames": 4}

    found = prediction.measure(Pretended(place, place, answers=answers))
    figures = {figure.name: figure for figure in found.figures}
    faster = figures["folder of 1080x1920 JPEGs to predictions.csv, mobilenet_v2: times as fast as the plain loop"]
    assert faster.value == pytest.approx(4.0 / 0.44)
    assert faster.met
    beside = figures["the same, mobilenet_v2: time as a multiple of the limit"]
    assert beside.value == pytest.approx(1.1)
    assert beside.met
    assert figures["latency of one frame, mobilenet_v2, p50"].met
    assert not figures["latency of one frame, mobilenet_v2, p99"].met
    assert ("mobilenet_v2", "plain loop", "1000.00 (1000.00 to 1000.00)", "9.0 (9.0 to 9.0)") in found.tables[0].rows


def test_start_up_is_set_against_the_quicker_of_two_ways_through_torch(place: Path) -> None:
    def answers(words: list[str]) -> tuple[float, Mapping[str, Any]]:
        return (3.0 if "predict" in words else 4.0 if "torch" in words else 0.1 if "--help" in words else 0.5), {}

    found = startup.measure(Pretended(place, place, answers=answers))
    assert list(values(found).values()) == pytest.approx([0.5, 6.0, 0.1])
    assert [figure.met for figure in found.figures] == [True, True, None]


def test_training_is_set_against_loop_and_limit(place: Path) -> None:
    def answers(words: list[str]) -> tuple[float, Mapping[str, Any]]:
        if "flipdetect.cli.train" in words:
            folder = place / "run" / "logs" / "some" / "version_0"
            folder.mkdir(parents=True)
            (folder / "metrics.json").write_text(json.dumps({"fit_seconds": 20.0}))
            return 25.0, {}
        if "flipdetect.benchmark.probe_training" in words:
            pace = {"ours": [90.0, 95.0, 99.0], "limit": [100.0] * 3, "share": [0.9, 0.95, 0.99]}
            return 1.0, pace | {"ways": {"float32, NCHW": 50.0}, "stages_ms": {"augment": 1.0, "forward": 2.0}}
        assert words[words.index("--height") + 1 : words.index("--height") + 4] == ["192", "--width", "108"]
        return (70.0 if "--workers" in words else 100.0), {"total_s": 90.0}

    found = training.measure(Pretended(place, place, answers=answers))
    figures = {figure.name.split(":")[0]: figure for figure in found.figures}
    race = figures["mobilenet.yaml, 10 epochs on 1080x1920 JPEGs, end to end"]
    assert race.value == pytest.approx(4.0)
    assert race.met
    assert "25 s against 100 s; without the start of either: 4.5 x; against it with 2 workers: 2.8 x" in race.note
    assert not figures["tiny_cnn.yaml, 10 epochs on 1080x1920 JPEGs, end to end"].met
    assert figures["resnet18.yaml"].value == 0.95
    assert figures["resnet18.yaml"].met


def test_smaller_models_are_set_against_whole_ones() -> None:
    def row(precision: str, size_bytes: int, f1: float) -> ModelRow:
        return ModelRow("mobilenet_v2", precision, 5, size_bytes, 9.0, 4.0, 5.0, {"set": f1})

    rows = [row("float32", 2_000_000, 0.9), row("float16", 1_000_000, 0.9), row("int8", 500_000, 0.895)]
    figures = {figure.name: figure for figure in size._figures(rows)}
    assert figures["mobilenet_v2, int8: size against float32"].value == 0.25
    assert figures["mobilenet_v2, int8: loss of F1, set"].value == pytest.approx(0.005)
    assert figures["mobilenet_v2, int8: loss of F1, set"].met
    assert figures["mobilenet_v2, int8"].met
    assert row_table(rows).rows[2][1:4] == ("int8", "5", "0.500")


def test_scale_takes_what_its_script_found(tmp_path: Path) -> None:
    def sizes(frames: int, seconds: float) -> dict[str, Any]:
        steps = {"index": seconds, "split": seconds}
        return {"frames": frames, "clock_s": steps, "processor_s": steps, "index_bytes": 300.0}

    work = Pretended(tmp_path, tmp_path, answers=lambda words: (1.0, [sizes(1000, 0.05), sizes(200_000, 11.0)]))  # type: ignore[return-value]
    found = scale.measure(work)
    assert list(values(found).values()) == pytest.approx([22.0, 300.0, 1.1])
    assert [figure.met for figure in found.figures] == [False, True, None]
    assert not scale.is_there(tmp_path)

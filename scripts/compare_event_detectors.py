"""Page turns by flipdetect, by frame differencing, and by PySceneDetect, on the same films with known turns.

The films come with the predictions.csv that `inference.py` wrote for each and the events.csv of the rendered
recording, all in one order. Frame differencing: the mean change of grey between frames a tenth of a second apart; a
turn is where it exceeds a threshold, pauses below 0.3 s closed. PySceneDetect's cuts are moments. Each of the others is
shown with its usual threshold and with the one that does best on these very films, which no user could know.

PySceneDetect is needed for this comparison alone: pip install scenedetect

Example:
    python scripts/compare_event_detectors.py --films a.mp4 b.mp4 --predictions a.csv b.csv \
        --truth a/events.csv b/events.csv --model mobilenet_v2 --json comparison.json
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import DataError, FlipdetectError

logger = logging.getLogger("flipdetect")

RATE_HZ, SIDE = 10.0, 120
PAUSE_S = 0.3
SCENE_S = 0.6
"""PySceneDetect's least length of a scene, by its command line's default."""
USUAL = {"frame differencing": 8.0, "PySceneDetect content": 27.0, "PySceneDetect adaptive": 3.0}
LEAST_CONTENT = 15.0
"""What the adaptive detector asks of the content's change besides its ratio, by default."""
STEPS = 40
UNKNOWN = ("", "None")
"""What PySceneDetect writes for a frame that it has no figure of."""


class Moment(NamedTuple):
    """A found event."""

    start_s: float
    peak_s: float
    end_s: float


class Signal(NamedTuple):
    """What a detector measures of a film, before its threshold."""

    times: NDArray[np.float64]
    values: NDArray[np.float64]
    allowed: NDArray[np.bool_]


def main(args: Sequence[str] | None = None) -> int:
    """Compare as the command line says; returns the exit status."""
    set_up_logging()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=Path, nargs="+", required=True)
    parser.add_argument("--predictions", type=Path, nargs="+", required=True, metavar="CSV", help="one per film")
    parser.add_argument("--truth", type=Path, nargs="+", required=True, metavar="CSV", help="events.csv of each")
    parser.add_argument("--model", default="mobilenet_v2", help="whose event settings are used (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="all figures")
    options = parser.parse_args(args)
    if not len(options.films) == len(options.predictions) == len(options.truth):
        parser.error("give as many films as predictions and truths, in one order")
    try:
        print(_compare(options))
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    return 0


def _compare(options: argparse.Namespace) -> str:
    from tabulate import tabulate

    from flipdetect.atomic import write_text
    from flipdetect.evaluation.events import read_recording
    from flipdetect.inference.settings import settings_of
    from flipdetect.zoo import find_model

    settings = settings_of(find_model(options.model))
    films = [read_recording(*pair) for pair in zip(options.predictions, options.truth, strict=True)]
    turns = [film.turns for film in films]
    rows: list[list[Any]] = [["flipdetect", "learnt", *_figures([settings.find(film.frames) for film in films], turns)]]
    differences = [_differences(path) for path in options.films]
    rows += _best_and_usual("frame differencing", differences, turns, _stretches)
    stats = [_scene_statistics(path) for path in options.films]
    for name, column in (("PySceneDetect content", 0), ("PySceneDetect adaptive", 1)):
        rows += _best_and_usual(name, [each[column] for each in stats], turns, _cuts)
    headers = ("detector", "threshold", "true", "found", "count off", "precision", "recall", "F1")
    if options.json:
        content = [dict(zip(headers, row, strict=True)) for row in rows]
        write_text(options.json, json.dumps(content, indent=2, allow_nan=False) + "\n")
    return tabulate(rows, headers=headers, floatfmt=".3f")


def _figures(found: Sequence[Any], turns: Sequence[Any]) -> list[float]:
    from flipdetect.metrics.event import event_figures, pooled

    figures = pooled(event_figures(*pair) for pair in zip(found, turns, strict=True)).as_dict()
    return [figures[name] for name in ("true", "found", "count_error", "precision", "recall", "f1")]


def _best_and_usual(
    name: str,
    signals: Sequence[Signal],
    turns: Sequence[Any],
    find: Callable[[Signal, float], list[Moment]],
) -> list[list[Any]]:
    def judged(threshold: float) -> list[float]:
        return _figures([find(signal, threshold) for signal in signals], turns)

    everything = np.concatenate([signal.values for signal in signals])
    candidates = np.unique(np.quantile(everything, np.linspace(0.5, 0.9995, STEPS)))
    best = max((float(value) for value in candidates), key=lambda value: judged(value)[-1])
    return [
        [name, f"usual, {USUAL[name]:g}", *judged(USUAL[name])],
        [name, f"best here, {best:.2f}", *judged(best)],
    ]


def _differences(path: Path) -> Signal:
    """Mean change of grey, 0 to 255, of a small picture since a tenth of a second before."""
    import cv2

    from flipdetect.sources.video import open_video

    times, values, before = [], [], None
    with open_video(path, rate_hz=RATE_HZ, min_size=(SIDE, SIDE), channels=1) as reader:
        for frame in reader:
            now = cv2.GaussianBlur(frame.image, (5, 5), 0).astype(np.float32)
            times.append(frame.time_s)
            values.append(0.0 if before is None else float(np.abs(now - before).mean()))
            before = now
    return Signal(np.array(times), np.array(values), np.ones(len(times), np.bool_))


def _stretches(signal: Signal, threshold: float) -> list[Moment]:
    """Where the signal exceeds the threshold, short pauses closed."""
    found: list[Moment] = []
    for time, value in zip(signal.times.tolist(), signal.values.tolist(), strict=True):
        if value < threshold:
            continue
        if found and time - found[-1].end_s <= PAUSE_S:
            found[-1] = Moment(found[-1].start_s, found[-1].start_s, time)
        else:
            found.append(Moment(time, time, time))
    return found


def _scene_statistics(path: Path) -> tuple[Signal, Signal]:
    """What PySceneDetect's content and adaptive detectors measure, frame by frame."""
    try:
        from scenedetect import AdaptiveDetector, ContentDetector, SceneManager, StatsManager, open_video
    except ImportError as error:
        raise DataError("this comparison needs PySceneDetect; install it: pip install scenedetect") from error
    statistics = StatsManager()
    manager = SceneManager(statistics)
    manager.add_detector(ContentDetector())
    manager.add_detector(AdaptiveDetector())
    video = open_video(str(path))
    manager.detect_scenes(video)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "statistics.csv"
        statistics.save_to_csv(csv_file=str(table))
        with table.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["content_val"] not in UNKNOWN]
    ratio = next(name for name in rows[0] if name.startswith("adaptive_ratio"))
    times = np.array([_seconds(row["Timecode"]) for row in rows])
    content = np.array([float(row["content_val"]) for row in rows])
    adaptive = np.array([0.0 if row[ratio] in UNKNOWN else float(row[ratio]) for row in rows])
    return Signal(times, content, np.ones(len(times), np.bool_)), Signal(times, adaptive, content >= LEAST_CONTENT)


def _seconds(timecode: str) -> float:
    hours, minutes, seconds = timecode.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def _cuts(signal: Signal, threshold: float) -> list[Moment]:
    """Moments at which the threshold is reached, none sooner after another than a scene is long."""
    found: list[Moment] = []
    last = 0.0
    for place in np.flatnonzero((signal.values >= threshold) & signal.allowed).tolist():
        time = float(signal.times[place])
        if time - last >= SCENE_S:
            found.append(Moment(time, time, time))
            last = time
    return found


if __name__ == "__main__":
    sys.exit(main())

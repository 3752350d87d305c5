"""Turns and stills of films of rendered recordings against their truth: the tables of docs/research/video.md.

Each film or recording has a predictions.csv of `flipdetect predict`, and the events.csv (turns) and truth.csv (frames)
of its recording, in one folder. A found and a true turn match if they overlap or are no more than 0.3 s apart, one to
one; "both ends" asks that start and end each lie within 0.3 s.

    turns       the detector of flipdetect, live and on whole files; --fit PREDICTIONS... --fit-truth EVENTS... learns
                its parameters from other recordings first, and --save FILE.events.yaml writes them for use with a model
    stills      the kept still of each spread: at rest, and hands cover at most a twentieth of the pages
    baselines   frame differencing and PySceneDetect (pip install scenedetect) at their usual threshold, and at the one
                that is best on these very films

    python scripts/research/evaluate_films.py turns --predictions out/*/predictions.csv --truth books/*/events.csv
    python scripts/research/evaluate_films.py stills --flips out/*/flips.json --truth books/*/truth.csv
    python scripts/research/evaluate_films.py baselines --films *.mp4 --truth books/*/events.csv
"""

import argparse
import csv
import json
from bisect import bisect_left
from collections import Counter, namedtuple
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import yaml
from fit_events import ScoredRecording, fit_event_parameters
from tabulate import tabulate

from flipdetect.atomic import write_text
from flipdetect.events.hmm import HmmDetector, detect_events, run_detector
from flipdetect.events.score_history import ScoredFrame
from flipdetect.inference.settings import EventSettings, read_event_settings
from flipdetect.metrics.event import event_metrics, pooled
from flipdetect.outputs.predictions import read_predictions
from flipdetect.sources.video import open_video

Turn = namedtuple("Turn", "start_s peak_s end_s")
Recording = namedtuple("Recording", "name frames turns")
HEADERS = ("true", "found", "count off", "precision", "recall", "F1", "F1 both ends")
USUAL = {"frame differencing": 8.0, "PySceneDetect content": 27.0, "PySceneDetect adaptive": 3.0}
PAUSE_S, SCENE_S, LEAST_CONTENT = 0.3, 0.6, 15.0


def rows_of(path):
    """The rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_turns(path):
    """The turns of an events.csv."""
    return sorted(Turn(*(float(row[name]) for name in Turn._fields)) for row in rows_of(path))


def read_recording(predictions, events, fps=None):
    """Scores and true turns; times are those of the table, of truth.csv next to the truth, or by `fps`."""
    scores = read_predictions(predictions)
    truth = events.with_name("truth.csv")
    times = {int(row["frame"]): float(row["time_s"]) for row in rows_of(truth)} if truth.is_file() else {}

    def time_of(score):
        if fps is not None:
            return (score.frame - 1) / fps
        return times[score.frame] if score.time_s is None else score.time_s

    frames = sorted((ScoredFrame(time_of(s), s.probability, s.frame) for s in scores), key=lambda f: f.time_s)
    return Recording(events.parent.name, tuple(frames), read_turns(events))


def metrics(found, truths):
    """The values of `HEADERS`, all recordings together."""
    pairs = list(zip(found, truths, strict=True))
    values = pooled(event_metrics(*pair) for pair in pairs).as_dict()
    strict = pooled(event_metrics(*pair, criterion="boundaries") for pair in pairs).f1
    return [*(values[name] for name in ("true", "found", "count_error", "precision", "recall", "f1")), strict]


def event_f1(recordings, parameters):
    """F1 of the turns found in all recordings."""
    return pooled(event_metrics(detect_events(each.frames, parameters), each.turns) for each in recordings).f1


def fit(recordings):
    """Parameters of the detector: by likelihood, then the onset bias by F1."""
    scored = []
    for each in recordings:
        times, scores = zip(*((f.time_s, np.nan if f.probability is None else f.probability) for f in each.frames),
                            strict=True)  # fmt: skip
        scored.append(ScoredRecording(np.array(times), np.array(scores), tuple(each.turns)))
    fitted = fit_event_parameters(scored)
    biased = [replace(fitted, onset_bias=bias) for bias in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)]
    return max(biased, key=lambda p: (event_f1(recordings, p), -abs(p.onset_bias - fitted.onset_bias)))


def turns(options):
    """A line per recording, live and on whole files."""
    recordings = [read_recording(*p, options.fps) for p in zip(options.predictions, options.truth, strict=True)]
    settings = read_event_settings(options.settings) if options.settings else EventSettings()
    if options.fit:
        lessons = [read_recording(*p, options.fps) for p in zip(options.fit, options.fit_truth, strict=True)]
        settings = EventSettings(hmm=fit(lessons), threshold=options.threshold)
    if options.save:
        write_text(options.save, yaml.safe_dump(settings.to_dict(), sort_keys=False))
    detectors = {
        "hmm live": lambda r: [event for event, _ in run_detector(HmmDetector(settings.hmm), r.frames)],
        "hmm file": lambda r: detect_events(r.frames, settings.hmm),
    }
    rows = []
    for name, detect in detectors.items():
        found = [detect(recording) for recording in recordings]
        rows += [[r.name, name, *metrics([f], [r.turns])] for r, f in zip(recordings, found, strict=True)]
        rows.append(["all", name, *metrics(found, [recording.turns for recording in recordings])])
    return tabulate(rows, headers=("recording", "detector", *HEADERS), floatfmt=".3f")


def stills(options):
    """A line per film: spreads in view for half a second, and what became of them."""
    rows = []
    for flips, truth in zip(options.flips, options.truth, strict=True):
        frames = sorted((float(row["time_s"]), row["spread"], float(row["occlusion"])) for row in rows_of(truth))
        times = [time for time, _, _ in frames]
        step = (times[-1] - times[0]) / (len(times) - 1)
        seen = Counter(spread for _, spread, _ in frames if spread)
        wanted = {spread for spread, count in seen.items() if count * step >= 0.5}
        free = {spread for _, spread, occlusion in frames if occlusion <= options.unobstructed}
        chosen, good, turning = Counter(), set(), 0
        for still in json.loads(flips.read_text("utf-8"))["videos"][0]["spreads"]:
            if still["time_s"] is None or still["same_as"] is not None:
                continue
            place = bisect_left(times, still["time_s"])
            near = min(frames[max(0, place - 1) : place + 1], key=lambda frame: abs(frame[0] - still["time_s"]))
            turning += not near[1]
            chosen[near[1]] += 1
            if near[2] <= options.unobstructed:
                good.add(near[1])
        doubled = sum(count - 1 for spread, count in chosen.items() if spread)
        there = len(wanted & free)
        rows.append([truth.parent.name, len(wanted), len(wanted - free), len(wanted & good), len(wanted - set(chosen)),
                     doubled, turning, len(wanted & good) / max(1, there)])  # fmt: skip
    headers = ("film", "spreads", "never free", "good", "missing", "doubled", "turning", "good share")
    return tabulate(rows, headers=headers, floatfmt=".3f")


def differences(path):
    """Mean change of grey, 0 to 255, of a small picture within a tenth of a second."""
    times, values, before = [], [], None
    with open_video(path, rate_hz=10.0, min_size=(120, 120)) as reader:
        for frame in reader:
            now = cv2.GaussianBlur(cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY), (5, 5), 0).astype(np.float32)
            times.append(frame.time_s)
            values.append(0.0 if before is None else float(np.abs(now - before).mean()))
            before = now
    return np.array(times), np.array(values)


def stretches(signal, threshold):
    """Where a signal exceeds the threshold; short pauses are closed."""
    found = []
    for time in signal[0][signal[1] >= threshold].tolist():
        if found and time - found[-1].end_s <= PAUSE_S:
            found[-1] = Turn(found[-1].start_s, found[-1].start_s, time)
        else:
            found.append(Turn(time, time, time))
    return found


def scene_signals(path):
    """What PySceneDetect's content and adaptive detectors measure of each frame."""
    from scenedetect import AdaptiveDetector, ContentDetector, SceneManager, StatsManager
    from scenedetect import open_video as open_scenes

    statistics = StatsManager()
    manager = SceneManager(statistics)
    manager.add_detector(ContentDetector())
    manager.add_detector(AdaptiveDetector())
    video = open_scenes(str(path))
    manager.detect_scenes(video)
    ratio = next(key for key in statistics.metric_keys if key.startswith("adaptive_ratio"))
    found = [(n / video.frame_rate, *statistics.get_metrics(n, ["content_val", ratio]))
             for n in range(video.frame_number + 1)]  # fmt: skip
    times, content, adaptive = zip(*(row for row in found if row[1] is not None), strict=True)
    adaptive = [value if value and c >= LEAST_CONTENT else 0.0 for value, c in zip(adaptive, content, strict=True)]
    return (np.array(times), np.array(content)), (np.array(times), np.array(adaptive))


def cuts(signal, threshold):
    """Moments at which the threshold is reached, none sooner after another than a scene is long."""
    found = []
    for time in signal[0][signal[1] >= threshold].tolist():
        if not found or time - found[-1].end_s >= SCENE_S:
            found.append(Turn(time, time, time))
    return found


def baselines(options):
    """Two lines per detector: at its usual threshold, and at the best one for these films."""
    truths = [read_turns(path) for path in options.truth]
    scenes = list(zip(*map(scene_signals, options.films), strict=True))
    signals = {
        "frame differencing": (list(map(differences, options.films)), stretches),
        "PySceneDetect content": (scenes[0], cuts),
        "PySceneDetect adaptive": (scenes[1], cuts),
    }
    rows = []
    for name, (measured, find) in signals.items():
        values = np.concatenate([signal[1] for signal in measured])
        tried = {
            float(at): metrics([find(signal, at) for signal in measured], truths)
            for at in (USUAL[name], *np.quantile(values, np.linspace(0.5, 0.9995, 40)))
        }
        best = max(tried, key=lambda at: tried[at][5])
        rows += [[name, f"usual, {USUAL[name]:g}", *tried[USUAL[name]]], [name, f"best here, {best:.2f}", *tried[best]]]
    return tabulate(rows, headers=("detector", "threshold", *HEADERS), floatfmt=".3f")


def main():
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=("turns", "stills", "baselines"))
    for name in ("predictions", "flips", "films", "truth", "fit", "fit-truth"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", default=[], help="one per film, in one order")
    parser.add_argument("--fps", type=float, help="where there is no truth.csv with times")
    parser.add_argument("--settings", type=Path, help="event settings to evaluate; default: built in")
    parser.add_argument("--threshold", type=float, help="of the model that scored, saved with what is learnt")
    parser.add_argument("--save", type=Path, metavar="YAML")
    parser.add_argument("--unobstructed", type=float, default=0.05, help="share of the pages that hands may cover")
    options = parser.parse_args()
    print({"turns": turns, "stills": stills, "baselines": baselines}[options.work](options))


if __name__ == "__main__":
    main()

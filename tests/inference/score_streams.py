"""Made-up score streams of long recordings: what a frame classifier says while a book is leafed through.

Per recording: a resting level of the log-odds that differs from book to book and drifts, noise that is correlated in
time, and a height of turns that moves with the level in part. Turns last 0.3 to 3 s and their scores drop at both
ends; some halt on their way, with a dip. False starts and hands that sweep over the page look like turns, less high
or shorter. Time stamps may be irregular, frames missing or unreadable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flipdetect.events.score_history import ScoredFrame

RATE = 120.0


@dataclass(frozen=True)
class TrueTurn:
    start_s: float
    end_s: float

    @property
    def peak_s(self) -> float:
        return (self.start_s + self.end_s) / 2


class Recording(NamedTuple):
    """Seconds and probabilities of its frames, (N,) each, and its true turns."""

    times: np.ndarray
    probabilities: np.ndarray
    turns: tuple[TrueTurn, ...]


@dataclass(frozen=True)
class Difficulty:
    """Log-odds of the made-up classifier.

    `level_spread` is the standard deviation of resting levels between recordings, `drift` that of the slow wandering,
    `noise` that of the noise, `height` the mean of the log-odds in a turn.
    """

    level: float = -4.5
    level_spread: float = 1.2
    drift: float = 0.7
    noise: float = 0.9
    correlation_s: float = 0.08
    height: float = 3.0
    height_spread: float = 1.2
    follow: float = 0.5
    false_starts: float = 0.12
    sweeps: float = 0.3


CLEAN = Difficulty(level_spread=0.5, drift=0.2, noise=0.5, height=4.0, height_spread=0.5)
USUAL = Difficulty()
HARD = Difficulty(level=-3.0, level_spread=1.8, drift=1.0, noise=1.3, height=2.2, height_spread=1.3, sweeps=0.5)


def simulate(
    seed: int, *, seconds: float = 60.0, turns: int = 15, fps: float = 30.0, variable: bool = False,
    difficulty: Difficulty = USUAL,
) -> Recording:  # fmt: skip
    """A recording of `turns` turns or as many as there is room for."""
    rng = np.random.default_rng(seed)
    grid = np.arange(0, seconds, 1 / RATE)
    level = difficulty.level + difficulty.level_spread * rng.normal()
    height = difficulty.height + difficulty.follow * (level - difficulty.level) + 0.5 * rng.normal()
    shape, true = np.zeros(len(grid)), []
    durations = np.clip(np.exp(rng.normal(np.log(0.9), 0.45, turns)), 0.3, 3.0)
    room = max(seconds - 2 - durations.sum() - turns * 0.9, 0.0)
    pauses = rng.dirichlet(np.full(turns + 1, 1.2)) * room
    now = 1.0
    for duration, pause in zip(durations.tolist(), pauses.tolist(), strict=False):
        now += 0.45
        distract(rng, grid, shape, now, pause, difficulty, height - level)
        now += pause
        if now + duration + 1 > seconds:
            break
        true.append(TrueTurn(now, now + duration))
        top = height - level + difficulty.height_spread * rng.normal()
        shape[:] = np.maximum(shape, max(top, 2.0) * turn_shape(rng, grid, now, now + duration))
        now += duration + 0.45
    wander = smooth_noise(rng, len(grid), 15.0) * difficulty.drift
    noise = smooth_noise(rng, len(grid), difficulty.correlation_s) * difficulty.noise
    odds = level + wander + shape * (1 - 0.25 * difficulty.drift * rng.random()) + noise
    times = frame_times(rng, seconds, fps, variable)
    seen = np.interp(times, grid, odds) + 0.3 * rng.normal(size=len(times))
    return Recording(times, np.round(1 / (1 + np.exp(-seen)), 6), tuple(true))


def turn_shape(rng: np.random.Generator, grid: np.ndarray, start: float, end: float) -> np.ndarray:
    """0 to 1: rises and falls around the true boundaries; one in twelve dips in the middle."""
    ramp = float(min(0.12, 0.25 * (end - start)))
    shape = np.clip(np.minimum(grid - start, end - grid) / ramp * 0.5 + 0.6, 0, 1)
    if rng.random() < 1 / 12:
        middle, width = start + (end - start) * rng.uniform(0.35, 0.65), 0.12 * (end - start)
        shape = shape * (1 - rng.uniform(0.3, 0.7) * np.exp(-(((grid - middle) / width) ** 2)))
    return shape


def distract(
    rng: np.random.Generator, grid: np.ndarray, shape: np.ndarray, start: float, pause: float,
    difficulty: Difficulty, height: float,
) -> None:  # fmt: skip
    """Add a false start or sweeping hands within a pause, in place."""
    chance = rng.random(2)
    if pause > 1.2 and chance[0] < difficulty.false_starts:
        middle, width, share = start + pause * 0.5, rng.uniform(0.12, 0.3), rng.uniform(0.3, 0.65)
        shape[:] = np.maximum(shape, share * height * np.exp(-(((grid - middle) / width) ** 2)))
    if pause > 0.8 and chance[1] < difficulty.sweeps:
        for _ in range(rng.integers(1, 4)):
            middle, width, share = start + pause * rng.random(), rng.uniform(0.03, 0.09), rng.uniform(0.4, 0.95)
            shape[:] = np.maximum(shape, share * height * np.exp(-(((grid - middle) / width) ** 2)))


def smooth_noise(rng: np.random.Generator, count: int, decay_s: float) -> np.ndarray:
    """Noise of variance 1 whose correlation falls to 1/e in `decay_s` seconds (white noise through a kernel)."""
    length = min(count, int(6 * decay_s * RATE) + 1)
    kernel = np.exp(-np.arange(length) / (decay_s * RATE))
    white, size = rng.normal(size=count + length), 2 * (count + length)
    found = np.fft.irfft(np.fft.rfft(white, size) * np.fft.rfft(kernel, size), size)[length : length + count]
    return found / np.sqrt((kernel**2).sum())


def frame_times(rng: np.random.Generator, seconds: float, fps: float, variable: bool) -> np.ndarray:
    """Time stamps: regular, or wandering between half and full rate, with jitter and lost frames."""
    if not variable:
        return np.arange(0, seconds, 1 / fps)
    steps = (
        rng.uniform(0.8, 1.2, int(seconds * fps))
        / fps
        * np.repeat(rng.uniform(1.0, 2.0, int(seconds * fps) // 50 + 1), 50)[: int(seconds * fps)]
    )
    times = np.cumsum(steps)
    return times[(times < seconds) & (rng.random(len(times)) > 0.03)]


def frames_of(recording: Recording) -> list[ScoredFrame]:
    """Its frames, numbered from 1."""
    rows = zip(recording.times.tolist(), recording.probabilities.tolist(), strict=True)
    return [ScoredFrame(time, score, number) for number, (time, score) in enumerate(rows, 1)]

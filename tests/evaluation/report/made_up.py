"""Saved predictions without a model: scores drawn from two distributions, with a part that is hard on purpose."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from flipdetect.evaluation.report.saved import (
    PREDICTIONS,
    Judged,
    PicturedFrame,
    Scored,
    write_judged,
    write_pictured,
    write_scored,
)


def made_up_scores(videos: int = 60, frames: int = 4, seed: int = 0, hard: float = 4.0) -> Scored:
    """Flips in the first fifth of their turn are given lower probabilities by `hard` logits."""
    rng = np.random.default_rng(seed)
    count = videos * frames
    video = np.repeat(np.arange(videos), frames)
    targets = (np.arange(videos) % 2)[video]
    phase = np.tile(np.linspace(0.05, 0.95, frames), videos)
    logits = (2 * targets - 1) * 2.5 + rng.normal(0, 1, count) - hard * targets * (phase < 0.2)
    label = ("notflip", "flip")
    return Scored(
        paths=tuple(f"{label[t]}/{v:04d}_{n:09d}.jpg" for n, (v, t) in enumerate(zip(video, targets, strict=True))),
        videos=tuple(f"{label[t]}/{v:04d}" for v, t in zip(video, targets, strict=True)),
        frames=tuple(str(10 * (n % frames)) for n in range(count)),
        sources=tuple(f"book-{v // 4:02d}" for v in video),
        targets=targets.astype(np.int64),
        probabilities=1 / (1 + np.exp(-logits)),
        errors=("",) * count,
        columns={
            "phase": tuple(f"{p:.3f}" if t else "nan" for p, t in zip(phase, targets, strict=True)),
            "measured_brightness": tuple(f"{each:.4f}" for each in rng.random(count)),
            "occlusion": tuple(f"{max(0.0, each):.4f}" for each in rng.normal(0, 0.2, count)),
        },
    )


def made_up_judged(**facts: object) -> Judged:
    """What was judged, with a date and facts that stay."""
    known = Judged(
        "tiny_cnn", "made up", 0.5, "given", date="2026-01-02 03:04 UTC", facts={"Architecture": "a small one"}
    )
    return replace(known, **facts)  # type: ignore[arg-type]


def save(folder: Path, scored: Scored, judged: Judged | None = None) -> Path:
    """Write what a report is made of."""
    judged = judged or made_up_judged()
    write_scored(folder / PREDICTIONS, scored, judged)
    write_judged(folder, judged)
    return folder


def add_pictures(folder: Path) -> None:
    """A mistake and an explained frame."""
    (folder / "frames").mkdir()
    for name in ("a", "b", "c", "d"):
        Image.new("RGB", (27, 48), (200, 30, 90)).save(folder / "frames" / f"{name}.jpg")
    looked = {"heat": "frames/c.jpg", "maps": "frames/d.jpg"}
    write_pictured(
        folder,
        [
            PicturedFrame("mistake", "flip/<b>|0001_7.jpg", "flip", 0.12, "frames/a.jpg"),
            PicturedFrame("hit", "flip/0003_7.jpg", "flip", 0.97, "frames/b.jpg", **looked),
        ],
    )

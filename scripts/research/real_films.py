"""Films made of the real frames of a development set: are all pages kept, and no more turns found than there are?

The stills of a textbook are shown one after the other, 1 to 2 s each, with hard cuts and with cross-fades; frames of a
filmed book are put together to rests of 1 to 3 s, turns, and a sweeping hand, in four orders. Prints a line per film:
turns, kept pages, pages missing and doubled, doubtful spreads.

    python scripts/research/real_films.py --frames ../shared/realdev --films /tmp/films
"""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated

import av
import numpy as np
import typer
from PIL import Image

from flipdetect import extract_pages
from flipdetect.stills.repeats import kept

FPS, FADE, NOISE = 12, 5, 2.0
STILLS = {"A": (1, 2, 3, 4, 5, 6, 7, 8, 9, 11), "B": (13, 14, 15, 16, 18, 21, 22, 23, 9, 11)}
SWEEP = (1, 2, 3, 4, 5, 6, 7, 10, 11, 14, 15, 16, 17, 18, 19, 21, 22, 24, 25, 26, 27, 28, 29, 30)
RESTS = {"1": ("notflip/0001", (1, 2, 4, 9, 14, 24)), "2": ("notflip/0002", (3, 6, 8, 12, 15, 26, 27, 28)),
         "3": ("flip/0003", (1, 2, 3, 4, 5))}  # fmt: skip
TURNS = {"a": ("flip/0001", (10, 10, 10, 20, 20, 20)), "b": ("flip/0002", (12, 12, 13, 13, 15, 15, 17, 17)),
         "c": ("flip/0003", (*range(14, 25), 26, 26))}  # fmt: skip
ORDERS = ("s1 c 1:2 a 2:2 b 3:1.5", "3:3 c 2:1 b s1 a 1:2", "1:1 a 3:1.2 c s1 b 2:2.5", "2:1.5 b 1:1 a s2 c 3:3", "s8")
"""s: hand that sweeps so many times; a letter: a turn; a digit: a rest of so many seconds."""


def load(path, size):
    """A frame as (H, W, 3) uint8."""
    return np.asarray(Image.open(path).convert("RGB").resize(size, Image.Resampling.LANCZOS))


def still_film(root, numbers, fade, rng):
    """Frames, and the (page, start, end in seconds) of each rest."""
    frames, truth = [], []
    for number in numbers:
        now = load(root / f"stills/notflip/K_still_{number:03d}.jpg", (720, 960))
        if frames:
            last = frames[-1]
            frames += [np.uint8((1 - share) * last + share * now) for share in np.arange(1, fade + 1) / (fade + 1)]
        start = len(frames)
        frames += [now] * int(rng.integers(FPS, 2 * FPS + 1))
        truth.append((str(number), start / FPS, len(frames) / FPS))
    return frames, truth


def hand_film(root, order):
    """The same for frames of a filmed book."""
    frames, truth = [], []

    def get(clip, numbers):
        read = {number: load(root / f"frames/{clip}_{number:09d}.jpg", (720, 1280)) for number in set(numbers)}
        return [read[number] for number in numbers]

    for part in order.split():
        start = len(frames)
        if part in TURNS:
            frames += get(*TURNS[part])
            continue
        if part[0] == "s":
            frames += get("notflip/0008", (SWEEP + SWEEP[::-1]) * int(part[1:]) + (1,) * FPS)
        else:
            own, count = get(*RESTS[part[0]]), round(float(part[2:]) * FPS)
            frames += [own[place * len(own) // count] for place in range(count)]
        truth.append((part[0], start / FPS, len(frames) / FPS))
    return frames, truth


def write(path, frames, rng):
    """An H.264 film with a little noise."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "20"}
        for frame in frames:
            noisy = np.clip(frame + rng.normal(0, NOISE, frame.shape), 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
        container.mux(stream.encode())


def main(
    frames: Annotated[Path, typer.Option(help="folder with frames/ and stills/")],
    films: Annotated[Path, typer.Option(help="folder for the films")],
    model: str | None = None,
):
    """Make the films, and print a line for each."""
    films.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    makers = {f"{name}, {kind}": partial(still_film, frames, each, fade, rng)
             for name, each in STILLS.items() for kind, fade in (("cuts", 0), ("fades", FADE))}  # fmt: skip
    makers |= {order: partial(hand_film, frames, order) for order in ORDERS}
    for place, (name, make) in enumerate(makers.items()):
        pictures, truth = make()
        path = films / f"{place}.mp4"
        write(path, pictures, rng)
        result = extract_pages(path, model)
        times = [still.time_s for still in kept(list(result.stills)) if still.time_s is not None]
        shown = Counter(page for page, start, end in truth for time in times if start <= time < end)
        missing = [page for page, _, _ in truth if page not in shown]
        print(f"{name}: {result.turned} turns of {len(truth) - 1}, {len(times)} pages of {len(truth)}", end=", ")
        print(f"missing {missing}, doubled {sum(shown.values()) - len(shown)}, doubtful {result.doubtful}", flush=True)


if __name__ == "__main__":
    typer.run(main)

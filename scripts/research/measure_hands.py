"""Measure how well a model's map of hands gives the share of the pages that they cover, per skin tone.

    python scripts/research/measure_hands.py --frames 24

The same rendered frames of books that no training set has are made once per tone of the Monk scale: nothing else
differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from page_truth import page_outlines
from typer import Option

from flipdetect.inference.load import load_model
from flipdetect.inference.model import prepare_frame
from flipdetect.stills.quality import HAND
from flipdetect.synth.clip import Clip
from flipdetect.synth.config import SynthConfig
from flipdetect.synth.hands.person import SKIN_TONES, Person, sample_person
from flipdetect.synth.render.renderer import expose_clip
from flipdetect.synth.scenario import sample_clip
from flipdetect.synth.scene import scene
from flipdetect.synth.truth.maps import draw_map
from flipdetect.zoo import DEFAULT

UNSEEN_SEED, HEIGHT = 1000, 384
LEAST = 0.02
"""Share of the pages that hands cover in each frame, at least."""

Mask = NDArray[np.bool_]


def covered_frames(config: SynthConfig, count: int) -> Iterator[tuple[Clip, float, Mask, float]]:
    """Clips at rest, a moment of each, where the pages are then, and the share of them that hands cover."""
    for index in range(config.sources):
        clip = sample_clip(config, 2 * index + 1)
        moment = 0.5 * clip.duration
        width, height = config.frame_size(index)
        pages = np.zeros((height, width), np.uint8)
        known = page_outlines(config, clip, moment)
        for page in (known.left, known.right):
            cv2.fillPoly(pages, [np.round(page).astype(np.int32)], 1)
        hands = cv2.resize(draw_map(config, clip, moment)[..., 2], (width, height)) > 127
        if pages.any() and (share := float(hands[pages > 0].mean())) > LEAST:
            yield clip, moment, pages > 0, share
            count -= 1
        if not count:
            return


def use_tone(tone: int) -> None:
    """Give everybody the skin tone `tone`, 1 to 10 on the Monk scale."""

    def sample(*rngs: Any) -> Person:
        skin = (np.array(SKIN_TONES[tone - 1]) / 255) ** 2.2
        return replace(sample_person(*rngs), tone=tone, skin=tuple(skin.tolist()))

    scene.sample_person = sample  # type: ignore[assignment]
    for cached in (scene.sample_source, scene.paint_skin, scene.dress_hand):
        cached.cache_clear()


def main(
    model: Annotated[str, Option(help="Name or path.")] = DEFAULT,
    frames: Annotated[int, Option(help="Frames of each tone.")] = 24,
) -> None:
    """Print the error of the covered share for each tone."""
    network, config = load_model(model), SynthConfig(UNSEEN_SEED, 40 * frames, 2, 1, HEIGHT)
    chosen, errors = list(covered_frames(config, frames)), []
    truth = np.array([share for *_, share in chosen])
    for tone in range(1, len(SKIN_TONES) + 1):
        use_tone(tone)
        found = []
        for clip, moment, pages, _ in chosen:
            image, _ = expose_clip(config, clip, moment)
            _, maps = network.predict_with_maps(prepare_frame(network.preprocess, image)[np.newaxis])
            if maps is None:
                raise SystemExit(f"{model} has no map of hands; choose one that has, such as {DEFAULT}")
            hands = network.preprocess.unplace(maps[0], *pages.shape)
            hands = cv2.resize(hands, pages.shape[::-1], interpolation=cv2.INTER_LINEAR)
            found.append(float((hands > HAND)[pages].mean()))
        errors.append(float(np.abs(np.array(found) - truth).mean()))
        print(
            f"tone {tone}: covered {np.mean(found):.3f} (true {truth.mean():.3f}), mean error {errors[-1]:.3f}",
            flush=True,
        )
    print(f"{len(chosen)} frames a tone; worst against best error: {max(errors) / min(errors):.2f}")


if __name__ == "__main__":
    typer.run(main)

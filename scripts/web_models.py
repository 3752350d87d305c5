"""Put the models of the phone page (web/) and all that it has to know of them into a folder: `make web` runs it.

`models.json` holds, of each model, what its ONNX metadata and its `.events.yaml` say, so that no figure is written
into the page by hand.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import typer

import flipdetect
from flipdetect.atomic import writing
from flipdetect.inference.load import INT8_SUFFIX
from flipdetect.inference.onnx_model import HANDS, INPUT, LOGITS, SUFFIX, load_onnx
from flipdetect.inference.settings import settings_of
from flipdetect.pages import network
from flipdetect.pipeline import capture_session
from flipdetect.pipeline.live import CaptureParameters
from flipdetect.stills import page_finder, quality
from flipdetect.zoo import FOLDER, PAGE_NETWORK

MODELS = {"ensemble": INT8_SUFFIX, "tiny_cnn": SUFFIX}
"""Model and which of its files, the best first: the page takes the first one that the phone runs fast enough."""
MEASURES = {
    quality: ("SIDE", "HAND", "HAND_BORDER", "COARSE", "STILL_NOISE"),
    page_finder: ("PAGES_SIDE", "LEAST_SHARE", "EVERY", "UPDATE_WEIGHT"),
    network: ("LONG_SIDE", "STRIDE", "SECOND_PIECE"),
    capture_session: ("DARKEST_PAPER", "LEAST_GREY", "LEAST_ENERGY"),
}
"""Constants that web/src/quality.js and pages.js need, by the module that explains them."""


def facts_of(name: str, path: Path) -> dict[str, Any]:
    """All that the page has to know of a model."""
    model, settings = load_onnx(path, threads=1), settings_of(path)
    return {
        "name": name,
        "file": path.name,
        "bytes": path.stat().st_size,
        "input": INPUT,
        "logits": LOGITS,
        "hands": HANDS if model.has_maps else None,
        "preprocess": model.preprocess.to_dict(),
        "threshold": settings.asked_threshold,
        "events": {"hmm": settings.hmm.to_dict(), "least_peak": settings.least_peak},
    }


def main(output: Path = Path("web/generated")) -> None:
    """Copy the models and write `models.json` into the folder that web/build.js reads."""
    output.mkdir(parents=True, exist_ok=True)
    paths = {name: FOLDER / f"{name}{suffix}" for name, suffix in MODELS.items()}
    for path in (*paths.values(), PAGE_NETWORK):
        shutil.copyfile(path, output / path.name)
    facts = {
        "version": flipdetect.__version__,
        "models": [facts_of(*item) for item in paths.items()],
        "pages": {"file": PAGE_NETWORK.name},
        "capture": CaptureParameters().to_dict(),
        "measures": {name.lower(): getattr(module, name) for module, names in MEASURES.items() for name in names},
    }
    with writing(output / "models.json") as part:
        part.write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)

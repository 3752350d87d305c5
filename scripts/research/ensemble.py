"""Make the default model from two pretrained networks: ensemble.onnx, ensemble.int8.onnx, and the card.

Its logit is the mean of those of efficientnet_lite0 and tiny_cnn: two different networks make different errors.
Threshold and temperature are chosen on the real frames.

Example: python scripts/research/ensemble.py --choose-on frames/ --calibrate-on data/release
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from ship import decide_on_photographs
from torch import Tensor, nn
from torch.nn import functional as F

import flipdetect
from flipdetect.atomic import write_text
from flipdetect.cli.messages import hush_libraries, set_up_logging
from flipdetect.data.index import index_frames
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.export.onnx import trace
from flipdetect.export.onnx_files import sample_frames, store_float16, write_model
from flipdetect.export.quantize import quantize_checked
from flipdetect.inference.onnx_model import HANDS, LOGITS, ONNX_VERSION, file_digest, load_onnx
from flipdetect.inference.torch_model import TorchModel, load_torch_model
from flipdetect.models.evidence_maps import MAPS
from flipdetect.runs import NO_TEMPERATURE
from flipdetect.tasks.decision import Decision
from flipdetect.zoo import ENSEMBLE, FOLDER, pretrained_path

FIRST, SECOND = "efficientnet_lite0", "tiny_cnn"


class Resized(nn.Module):
    """A network that sees the frames as high as its own input, normalised as it was trained.

    Bilinear resizing with antialiasing is linear along each axis, so it is written as two products of matrices, which
    every runtime computes alike.
    """

    def __init__(self, network: nn.Module, given: PreprocessSpec, own: PreprocessSpec) -> None:
        super().__init__()
        self.network = network
        width = round(own.height * given.width / given.height)
        self.register_buffer("rows", _resizing(given.height, own.height))
        self.register_buffer("columns", _resizing(given.width, width).T.contiguous())
        mean, std = torch.tensor(own.mean), torch.tensor(own.std)
        self.register_buffer("scale", (torch.tensor(given.std) / std)[:, None, None])
        self.register_buffer("shift", ((torch.tensor(given.mean) - mean) / std)[:, None, None])

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) float32 -> (B,) logits."""
        return self.network((self.rows @ frames @ self.columns) * self.scale + self.shift)


class Ensemble(nn.Module):
    """(B, 3, H, W) float32, preprocessed for the first network -> logits (B,) and maps of hands (B, h, w)."""

    def __init__(self, first: TorchModel, second: TorchModel, temperature: float) -> None:
        super().__init__()
        self.first = first.task.model
        self.second = Resized(second.task.model, first.preprocess, second.preprocess)
        self.temperature = temperature

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        first, maps = self.first.forward_maps(frames)
        logits = (first + self.second(frames)) / 2
        return logits / self.temperature, maps[:, MAPS.index("hands")].sigmoid()


def _resizing(old: int, new: int) -> Tensor:
    """(new, old) matrix that resizes a line of `old` pixels."""
    return F.interpolate(torch.eye(old)[None, None], size=(new, old), mode="bilinear", antialias=True)[0, 0]


def main(
    choose_on: Annotated[Path, typer.Option(help="labelled frames that nothing was trained on")],
    calibrate_on: Annotated[Path, typer.Option(help="frames for the 8-bit model")],
    output: Annotated[Path, typer.Option(help="folder of the pretrained models")] = FOLDER,
) -> None:
    """Make the model."""
    set_up_logging()
    hush_libraries()
    first, second = (load_torch_model(pretrained_path(name, output), "cpu") for name in (FIRST, SECOND))
    records = index_frames(choose_on, classes=first.classes).records
    targets = np.array([record.label == first.classes.positive for record in records])
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "ensemble.onnx"
        export(first, second, Decision(0.5), draft, half=True)
        decision = decide_on_photographs(_probabilities(draft, [r.path for r in records]), targets)
        export(first, second, decision, draft)
        frames = sample_frames(calibrate_on, first.preprocess, 160)
        path = pretrained_path(ENSEMBLE, output)
        difference = quantize_checked(
            draft, frames[:128], frames[128:], path.with_suffix(".int8.onnx"), reduce_range=True
        )
    export(first, second, decision, path, half=True)
    write_text(path.with_suffix(".md"), _card(first, second, decision, len(records), difference.mean))
    print(f"{path}: threshold {decision.threshold:.4f}, temperature {decision.temperature:.4f}")


def export(first: TorchModel, second: TorchModel, decision: Decision, path: Path, *, half: bool = False) -> None:
    """Write the ensemble; `half` stores its weights as float16."""
    proto = trace(Ensemble(first, second, decision.temperature), first.preprocess, [LOGITS, HANDS])
    if half:
        store_float16(proto.graph)
    facts = {
        "version": ONNX_VERSION,
        "name": ENSEMBLE,
        "classes": asdict(first.classes),
        "preprocess": first.preprocess.to_dict(),
        "threshold": decision.threshold,
        **({} if decision.temperature == NO_TEMPERATURE else {"temperature": decision.temperature}),
        "naming": None,
        "precision": "float16" if half else "float32",
        "source": file_digest(first.path),
        "flipdetect": flipdetect.__version__,
    }
    write_model(proto, facts, path)


def _probabilities(path: Path, files: Sequence[Path]) -> np.ndarray:
    model = load_onnx(path)
    return np.concatenate([model.probabilities(model.preprocess.load(file)[None]) for file in files])


def _card(first: TorchModel, second: TorchModel, decision: Decision, count: int, difference: float) -> str:
    size = f"{first.preprocess.height}x{first.preprocess.width}"
    return f"""# {ENSEMBLE}

The default model: the mean of the logits of [{FIRST}]({FIRST}.md) and [{SECOND}]({SECOND}.md). The second sees the
frame resized to a height of {second.preprocess.height} pixels.
Input: one frame, RGB, resized to {size} pixels (height x width, fit: letterbox). Output: the probability of `flip`,
against `notflip`. It exists as ONNX (weights stored as float16) and with 8-bit integers, for films; nothing was
trained for it.

## Intended use

To detect from a single frame of a video of a book whether a page is being turned, so that stills can be taken
between the turns. It is not meant for decisions about people.

    flipdetect predict frames/
    model = flipdetect.load()

To fine-tune, start from `efficientnet_lite0` (configs/finetune.yaml).

## Data

Both networks were trained on rendered books only; see their cards. Threshold and temperature
were chosen on {count} labelled frames and stills of real books, on which nothing was trained. Metrics on these frames
are therefore validation results.

## Threshold

{decision.threshold:.4f}, the lowest with an F1 within 0.01 of the best. Logits are divided by
{decision.temperature:.4f} to become probabilities. Those of the 8-bit model differ by {difference:.3f} on average.

## Limits

Scores of real and of rendered frames lie at different levels, and levels differ from book to book: on your own frames,
check the threshold, or fine-tune. Metrics by data set: docs/research/evaluation.md.
"""


if __name__ == "__main__":
    typer.run(main)

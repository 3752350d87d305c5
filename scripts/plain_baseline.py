"""The yardstick of the benchmark: training and prediction as one would write them without this program.

ImageFolder, PIL, torchvision transforms, a plain PyTorch loop, one image at a time at prediction; all at the defaults
of these libraries: frames decoded whole, anew in every epoch and by the process that trains, NCHW, float32. The
networks and weights are flipdetect's own, because the same network is to be compared; nothing else of it is used.

    python scripts/plain_baseline.py train --folder frames/ --model mobilenet_v2 --height 192 --width 108 --epochs 10
    python scripts/plain_baseline.py predict --folder frames/ --model mobilenet_v2 --output predictions.csv
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, random_split
from torchvision import transforms
from torchvision.datasets import ImageFolder

from flipdetect.models import MobileNetV2, ResNet18, TinyCNN
from flipdetect.models.safetensors import read_facts, read_tensors
from flipdetect.zoo import shipped_path

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDES = (0.7, 0.15, 0.15)  # train, validation and test, as flipdetect divides


def build(name: str) -> nn.Module:
    """An untrained network, as the shipped configurations have it."""
    if name == "tiny_cnn":
        return TinyCNN(evidence="maps")
    if name == "mobilenet_v2":
        return MobileNetV2(weights="none", evidence="maps")
    return ResNet18(weights="none", evidence="maps")


def evaluation_transform(height: int, width: int) -> transforms.Compose:
    """What a picture becomes before the network sees it."""
    return transforms.Compose(
        [transforms.Resize((height, width)), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    )


def training_transform(height: int, width: int) -> transforms.Compose:
    """The same with the usual augmentations."""
    return transforms.Compose(
        [
            transforms.Resize((height, width)),
            transforms.RandomHorizontalFlip(),
            transforms.RandomVerticalFlip(),
            transforms.RandomAffine(10, translate=(0.08, 0.08), scale=(0.85, 1.3), shear=4),
            transforms.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )


def train(options: argparse.Namespace) -> dict[str, Any]:
    """Train for some epochs with validation after each, then test; returns what it took."""
    torch.manual_seed(0)
    seen = ImageFolder(options.folder, training_transform(options.height, options.width))
    judged = ImageFolder(options.folder, evaluation_transform(options.height, options.width))
    sides = [random_split(each, SIDES, torch.Generator().manual_seed(0)) for each in (seen, judged)]
    workers = {"batch_size": options.batch_size, "num_workers": options.workers}
    training = DataLoader(sides[0][0], shuffle=True, drop_last=True, **workers)
    validation, test = DataLoader(sides[1][1], **workers), DataLoader(sides[1][2], **workers)
    model = build(options.model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    criterion = nn.BCEWithLogitsLoss()
    best, epochs = -1.0, []
    for _ in range(options.epochs):
        begun = time.perf_counter()
        model.train()
        for images, targets in training:
            optimizer.zero_grad()
            loss = criterion(model(images), targets.float())
            loss.backward()
            optimizer.step()
        accuracy = evaluate(model, validation)
        if accuracy > best:
            best = accuracy
            torch.save(model.state_dict(), options.output or "plain.pt")
        epochs.append(time.perf_counter() - begun)
    return {"epoch_s": epochs, "train_frames": len(sides[0][0]), "test": evaluate(model, test)}


@torch.no_grad()
def evaluate(model: nn.Module, loader: DataLoader[Any]) -> float:
    """The share of frames told right."""
    model.eval()
    right = count = 0
    for images, targets in loader:
        right += int(((model(images) > 0) == targets.bool()).sum())
        count += len(targets)
    return right / max(1, count)


def predict(options: argparse.Namespace) -> dict[str, Any]:
    """Score the frames below a folder, one at a time; returns what it took, without imports and a first frame."""
    model, height, width = shipped(options.model)
    transform = evaluation_transform(height, width)
    paths = sorted(path for path in Path(options.folder).rglob("*.jpg"))
    score(model, transform, paths[0])
    begun = time.perf_counter()
    with Path(options.output or "plain.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "probability"))
        for path in paths:
            writer.writerow((path, score(model, transform, path)))
    return {"work_s": time.perf_counter() - begun, "frames": len(paths)}


def shipped(name: str) -> tuple[nn.Module, int, int]:
    """A network with the weights that ship with flipdetect, and its input's height and width."""
    path = shipped_path(name)
    facts = read_facts(path)
    assert facts is not None
    arguments = {key: facts["arguments"][key] for key in ("width", "evidence") if key in facts["arguments"]}
    model = MobileNetV2(weights="none", **arguments) if name == "mobilenet_v2" else TinyCNN(**arguments)
    weights = {key.removeprefix("model."): value for key, value in read_tensors(path).items()}
    model.load_state_dict({key: weights[key] for key in model.state_dict()})
    model.mirrored = facts["arguments"].get("mirrored", False)
    return model.eval(), facts["preprocess"]["height"], facts["preprocess"]["width"]


@torch.no_grad()
def score(model: nn.Module, transform: transforms.Compose, path: Path) -> float:
    """The probability of one image file."""
    image = transform(Image.open(path).convert("RGB"))
    return float(torch.sigmoid(model(image.unsqueeze(0))))


def main(args: Sequence[str] | None = None) -> int:
    """Run as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=("train", "predict"))
    parser.add_argument("--folder", required=True, help="flip/ and notflip/ with frames")
    parser.add_argument("--model", choices=("tiny_cnn", "mobilenet_v2", "resnet18"), default="mobilenet_v2")
    parser.add_argument("--output", help="weights, or table of scores")
    parser.add_argument("--height", type=int, default=192)
    parser.add_argument("--width", type=int, default=108)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--workers", type=int, default=0, help="loader processes (default: torch's own, none)")
    parser.add_argument("--json", help="file for what it took")
    options = parser.parse_args(args)
    ready = time.perf_counter()
    found = (train if options.work == "train" else predict)(options)
    found["total_s"] = time.perf_counter() - ready  # without imports
    if options.json:
        Path(options.json).write_text(json.dumps(found))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

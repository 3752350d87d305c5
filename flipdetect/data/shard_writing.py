"""Write a split data set as shards: tar files that WebDataset reads. It can be interrupted and goes on."""

from __future__ import annotations

import csv
import hashlib
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flipdetect.atomic import replacing, write_csv, write_text
from flipdetect.data.contents import look_of
from flipdetect.data.masks import mask_files
from flipdetect.data.shards import COLUMNS, FRAMES_NAME, MASK_SUFFIX, SHARDS_NAME, Shard, ShardList, read_shard_list
from flipdetect.data.splits import SIDES, Split
from flipdetect.errors import ConfigError, DataError, FrameError
from flipdetect.progress import progress_bar
from flipdetect.records import FrameRecord
from flipdetect.sources.folder import Problem, name_below
from flipdetect.sources.image import decode_frame, read_bytes

ROWS_SUFFIX = ".rows"
PLAN_NAME = "plan.txt"
# Numbers of shards are multiples of this, so that two or four readers have equally many.
EVEN_COUNT = 4
# Decoding at an eighth of the size finds what is damaged, and costs little.
_LOOK = (32, 32)


@dataclass(frozen=True, slots=True)
class Planned:
    """A shard to be written: its name, its side, and its frames in order."""

    name: str
    side: str
    records: tuple[FrameRecord, ...]


def plan_shards(split: Split, shard_frames: int, seed: int = 0) -> list[Planned]:
    """Deal the frames of each side to shards of about one size, at most `shard_frames` each.

    Training frames are shuffled: a stream mixes neighbours alone. The others keep their order.

    Raises:
        ConfigError: if `shard_frames` is below 1.
    """
    if shard_frames < 1:
        raise ConfigError(f"--shard-frames must be at least 1, got {shard_frames}")
    planned = []
    for side in SIDES:
        records = split.side(side)
        order = np.arange(len(records))
        if side == "train":
            order = np.random.default_rng(seed).permutation(len(records))
        count = -(-len(records) // shard_frames)
        if count > EVEN_COUNT:
            count += -count % EVEN_COUNT
        for number, part in enumerate(np.array_split(order, count) if count else ()):
            planned.append(Planned(f"{side}-{number:05d}.tar", side, tuple(records[i] for i in part)))
    return planned


def write_shards(
    split: Split, root: Path, output: Path, *, shard_frames: int = 1000, seed: int = 0
) -> tuple[ShardList, list[Problem]]:
    """Write shards, their table and their list; those that an interrupted run has finished are kept.

    Args:
        split: the frames and their sides.
        root: the folder that names in the shards are relative to, and in which masks are looked for.
        output: the folder to write.
        shard_frames: frames of a shard, at most.
        seed: of the order of training frames.

    Returns:
        What was written, and files that could not be used.

    Raises:
        DataError: if the folder holds other files or shards of other frames, or none could be used.
        ConfigError: if `shard_frames` is below 1, or WebDataset is not installed.
    """
    _tar_writer()
    planned = plan_shards(split, shard_frames, seed)
    plan = _plan_hash(planned, root)
    _claim(output, plan)
    if (output / SHARDS_NAME).is_file():
        return read_shard_list(output), []
    masks = mask_files(split.records, root)[1]
    problems: list[Problem] = []
    with progress_bar(total=len(split.records), desc="writing shards", unit="frame", delay=2) as bar:
        for shard in planned:
            rows = (output / shard.name).with_suffix(ROWS_SUFFIX)
            if not ((output / shard.name).is_file() and rows.is_file()):
                problems += _write_shard(shard, root, output, rows, masks)
            bar.update(len(shard.records))
    return _finish(planned, split, output, plan), problems


def _claim(output: Path, plan: str) -> None:
    """Make the folder, or see that it is one of ours, of the same frames."""
    output.mkdir(parents=True, exist_ok=True)
    mark = output / PLAN_NAME
    if mark.is_file():
        if mark.read_text("utf-8").strip() != plan:
            raise DataError(
                f"{output} holds shards of other frames, another split or another size; give another --output, or "
                "delete it"
            )
        return
    if any(output.iterdir()):
        raise DataError(f"{output} is not empty and holds no shards of ours; give another --output")
    write_text(mark, plan + "\n")


def _plan_hash(planned: Sequence[Planned], root: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for shard in planned:
        digest.update(repr((shard.name, len(shard.records))).encode())
        for record in shard.records:
            facts = (name_below(record.path, root), record.label, record.video, look_of(record.file))
            digest.update(repr(facts).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _tar_writer() -> Any:
    try:
        from webdataset import TarWriter
    except ImportError:
        raise ConfigError("shards are written by WebDataset: pip install 'flipdetect[shards]'") from None
    return TarWriter


def _write_shard(shard: Planned, root: Path, output: Path, rows: Path, masks: dict[str, str]) -> list[Problem]:
    """Write one tar file, then its rows of the table."""
    problems: list[Problem] = []
    kept: list[FrameRecord] = []
    with replacing(output / shard.name) as part:
        with part.open("wb") as file, _tar_writer()(file, encoder=False, compress=False, mtime=0) as tar:
            for record in shard.records:
                try:
                    sample = _sample(record, root, masks)
                except FrameError as error:
                    problems.append(Problem(record.path, str(error).removeprefix(f"{record.file}: ")))
                    continue
                tar.write({"__key__": f"{len(kept):06d}", **sample})
                kept.append(record)
        places = _places(part)
    lines = []
    for number, record in enumerate(kept):
        frame, mask = places[f"{number:06d}"]
        facts = (name_below(record.path, root), record.label, record.video, record.source or "")
        number_text = "" if record.frame is None else record.frame
        lines.append((*facts, number_text, shard.side, shard.name, *frame, *mask))
    write_csv(rows, COLUMNS, lines)
    return problems


def _sample(record: FrameRecord, root: Path, masks: dict[str, str]) -> dict[str, bytes]:
    """What a shard holds of a frame, by suffix.

    Raises:
        FrameError: if the frame cannot be decoded.
    """
    data = read_bytes(record.path)
    try:
        decode_frame(data, min_size=_LOOK)
    except FrameError as error:
        raise FrameError(f"{record.file}: {str(error).split(': ', 1)[-1]}") from None
    facts = {
        "path": name_below(record.path, root),
        "label": record.label,
        "video": record.video,
        "source": record.source,
        "frame": record.frame,
        "extra": dict(record.extra),
    }
    sample = {record.path.suffix[1:].lower(): data, "json": json.dumps(facts).encode()}
    if record.file in masks:
        mask = read_bytes(Path(masks[record.file]))
        try:
            decode_frame(mask)
            sample[MASK_SUFFIX] = mask
        except FrameError:
            pass  # the frame teaches without maps
    return sample


def _places(tar: Path) -> dict[str, tuple[tuple[int, int], tuple[int, int] | tuple[str, str]]]:
    """(first byte, bytes) of each key's frame, and of its mask if it has one."""
    frames: dict[str, tuple[int, int]] = {}
    masks: dict[str, tuple[int, int]] = {}
    with tarfile.open(tar, "r:") as members:
        for member in members:
            key, suffix = member.name.split(".", 1)
            if suffix != "json":
                (masks if suffix == MASK_SUFFIX else frames)[key] = (member.offset_data, member.size)
    return {key: (place, masks.get(key, ("", ""))) for key, place in frames.items()}


def _finish(planned: Sequence[Planned], split: Split, output: Path, plan: str) -> ShardList:
    """Join the rows to one table, and write the list of shards last: with it, the set is complete."""
    shards = []
    with replacing(output / FRAMES_NAME) as part, part.open("w", encoding="utf-8", errors="surrogateescape") as table:
        table.write(",".join(COLUMNS) + "\n")
        for shard in planned:
            tar = output / shard.name
            rows = list(_rows(tar.with_suffix(ROWS_SUFFIX)))
            csv.writer(table, lineterminator="\n").writerows(rows)
            if rows:
                shards.append(Shard(shard.name, shard.side, len(rows), tar.stat().st_size))
    found = ShardList(output, split.classes, tuple(shards), plan)
    if not found.paths("train"):
        raise DataError(f"no training frame could be used, so that {output} holds no shard of them")
    write_text(output / SHARDS_NAME, found.to_json())
    for shard in planned:
        (output / shard.name).with_suffix(ROWS_SUFFIX).unlink(missing_ok=True)
    return found


def _rows(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        yield from reader

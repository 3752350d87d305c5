"""A data set in shards: tar files of frames (the layout of WebDataset), and a table that says what lies where.

    shards/
      frames.csv            one row per frame: what it is, its side of the split, its shard, and where in it
      shards.json           version, classes, and the shards with their sides and numbers of frames
      train-00000.tar       <key>.jpg, <key>.json and, if the frame has a mask, <key>.mask.png
      val-00000.tar, ...

The training side is read as a stream, shard by shard, which suits disks and networks; validation and test are read in
order, each frame where the table says. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flipdetect.data.frame_set import Frame
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import DataError, FrameError
from flipdetect.records import ClassNames, FrameRecord

SHARDS_VERSION = 1
SHARDS_NAME = "shards.json"
FRAMES_NAME = "frames.csv"
COLUMNS = (
    "path", "label", "video", "source", "frame", "split", "shard", "offset", "size", "mask_offset", "mask_size"
)  # fmt: skip
MASK_SUFFIX = "mask.png"


@dataclass(frozen=True, slots=True)
class Shard:
    """A tar file: its name, the side of the split that its frames are on, how many they are, and its size."""

    name: str
    side: str
    frames: int
    bytes: int


@dataclass(frozen=True)
class ShardList:
    """What `shards.json` says.

    Attributes:
        folder: where the shards lie.
        classes: names of the two classes.
        shards: in order.
        plan: what the shards were made of, as a hash.
    """

    folder: Path
    classes: ClassNames
    shards: tuple[Shard, ...]
    plan: str = ""

    def paths(self, side: str) -> list[Path]:
        """The shards of one side."""
        return [self.folder / shard.name for shard in self.shards if shard.side == side]

    def to_json(self) -> str:
        """The text of `shards.json`."""
        plain: dict[str, Any] = {
            "version": SHARDS_VERSION,
            "classes": asdict(self.classes),
            "plan": self.plan,
            "shards": [asdict(shard) for shard in self.shards],
        }
        return json.dumps(plain, indent=2) + "\n"


def read_shard_list(folder: Path) -> ShardList:
    """Read `shards.json`, and see that all shards are there.

    Raises:
        DataError: if the folder holds no shards, or they are of another version, incomplete or damaged.
    """
    path = folder / SHARDS_NAME
    if not path.is_file():
        raise DataError(
            f"{folder} holds no finished shards ({SHARDS_NAME} is absent); make them with python "
            f"scripts/make_shards.py --folder-path FRAMES --output {folder}"
        )
    try:
        plain = json.loads(path.read_text("utf-8"))
        if plain["version"] != SHARDS_VERSION:
            raise DataError(
                f"{path} has version {plain['version']}, this program reads version {SHARDS_VERSION}; make them anew"
            )
        shards = tuple(Shard(**shard) for shard in plain["shards"])
        found = ShardList(folder, ClassNames(**plain["classes"]), shards, str(plain["plan"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error}); make the shards anew") from None
    for shard in shards:
        # A set that was downloaded must not make the program read other files.
        if Path(shard.name).name != shard.name or not shard.name.endswith(".tar"):
            raise DataError(f"{path} names the shard {shard.name!r}, which is no file name of a shard; make them anew")
        file = folder / shard.name
        if not file.is_file() or file.stat().st_size != shard.bytes:
            raise DataError(f"the shard {file} is absent or cut short; copy it again, or make the shards anew")
    return found


class ShardFrames:
    """Frames, or their masks, where they lie in the shards; each is decoded when it is asked for.

    Args:
        files: names of the frames.
        spec: the size they are brought to.
        places: for each its shard, first byte and number of bytes.
    """

    def __init__(self, files: Sequence[str], spec: PreprocessSpec, places: Sequence[tuple[Path, int, int]]) -> None:
        self.files = tuple(files)
        self.spec = spec
        shards = {path: number for number, path in enumerate(dict.fromkeys(place[0] for place in places))}
        self._shards = tuple(shards)
        self._shard = np.array([shards[place[0]] for place in places], np.int32)
        self._span = np.array([place[1:] for place in places], np.int64).reshape(-1, 2)

    def __getitem__(self, position: int) -> Frame:
        """(height, width, channels) uint8.

        Raises:
            FrameError: if it cannot be read or decoded.
        """
        shard = self._shards[self._shard[position]]
        offset, size = (int(number) for number in self._span[position])
        try:
            with shard.open("rb") as file:
                file.seek(offset)
                data = file.read(size)
        except OSError as error:
            raise FrameError(f"{self.files[position]}: {shard} cannot be read ({error}); check the disk") from None
        return self.spec.read(data)


def places_of(records: Sequence[FrameRecord], folder: Path, prefix: str = "") -> dict[str, tuple[Path, int, int]]:
    """Where the frame of each record lies (with the prefix "mask_", its mask, if it has one), by the record's file.

    Raises:
        DataError: if the table is damaged.
    """
    found = {}
    for record in records:
        extra = record.extra
        if not extra.get(f"{prefix}size"):
            continue
        try:
            shard, offset, size = extra["shard"], int(extra[f"{prefix}offset"]), int(extra[f"{prefix}size"])
            if Path(shard).name != shard or offset < 0 or size < 0:
                raise ValueError(shard)
        except (KeyError, ValueError) as error:
            raise DataError(
                f"{folder / FRAMES_NAME} does not say where {record.path.name} lies ({error}); make the shards anew"
            ) from None
        found[record.file] = (folder / shard, offset, size)
    return found

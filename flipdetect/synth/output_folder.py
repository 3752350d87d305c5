"""A folder of rendered frames: marked with what it holds, resumable, and never half a file."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flipdetect.errors import DataError
from flipdetect.synth.config import RENDER_VERSION

log = logging.getLogger(__name__)

STARTED = "rendering.json"
MAKER = "flipdetect.synth"
OWN_FRAME = re.compile(r"\d{4}_\d{9}\.jpg(\.part)?")
OWN_MAP = re.compile(r"\d{4}_\d{9}\.png(\.part)?")
MAPS = ".maps"
"""Folder of the maps, below it one folder each as for the frames. Its dot keeps them from being taken for frames."""
PART = ".part"
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"


@dataclass(frozen=True)
class RenderReport:
    """What a rendering did.

    Attributes:
        root: its folder.
        frames: in the folder.
        rendered: frames rendered now.
        kept: frames found complete from an interrupted run.
        seconds: wall-clock time.
    """

    root: Path
    frames: int
    rendered: int
    kept: int
    seconds: float


@dataclass(frozen=True)
class RenderedFolder:
    """A folder that this package writes.

    Attributes:
        root: where it is.
        config: settings of what is rendered, as JSON holds them.
        complete: name of the marker file, written last.
        tables: names of the tables in the same folder.
        folders: names of the folders with frames.
    """

    root: Path
    config: dict[str, Any]
    complete: str
    tables: tuple[str, ...]
    folders: tuple[str, ...]

    def is_current(self) -> bool:
        """Whether the folder was completed by this version with these settings; files may since be missing."""
        return self._identity(self.complete) == self._description() and all(
            (self.root / table).is_file() for table in self.tables
        )

    def prepare(self) -> set[str]:
        """Refuse what is not ours, clear what is old, mark the rendering as begun.

        Returns:
            Paths of frames that are there already, whole, relative to the folder.

        Raises:
            DataError: if `root` is a file or holds files that were not rendered by this package.
        """
        root = self.root
        if root.exists() and not root.is_dir():
            raise DataError(f"{root} is a file; choose a folder for the rendering")
        found = self._identity(self.complete) or self._identity(STARTED)
        foreign = [path for path in self._files() if found is None or not self._is_own(path)]
        if foreign:
            raise DataError(
                f"{root} holds files that were not rendered here, such as {foreign[0].as_posix()}; "
                "choose an empty or new folder, or move them away"
            )
        if found is not None and found != self._description():
            log.warning("%s holds a rendering of another version or other settings: it is replaced", root)
            for path in self._files():
                (root / path).unlink()
        for folder in self.folders:
            (root / folder).mkdir(parents=True, exist_ok=True)
        self._write_json(STARTED, self._description())
        # From here on the rendering counts as incomplete until everything is checked again.
        (root / self.complete).unlink(missing_ok=True)
        return {path.as_posix() for path in self._complete_frames()}

    def finish(self, tables: dict[str, str], before: set[str], expected: set[str], counts: dict[str, int]) -> None:
        """Write the tables and the marker, and remove frames that do not belong to the rendering.

        Args:
            tables: text by name.
            before: frames found by `prepare`.
            expected: all frames of the rendering.
            counts: noted in the marker.
        """
        for name, text in tables.items():
            self.write(name, text.encode())
        for stray in before - expected:
            (self.root / stray).unlink()
            (self.root / map_path(stray)).unlink(missing_ok=True)
        self._write_json(self.complete, {**self._description(), "counts": counts})
        (self.root / STARTED).unlink(missing_ok=True)

    def write(self, path: str, data: bytes) -> None:
        """Write a file so that it is either there as a whole or not at all."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + PART)
        part.write_bytes(data)
        part.replace(target)

    def _description(self) -> dict[str, Any]:
        return {"maker": MAKER, "version": RENDER_VERSION, "config": self.config}

    def _identity(self, name: str) -> dict[str, Any] | None:
        """The part of a marker file that identifies program, version and settings."""
        try:
            content = json.loads((self.root / name).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
            return None
        if not isinstance(content, dict) or content.get("maker") != MAKER:
            return None
        return {key: content.get(key) for key in ("maker", "version", "config")}

    def _files(self) -> list[Path]:
        """Files in the folder, relative to it; what systems leave behind (.DS_Store) does not count."""
        if not self.root.is_dir():
            return []
        found = (path for path in self.root.rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(self.root) for path in found)

    def _is_own(self, path: Path) -> bool:
        if len(path.parts) == 1:
            return path.name.removesuffix(PART) in (self.complete, STARTED, *self.tables)
        own_map = len(path.parts) == 3 and path.parts[0] == MAPS and bool(OWN_MAP.fullmatch(path.name))
        own_frame = len(path.parts) == 2 and bool(OWN_FRAME.fullmatch(path.name))
        return (own_map or own_frame) and path.parts[-2] in self.folders

    def _complete_frames(self) -> list[Path]:
        """Frames that are whole JPEG files; half-written ones are removed."""
        whole = []
        for path in self._files():
            if path.name.endswith(PART):
                (self.root / path).unlink()
            elif path.suffix == ".jpg":
                data = (self.root / path).read_bytes()
                if data.startswith(JPEG_START) and data.endswith(JPEG_END):
                    whole.append(path)
                else:
                    (self.root / path).unlink()
        return whole

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        self.write(name, (json.dumps(content, indent=2) + "\n").encode())


def map_path(frame_path: str) -> str:
    """Where the map of a frame belongs: .maps/flip/0001_000000010.png."""
    return f"{MAPS}/{frame_path.removesuffix('.jpg')}.png"

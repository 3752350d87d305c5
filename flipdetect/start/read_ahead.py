"""Frames rendered and decoded into the cache by a process of its own, while the program imports torch for seconds.

What it finishes is found in the cache; what it leaves undone, or cannot understand, is done and reported by the data
module as ever.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flipdetect.data.cache import ChunkCache, decode_frames
from flipdetect.data.index import index_frames
from flipdetect.data.masks import read_masks
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.data.rehearsal import RENDERED_CLASSES, EmbeddedData
from flipdetect.errors import FlipdetectError
from flipdetect.records import ClassNames
from flipdetect.sources.naming import NamePattern
from flipdetect.synth import SynthConfig

NICE = 5
"""Lower priority: on two cores, importing goes first."""


class ReadAhead:
    """The process; none if the program has imported torch already, or is one of several that train together.

    Args:
        settings: `data` of a training's configuration, as YAML gives it.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        folders = [settings["cache_dir"], settings["mix_in"] and settings["mix_in"]["embedded"]["root"]]
        paths = [Path(folder).expanduser() for folder in folders if folder]
        absent = [[each for each in (path, *path.parents) if not each.exists()] for path in paths]
        self._created = [each[-1] for each in absent if each]  # the topmost that would have to be created
        if "torch" in sys.modules or os.environ.get("LOCAL_RANK", "0") != "0":
            return
        package = Path(__file__).resolve().parents[2]
        path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-m", __name__, json.dumps(settings, default=str)]
        self._process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})

    def wait(self) -> None:
        """Wait until it has finished."""
        if self._process is not None:
            self._process.wait()

    def end(self, *, discard: bool) -> None:
        """End it; discard: delete the folders that it created, as a configuration that is refused leaves nothing."""
        if self._process is None:
            return
        self._process.terminate()
        self._process.wait()
        for folder in self._created if discard else ():
            shutil.rmtree(folder, ignore_errors=True)


def render(settings: Mapping[str, Any]) -> None:
    """Render the frames that a `FrameDataModule` of these settings mixes in."""
    if settings["mix_in"]:
        rendered = settings["mix_in"]["embedded"]
        EmbeddedData(rendered["root"], SynthConfig(**rendered["render"])).render_if_needed()


def decode(settings: Mapping[str, Any]) -> None:
    """Decode all of its frames into its cache."""
    if settings["cache_dir"] is None:
        return
    cache = ChunkCache(Path(settings["cache_dir"]).expanduser() / "frames", int(settings["cache_gb"] * 2**30))
    spec = PreprocessSpec(**settings["preprocess"])
    naming, manifest = settings["naming"], settings["manifest"]
    own = {
        "classes": ClassNames(**settings["classes"]),
        "pattern": NamePattern(**naming) if naming else None,
        "manifest": Path(manifest).expanduser() if manifest else None,
    }
    sets: list[tuple[Path, dict[str, Any]]] = [(Path(settings["root"]).expanduser(), own)]
    if settings["mix_in"]:
        sets.append((Path(settings["mix_in"]["embedded"]["root"]), {"classes": RENDERED_CLASSES}))
    for root, how in sets:
        index = index_frames(root, check=False, **how)
        frames = decode_frames([record.file for record in index.records], spec, cache)
        good = [record for place, record in enumerate(index.records) if place not in frames.failures]
        read_masks(good, index.root, spec, cache)


if __name__ == "__main__":
    logging.disable()  # the data module says the same
    if hasattr(os, "nice"):  # not on Windows
        os.nice(NICE)
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, signal.default_int_handler)  # the renderer ends its own processes
    try:
        _settings = json.loads(sys.argv[1])
        render(_settings)
        for _number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(_number, signal.SIG_DFL)
        decode(_settings)
    except (FlipdetectError, OSError, TypeError, ValueError, KeyError, KeyboardInterrupt):
        sys.exit(1)  # the data module meets the same, and reports it

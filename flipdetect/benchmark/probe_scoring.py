"""Measured in a process of its own: how fast files and frames are scored. Imports no torch unless an engine does.

python -m flipdetect.benchmark.probe_scoring folder --folder frames/ --model mobilenet_v2
python -m flipdetect.benchmark.probe_scoring limit --folder frames/ --model mobilenet_v2
python -m flipdetect.benchmark.probe_scoring latency --folder frames/ --model mobilenet_v2
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from flipdetect.atomic import write_text
from flipdetect.cli import inference
from flipdetect.errors import DataError
from flipdetect.inference.cores import usable_cores
from flipdetect.inference.folder import BATCH, SINGLE_BATCH
from flipdetect.inference.load import load_model
from flipdetect.inference.model import Model
from flipdetect.sources.folder import find_files
from flipdetect.sources.image import decode_frame

WARM_UP = 20


def folder(options: argparse.Namespace) -> dict[str, Any]:
    """The command on a folder, as a user gives it; without imports, after a run on one frame."""
    files = _files(options)
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "one").mkdir()
        shutil.copy(files[0], Path(scratch) / "one")
        _predict(Path(scratch) / "one", scratch, options)
        seconds = _seconds(lambda: _predict(Path(options.folder), scratch, options))
    return {"work_s": seconds, "frames": len(files)}


def _predict(frames: Path, scratch: str, options: argparse.Namespace) -> None:
    given = ["--model", options.model] if options.checkpoint_path is None else []
    given += [] if options.checkpoint_path is None else ["--checkpoint-path", options.checkpoint_path]
    with contextlib.redirect_stdout(io.StringIO()):
        output = str(Path(scratch) / "predictions.csv")
        status = inference.main(["--folder-path", str(frames), "--output", output, "--engine", options.engine, *given])
    if status:
        raise DataError(f"inference.py failed on {frames} with status {status}")


def limit(options: argparse.Namespace) -> dict[str, Any]:
    """Decoding alone and the model alone, each on all cores and in the fastest way known."""
    files, cores = _files(options), usable_cores()
    all_cores, one_core = (load_model(_model(options), "onnx", "cpu", threads) for threads in (None, 1))
    with ThreadPoolExecutor(cores) as pool:
        frames = np.stack(list(pool.map(one_core.preprocess.load, files)))
        decode_s = _seconds(lambda: list(pool.map(one_core.preprocess.load, files)))
        small = [frames[place : place + SINGLE_BATCH] for place in range(0, len(frames), SINGLE_BATCH)]
        large = [frames[place : place + BATCH] for place in range(0, len(frames), BATCH)]
        list(pool.map(one_core.probabilities, small[:cores]))
        all_cores.probabilities(large[0])
        ways = {
            "a core per call": _seconds(lambda: list(pool.map(one_core.probabilities, small))),
            "all cores per call": _seconds(lambda: [all_cores.probabilities(batch) for batch in large]),
        }
    found = {"decode_s": decode_s, "model_s": min(ways.values()), "ways": ways, "frames": len(files)}
    return found | {"stages_ms": _stages(files, one_core)}


def _stages(files: Sequence[Path], model: Model) -> dict[str, float]:
    """Milliseconds a frame of each step on one core, one after the other."""
    spec, spent = model.preprocess, dict.fromkeys(("read", "decode", "resize", "normalise", "model"), 0.0)
    for path in files:
        marks = [time.perf_counter()]
        data = path.read_bytes()
        marks.append(time.perf_counter())
        frame = decode_frame(data, min_size=(spec.height, spec.width), channels=spec.channels)
        marks.append(time.perf_counter())
        frame = spec.resize(frame)
        marks.append(time.perf_counter())
        prepared = spec.normalise(frame)[np.newaxis]
        marks.append(time.perf_counter())
        model.probabilities(prepared)
        marks.append(time.perf_counter())
        for name, first, last in zip(spent, marks, marks[1:], strict=False):
            spent[name] += last - first
    return {name: seconds * 1e3 / len(files) for name, seconds in spent.items()}


def latency(options: argparse.Namespace) -> dict[str, Any]:
    """Decoded frames in, one at a time: milliseconds of each call, and the memory that the model took."""
    frame = decode_frame(_files(options)[0])
    import_runtime()
    before = _peak_mb()
    model = load_model(_model(options), options.engine, "cpu", options.threads)
    times = [_seconds(lambda: model.predict(frame)) * 1e3 for _ in range(WARM_UP + options.calls)][WARM_UP:]
    return {
        "p50_ms": float(np.percentile(times, 50)),
        "p99_ms": float(np.percentile(times, 99)),
        "mean_ms": float(np.mean(times)),
        "calls": options.calls,
        "frame": list(frame.shape[:2]),
        "model_mb": _peak_mb() - before,
        "peak_mb": _peak_mb(),
    }


def import_runtime() -> None:
    """Import ONNX Runtime, whose own memory is not a model's."""
    importlib.import_module("onnxruntime")


def _model(options: argparse.Namespace) -> Any:
    return options.model if options.checkpoint_path is None else Path(options.checkpoint_path)


def _files(options: argparse.Namespace) -> list[Path]:
    found = list(find_files(Path(options.folder)).files)
    if not found:
        raise DataError(f"{options.folder} holds no frames")
    return found


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _peak_mb() -> float:
    """Most memory that this program has held, in MB (10^6 bytes)."""
    status = Path("/proc/self/status")
    if status.is_file():  # beside it, `getrusage` counts what the process held before it became this program
        line = next(line for line in status.read_text("utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main(args: Sequence[str] | None = None) -> int:
    """Measure as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=("folder", "limit", "latency"))
    parser.add_argument("--folder", required=True, help="frames")
    parser.add_argument("--model", default="mobilenet_v2", help="a shipped model")
    parser.add_argument("--checkpoint-path", help="a model's file, instead")
    parser.add_argument("--engine", default="auto", help="of inference.py")
    parser.add_argument("--threads", type=int, help="of ONNX Runtime; default: one per core")
    parser.add_argument("--calls", type=int, default=300, help="timed for the latency")
    parser.add_argument("--json", type=Path, required=True, help="file for what was found")
    options = parser.parse_args(args)

    found = {"folder": folder, "limit": limit, "latency": latency}[options.work](options)
    write_text(options.json, json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Score many frames and films with a pool of processes, on one machine or a cluster; Ray Data distributes the work.

The input is cut into parts: a film, or a thousand frames. A part becomes one file of rows, which appears when it is
complete, under a name that depends on the part alone: a part that is done again after a process was lost replaces
itself, and the same command goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from flipdetect.apps.batch_parts import Part, plan
from flipdetect.atomic import alone, writing
from flipdetect.errors import ConfigError, DataError, FlipdetectError, FrameError
from flipdetect.inference.load import load_model
from flipdetect.inference.model import Model
from flipdetect.inference.onnx_model import SUFFIX, file_digest
from flipdetect.inference.resolve import resolve_model
from flipdetect.inference.score import BATCH, Predictor, score_video
from flipdetect.outputs.predictions import COLUMNS, PredictionWriter, formula_read, prediction_cells
from flipdetect.progress import progress_bar
from flipdetect.records import FrameScore
from flipdetect.sources.remote import TABLES, is_url, local_files, open_place
from flipdetect.sources.streams import VideoStream

if TYPE_CHECKING:
    import pyarrow as pa

RUN_FILE = "_run.json"
"""Readers of data sets pass over names like this."""
MOST_BLOCKS = 10_000
"""Pieces of work that Ray Data keeps account of; where there are more parts, a piece has several."""
STARTS = 4
"""Attempts to start Ray, which gives its own processes 30 s each time: not enough on a busy machine."""
STORE_BYTES = 100_000_000
"""Ray's shared memory on one machine: only names and counts go through it."""

logger = logging.getLogger(__name__)


class BatchResult(NamedTuple):
    """Rows that a run has written, those of them with an error, and what could not be done or read whole, and why."""

    rows: int
    unread: int
    problems: list[str]


@dataclass(frozen=True)
class PartScorer:
    """What each process of the pool runs.

    Attributes:
        threshold: a frame with at least this probability counts as a flip.
        threads: that decode frames.
    """

    model: Path
    threshold: float
    device: str
    threads: int
    output: str
    suffix: str

    @cached_property
    def _frame_model(self) -> Model:
        return load_model(self.model, device=self.device, threads=1)

    @cached_property
    def _film_model(self) -> Model:  # the one that `flipdetect predict` takes
        return load_model(self.model, device=self.device, threads=1, fast=True)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Score a part and write its rows; returns its size, rows, rows with errors, and problems."""
        part = Part(**row)
        names = [os.fsdecode(name) for name in part.names.split(b"\0")]
        scores: list[FrameScore] = []
        problem, inside = "", ""
        try:
            with local_files(part.base, names) as folder:
                inside = f"{folder}/"
                try:
                    for batch in self._score(folder, names, part.film):
                        scores += batch
                except FrameError as error:  # of a film: what was read is kept, as `flipdetect predict` does
                    problem = str(error)
            if scores:
                shown = [replace(score, error=score.error.replace(inside, part.shown)) for score in scores]
                write_part(shown, self.output, part.file_name(self.suffix))
        except (FlipdetectError, OSError) as error:
            problem, scores = f"{part.shown}{names[0]}, {part.size} in all, not done: {error}", []
        unread = sum(score.probability is None for score in scores)
        problem = problem.replace(inside, part.shown) if inside else problem
        return {"size": part.size, "rows": len(scores), "unread": unread, "problem": problem}

    def _score(self, folder: Path, names: Sequence[str], film: str) -> Iterator[list[FrameScore]]:
        if not film:
            predictor = Predictor(self._frame_model, self.threshold, workers=self.threads)
            yield from predictor.predict([folder / name for name in names], folder)
            return
        stream = VideoStream(folder / names[0], film)
        settings: dict[str, Any] = {"video": film, "batch_size": BATCH}
        for batch in score_video(stream, self._film_model, self.threshold, **settings):
            yield [replace(score, path=names[0]) for score in batch]
        if stream.problems:
            raise FrameError(f"{stream.source}: {'; '.join(stream.problems)}")


def run_batch(
    inputs: Sequence[str],
    output: str,
    model: str | None = None,
    *,
    threshold: float | None = None,
    device: str = "auto",
    workers: int | None = None,
    suffix: str = ".parquet",
) -> BatchResult:
    """Score inputs with a pool of processes; parts that are done already are passed over.

    Ray starts on this machine, or joins the cluster that the environment variable RAY_ADDRESS names.

    Args:
        model: as for `resolve_model`; machines of a cluster need to have it under the same path.
        threshold: None for the model's own.
        workers: processes; None: one per core, or GPU.

    Raises:
        DataError: if inputs cannot be listed, or the output has parts of other inputs or of another model.
        ConfigError: if there are more workers than cores or GPUs.
        ModelError: if the model cannot be loaded.
    """
    path = resolve_model(model).absolute()
    trained = load_model(path, "torch" if device == "cuda" else "auto", "cpu")  # the error of a wrong one comes here
    limit = trained.threshold if threshold is None else threshold
    parts = plan(inputs)
    run = {
        "model": file_digest(path),
        "--threshold": f"{limit:.9g}",
        "--format": suffix,
        "inputs": hashlib.sha256(b"\n".join(part.names for part in parts)).hexdigest(),
    }
    output = output if is_url(output) else str(Path(output).absolute())
    with nullcontext() if is_url(output) else alone(Path(output, RUN_FILE)):
        done = _begin(output, run, suffix)
        left = [part for part in parts if part.file_name(suffix) not in done]
        logger.info("Model: %s (threshold %.3f); %d of %d parts are left", path, limit, len(left), len(parts))
        settings = {"model": path, "threshold": limit, "output": output, "suffix": suffix}
        result = _run(left, settings, device, workers) if left else BatchResult(0, 0, [])
        if not is_url(output):
            for unfinished in Path(output).glob(".*.part"):  # of processes that were killed
                unfinished.unlink(missing_ok=True)
    return result


def _run(parts: Sequence[Part], settings: dict[str, Any], device: str, workers: int | None) -> BatchResult:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # Ray's own processes write to their files
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    is_local = "RAY_ADDRESS" not in os.environ
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": STORE_BYTES} if is_local else {}
    result = BatchResult(0, 0, [])
    with (
        _start_ray(log_to_driver=False, logging_level=logging.ERROR, **own),
        progress_bar(total=sum(part.size for part in parts), desc="scoring", unit="file") as bar,
    ):
        found = ray.cluster_resources()
        cores, gpus = int(found.get("CPU", 1)), int(found.get("GPU", 0))
        if device == "auto":
            device = "cuda" if gpus and settings["model"].suffix != SUFFIX else "cpu"
        room = gpus if device == "cuda" else cores
        workers = workers or room
        if not 0 < workers <= room and is_local:
            raise ConfigError(f"workers need a core each, with cuda a GPU: {workers} of them, but there are {room}")
        threads = max(1, cores // workers) if device == "cuda" else 1
        DataContext.get_current().enable_progress_bars = False
        rows = [vars(part) for part in parts]
        scored = ray.data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS)).map(
            PartScorer,
            fn_constructor_kwargs={**settings, "device": device, "threads": threads},
            compute=ActorPoolStrategy(size=min(workers, len(rows))),
            num_cpus=threads,
            num_gpus=int(device == "cuda"),
        )
        for made in scored.iter_rows():
            bar.update(made["size"])
            problems = [*result.problems, made["problem"]] if made["problem"] else result.problems
            result = BatchResult(result.rows + made["rows"], result.unread + made["unread"], problems)
    return result


def _start_ray(**settings: Any) -> Any:
    """Start Ray on this machine, or join a cluster; a context that ends it.

    Raises:
        DataError: if it does not start.
    """
    import ray

    for left in reversed(range(STARTS)):
        try:
            return ray.init(**settings)
        except Exception as error:  # Ray's have no class in common
            ray.shutdown()
            if not left or "timed out" not in str(error):
                raise DataError(f"Ray cannot be started: {error}; free the machine, or check RAY_ADDRESS") from error
    raise AssertionError


def _begin(output: str, run: dict[str, str], suffix: str) -> set[str]:
    """Note what the parts in the output depend on; returns the names of those that are there already.

    Raises:
        DataError: if these depend on something else, or the output cannot be written to.
    """
    files, root = open_place(output)
    note = f"{root}/{RUN_FILE}"
    try:
        files.makedirs(root, exist_ok=True)
        names = {PurePosixPath(path).name for path in files.ls(root, detail=False)}
        done = {name for name in names if name.startswith("part-") and PurePosixPath(name).suffix in TABLES}
        before = json.loads(files.cat_file(note)) if done and RUN_FILE in names else {}
        if not done:
            files.pipe_file(note, json.dumps(run, indent=2).encode())
    except (OSError, ValueError) as error:
        raise DataError(f"{output} cannot be used: {error}; choose another --output") from error
    changed = [key for key, value in run.items() if before.get(key) != value] if done else []
    if changed:
        raise DataError(
            f"{output} has parts of a run with a different {' and '.join(changed)}; choose another --output, or use "
            "the same options and inputs to go on"
        )
    return done


TEXTS = ("path", "video", "label", "error")


def write_part(scores: Sequence[FrameScore], place: str, name: str) -> None:
    """Write one file, which appears when it is complete.

    Args:
        name: of the file; ends in .parquet or .csv. With .csv there are the fingerprints next to it, as with
            predictions.csv.

    Raises:
        DataError, OSError: if it cannot be written, or copied to a URL.
    """
    with tempfile.TemporaryDirectory() if is_url(place) else nullcontext(place) as folder:
        path = Path(folder, name)
        if path.suffix == ".csv":
            with PredictionWriter(path) as writer:
                writer.write(scores)
        else:
            from pyarrow import parquet

            with writing(path) as unfinished:
                parquet.write_table(prediction_table(scores), unfinished)
        if is_url(place):
            files, root = open_place(place)
            for file in sorted(Path(folder).iterdir(), key=path.__eq__):  # the fingerprints before the rows
                files.put_file(str(file), f"{root}/{file.name}")


def prediction_table(scores: Sequence[FrameScore]) -> pa.Table:
    """Scores as an Arrow table with the columns and decimals of predictions.csv.

    Bytes of file names that are not UTF-8 become question marks.
    """
    import pyarrow as pa

    columns: list[pa.Array] = []
    for name, cells in zip(COLUMNS, zip(*map(prediction_cells, scores), strict=True), strict=True):
        if name in TEXTS:
            texts = (formula_read(cell).encode("utf-8", "replace").decode() for cell in cells)
            columns.append(pa.array(texts, pa.string()))
        else:
            numbers = pa.array([cell or None for cell in cells], pa.string())
            columns.append(numbers.cast(pa.int64() if name == "frame" else pa.float64()))
    return pa.table(columns, names=list(COLUMNS))

"""Measure speed and size against a plain PyTorch program: the metrics in docs/research/benchmarks.md.

The plain program is what one would write without flipdetect: ImageFolder, PIL, torchvision transforms, a plain training
loop, prediction of one image at a time, at the defaults of these libraries. It trains and runs the same networks.
Programs that are compared run in turns, each time as a process of its own; the table shows medians.

    prediction   a folder of 1080x1920 JPEGs to predictions.csv, against the plain program, and against the limit:
                 decoding alone and the model alone, each on all cores and at its fastest
    training     ten epochs of a configuration end to end, against the plain program
    finetune     a model of one's own from --frames labelled JPEGs of 1080x1920, from the command to the tested model:
                 configs/finetune.yaml against ten epochs of the plain program on the same weights and split
    startup      from the command to the result of one image; what training takes besides the fit, against importing
                 torch and Lightning; how soon a wrong path is refused
    models       size, and latency of one decoded frame, of the pretrained models and their 8-bit versions
    films        films as phones record them to turns and pages, against decoding alone and against PySceneDetect
                 (pip install scenedetect; left out without it); rendering the films takes 15 minutes, once

    python scripts/benchmark.py                        # all parts: an hour on two quiet cores
    python scripts/benchmark.py prediction startup --json benchmark.json
    python scripts/benchmark.py finetune --frames 3000 --repeats 1
"""

from __future__ import annotations

import csv
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from benchmark_workers import PRETRAINED, PRETRAINED_SIZE, SIZE
from typer import Argument, Option

REPOSITORY = Path(__file__).resolve().parents[1]
PARTS = ("prediction", "training", "finetune", "startup", "models", "films")
NETWORKS = {"mobilenet_v2": ("mobilenet", 16), "tiny_cnn": ("tiny_cnn", 32)}
"""Configuration and batch size of the networks that are trained."""
SOURCES, CLIPS = 32, 4
"""Books that are rendered, and clips of each."""
UNSEEN_SEED = 2000
CALLS = 300

RECORDING = {"index": 100, "seconds": 180, "turns": 30, "height": 640, "fps": 10}
PHONE = {"noise": 2.5, "bitrate": 15}
FILMS: dict[str, dict[str, object]] = {
    "3 min 1080p30, a key frame a second": PHONE,
    "1 min 1080p30, a key frame every 8 s": PHONE | {"seconds": 60, "key-every": 8},
    "1 min 720p24": PHONE | {"seconds": 60, "size": (720, 1280), "fps": 24, "bitrate": 5},
    "15 s 4K30 HEVC": PHONE | {"seconds": 15, "size": (2160, 3840), "codec": "libx265", "bitrate": 40},
}
"""Options of scripts/research/film_recording.py for the films of `films`."""

Row = tuple[str, float, str, str]
"""Name, value, unit, and what it was made of."""


class Bench:
    """Where the benchmark works, and how much it does.

    Args:
        folder: for frames, caches and runs; rendered frames are kept in it.
        quick: the smallest work that runs every line; its metrics mean nothing.
        repeats: runs of each program.
        frames: how many frames of one's own a model is fine-tuned on.
    """

    def __init__(self, folder: Path, quick: bool, repeats: int, frames: int = 256) -> None:
        self.folder, self.quick, self.repeats = folder, quick, 1 if quick else repeats
        self.frames = frames

    def phone_frames(self, count: int = 256) -> Path:
        """JPEGs of 1080x1920 in flip/ and notflip/, and splits.csv, which keeps a quarter of 32 books for validation.

        256 are rendered; the others are their mirror images, then cut-outs as well.
        """
        from PIL import Image

        height, sources, frames = (320, 4, 1) if self.quick else (1920, SOURCES, 2)
        count = 64 if self.quick else count
        folder = self.folder / f"frames-{height}{'' if count == 256 else f'-{count}'}"
        if (folder / "splits.csv").is_file():
            return folder
        rendered = self.folder / f"rendered-{height}"
        size = ("--sources", sources, "--clips-per-source", CLIPS, "--frames-per-clip", frames, "--height", height)
        self.run("-m", "flipdetect.cli.main", "render", "--output", rendered, *size, "--seed", UNSEEN_SEED)
        mirrored = (
            None,
            *(getattr(Image.Transpose, name) for name in ("FLIP_LEFT_RIGHT", "FLIP_TOP_BOTTOM", "ROTATE_180")),
        )
        files, rows = sorted(rendered.glob("*flip/*.jpg")), []
        for number in range(count):
            copy, place = divmod(number, len(files))
            video, frame = files[place].stem.split("_")
            name = f"{files[place].parent.name}/{int(video) + 1000 * copy:04d}_{frame}.jpg"
            split = "val" if (int(video) - 1) // (CLIPS // 2) >= sources * 3 // 4 else "train"  # clips by book
            rows.append((name, split))
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with Image.open(files[place]) as image:
                edge = copy // len(mirrored)  # pixels for each 1/200 of the sides
                box = (image.width * edge / 200, image.height * edge / 200, image.width, image.height)
                cut = image.resize(image.size, Image.Resampling.BILINEAR, box) if edge else image
                how = mirrored[copy % len(mirrored)]
                (cut if how is None else cut.transpose(how)).save(folder / name, quality=90)
        with (folder / "splits.csv").open("w", newline="") as table:
            csv.writer(table).writerows([("path", "split"), *rows])
        return folder

    def film(self, name: str, options: dict[str, object]) -> Path:
        """A film of a rendered recording, with sensor noise."""
        path = self.folder / name
        if not path.is_file():
            recording = self.folder / "recording"
            known = RECORDING | ({"seconds": 6, "turns": 2, "height": 160} if self.quick else {})
            self.run("-m", "flipdetect.cli.main", "render", "--recording", recording, *arguments(known))
            script = REPOSITORY / "scripts" / "research" / "film_recording.py"
            self.run(script, "--recording", recording, "--output", path, "--blend", *arguments(options))
        return path

    def run(self, *arguments: object, cwd: Path | None = None, status: int = 0) -> tuple[float, dict[str, Any]]:
        """Run a Python program; returns its seconds, and the JSON object in the last line of its output, if any."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, *map(str, arguments)]
        path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": path, "NO_ALBUMENTATIONS_UPDATE": "1"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled once, as in an installed package
        begun = time.perf_counter()
        done = subprocess.run(command, cwd=cwd or self.folder, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - begun
        if done.returncode != status:
            raise SystemExit(f"{' '.join(command)} failed with status {done.returncode}:\n{done.stderr[-1500:]}")
        last = done.stdout.strip().rpartition("\n")[2]
        return seconds, json.loads(last) if last.startswith("{") else {}

    def worker(self, work: str, **options: object) -> tuple[float, dict[str, Any]]:
        """Run one of benchmark_workers.py in a process of its own."""
        return self.run(REPOSITORY / "scripts/benchmark_workers.py", json.dumps([work, options], default=str))

    def in_turns(self, programs: dict[str, Callable[[], Any]]) -> dict[str, list[Any]]:
        """Run programs in turns, forwards and backwards, so that a machine that slows down slows all of them."""
        found: dict[str, list[Any]] = {name: [] for name in programs}
        for turn in range(self.repeats):
            for name in list(programs)[:: -1 if turn % 2 else 1]:
                found[name].append(programs[name]())
                print(f"  {name}, run {turn + 1} of {self.repeats}", file=sys.stderr)
        return found


def arguments(options: dict[str, object]) -> list[object]:
    """A program's arguments from its options; a tuple is several values."""
    return [
        each for name, value in options.items()
        for each in (f"--{name}", *(value if isinstance(value, tuple) else (value,)))
    ]  # fmt: skip


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return float(statistics.median(values))


def prediction(bench: Bench) -> list[Row]:
    """A folder of frames to predictions.csv: flipdetect, the plain program, the limit."""
    frames = bench.phone_frames()
    rows: list[Row] = []
    for model in ("tiny_cnn",) if bench.quick else ("mobilenet_v2", "tiny_cnn", "ensemble"):
        options = {"frames": frames, "model": model}
        programs = {
            name: lambda name=name: bench.worker(name, **options)  # type: ignore[misc]  # noqa: B023 - run at once
            for name in ("predict", "limit", *(["plain_predict"] if model in NETWORKS else []))
        }
        found = bench.in_turns(programs)
        ms = {name: median([report["ms"] for _, report in runs]) for name, runs in found.items()}
        rows.append((f"{model}: a frame of a folder", ms["predict"], "ms", f"limit {ms['limit']:.2f} ms"))
        rows.append((f"{model}: multiple of the limit", ms["predict"] / ms["limit"], "x", ""))
        if "plain_predict" in ms:
            note = f"{ms['plain_predict']:.2f} ms a frame"
            rows.append((f"{model}: as fast as the plain program", ms["plain_predict"] / ms["predict"], "x", note))
    return rows


def training(bench: Bench) -> list[Row]:
    """Ten epochs of a configuration, from the command to its metrics, without a cache at the start."""
    frames, epochs = bench.phone_frames(), 1 if bench.quick else 10
    rows: list[Row] = []
    for network, (config, batch) in list(NETWORKS.items())[-1:] if bench.quick else NETWORKS.items():
        values = {"data.root": frames, "data.preprocess.height": SIZE[0], "data.preprocess.width": SIZE[1],
                  "data.batch_size": batch, "trainer.max_epochs": epochs}  # fmt: skip
        arguments = [f"--{name}={value}" for name, value in values.items()]
        path = REPOSITORY / "configs" / f"{config}.yaml"

        def ours(path: Path = path, arguments: list[str] = arguments) -> float:
            with tempfile.TemporaryDirectory(dir=bench.folder) as folder:  # caches and logs are written to it
                return bench.run("-m", "flipdetect.cli.train", "--config", path, *arguments, cwd=Path(folder))[0]

        def plain(workers: int = 0, network: str = network, batch: int = batch) -> float:
            return bench.worker(
                "plain_train", frames=frames, network=network, batch=batch, epochs=epochs, workers=workers
            )[0]

        found = bench.in_turns({"ours": ours, "plain": plain, "2 workers": lambda plain=plain: plain(2)})
        seconds = {name: median(runs) for name, runs in found.items()}
        note = f"{seconds['ours']:.0f} s against {seconds['plain']:.0f} s; {seconds['2 workers']:.0f} s with 2 workers"
        name = f"{config}.yaml, {epochs} epochs on 256 JPEGs: as fast as the plain program"
        rows.append((name, min(seconds["plain"], seconds["2 workers"]) / seconds["ours"], "x", note))
    return rows


def finetune(bench: Bench) -> list[Row]:
    """From the command to a model of one's own that is tested, without a cache or rendered frames at the start."""
    frames, epochs = bench.phone_frames(bench.frames), 1 if bench.quick else 10
    scores: dict[str, list[float]] = {"ours": [], "plain": []}

    def ours() -> float:
        with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
            given = (f"--data.root={frames}", f"--data.split_file={frames / 'splits.csv'}")
            seconds = bench.run("-m", "flipdetect.cli.train", "--config", "finetune", *given, cwd=Path(folder))[0]
            metrics = json.loads(next(Path(folder).rglob("metrics.json")).read_text())
        scores["ours"].append(metrics["val_f1"])
        return seconds

    def plain() -> float:
        options = {"network": PRETRAINED, "batch": 32, "epochs": epochs, "workers": 0, "size": PRETRAINED_SIZE}
        seconds, report = bench.worker("plain_train", frames=frames, **options)
        scores["plain"].append(report["f1"])
        return seconds

    seconds = {name: median(runs) for name, runs in bench.in_turns({"ours": ours, "plain": plain}).items()}
    f1 = {name: median(found) for name, found in scores.items()}
    note = (
        f"{seconds['ours']:.1f} s against {seconds['plain']:.1f} s; validation F1 {f1['ours']:.3f}, {f1['plain']:.3f}"
    )
    name = f"finetune.yaml on {bench.frames:,} JPEGs: as fast as {epochs} epochs of the plain program"
    return [(name, seconds["plain"] / seconds["ours"], "x", note)]


def outside_fit(bench: Bench) -> float:
    """Seconds that two epochs of tiny_cnn.yaml take besides the fit, without a cache at the start."""
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        given = ("--config", "tiny_cnn", f"--data.root={bench.phone_frames()}", "--trainer.max_epochs=2")
        seconds = bench.run("-m", "flipdetect.cli.train", *given, cwd=Path(folder))[0]
        return seconds - float(json.loads(next(Path(folder).rglob("metrics.json")).read_text())["fit_seconds"])


def startup(bench: Bench) -> list[Row]:
    """Files are in the system's cache."""
    one = bench.folder / "one"
    one.mkdir(parents=True, exist_ok=True)
    shutil.copy(min(bench.phone_frames().glob("flip/*.jpg")), one)
    command = ("-m", "flipdetect.cli.main")
    predict = (*command, "predict", one, "--model", "mobilenet_v2", "--output", bench.folder / "one.csv")
    wrong = (*command, "train", "--config", "tiny_cnn", "--data.root", "nowhere")
    found = bench.in_turns({
        "flipdetect": lambda: bench.run(*predict)[0],
        "--engine torch": lambda: bench.run(*predict, "--engine", "torch")[0],
        "plain program": lambda: bench.worker("plain_predict", frames=one, model="mobilenet_v2")[0],
        "default": lambda: bench.run(*command, "predict", one, "--output", bench.folder / "one.csv")[0],
        "--help": lambda: bench.run(*command, "predict", "--help")[0],
        "wrong": lambda: bench.run(*wrong, status=2)[0],
        "imports": lambda: bench.run("-c", "import torch, pytorch_lightning")[0],
        "training": lambda: outside_fit(bench),
    })  # fmt: skip
    seconds = {name: median(runs) for name, runs in found.items()}
    slower = min(seconds["--engine torch"], seconds["plain program"])
    note = f"--engine torch {seconds['--engine torch']:.2f} s, plain program {seconds['plain program']:.2f} s"
    return [
        ("one image, from the command to its result", seconds["flipdetect"], "s", "mobilenet_v2"),
        ("one image with the default model", seconds["default"], "s", ""),
        ("as fast as through PyTorch", slower / seconds["flipdetect"], "x", note),
        ("flipdetect predict --help", seconds["--help"], "s", ""),
        ("flipdetect train on a wrong path", seconds["wrong"], "s", ""),
        (
            "training 256 frames: seconds besides the fit, as a multiple of importing torch and Lightning",
            seconds["training"] / seconds["imports"],
            "x",
            f"tiny_cnn.yaml: {seconds['training']:.2f} s against {seconds['imports']:.2f} s",
        ),
    ]


def models(bench: Bench) -> list[Row]:
    """Size and latency of the pretrained models, in float32 and in 8-bit integers."""
    from flipdetect.zoo import NAMES, pretrained_path

    frames = bench.phone_frames()
    rows: list[Row] = []
    for model in ("tiny_cnn",) if bench.quick else NAMES:
        path = pretrained_path(model).with_suffix(".onnx")
        small = path.with_suffix(".int8.onnx")
        if not small.is_file():
            small = bench.folder / small.name
            given = ("export", "--model", path, "--format", "onnx-int8", "--data", frames, "--output", small)
            bench.run("-m", "flipdetect.cli.main", *given)
        for name, file in ((model, path), (f"{model}, int8", small)):
            rows.append((f"{name}: file", file.stat().st_size / 1e6, "MB", ""))
            runs = [
                bench.worker("latency", frames=frames, model=file, calls=5 if bench.quick else CALLS)[1]
                for _ in range(bench.repeats)
            ]
            p50, p99 = (median([run[each] for run in runs]) for each in ("p50", "p99"))
            rows.append((f"{name}: latency of a decoded frame, p50", p50, "ms", f"p99 {p99:.2f} ms"))
    return rows


def films(bench: Bench) -> list[Row]:
    """Films to turns and pages, against decoding them; and what a minute of a longer film costs."""
    from importlib.util import find_spec

    rows: list[Row] = []
    for number, (name, options) in enumerate(list(FILMS.items())[: 1 if bench.quick else None]):
        film = bench.film(f"film-{number}.mp4", options)
        length = bench.worker("seconds_of", film=film)[1]["seconds"]
        folder = bench.folder / "pages"
        events = ("-m", "flipdetect.cli.main", "predict", film, "--output", folder)
        written = ("--stills", folder, "--pdf", folder / "film.pdf", "--report", folder / "film.html")
        programs = {
            "decoder": lambda film=film: bench.worker("decode", film=film)[1]["seconds"],
            "events": lambda events=events: bench.run(*events)[0],
            "all": lambda events=events, written=written: bench.run(*events, *written)[0],
        }
        if number == 0 and find_spec("scenedetect"):
            programs["PySceneDetect"] = lambda film=film: bench.worker("detect_scenes", film=film)[1]["seconds"]
        seconds = {each: median(runs) for each, runs in bench.in_turns(programs).items()}
        note = ", ".join(f"{each} {value:.1f} s" for each, value in seconds.items())
        rows.append(
            (
                f"{name}: as fast as the decoder, with stills, PDF, report",
                seconds["decoder"] / seconds["all"],
                "x",
                note,
            )
        )
        rows.append((f"{name}: times real time, the same", length / seconds["all"], "x", ""))
        if "PySceneDetect" in seconds:
            row = (
                f"{name}: as fast as detect-adaptive, events alone",
                seconds["PySceneDetect"] / seconds["events"],
                "x",
                "",
            )
            rows.append(row)
    minutes = {}
    for many in (1,) if bench.quick else (1, 10):
        film = bench.folder / f"film-{many}-min.mp4"
        bench.worker("repeat", film=bench.folder / "film-0.mp4", output=film, minutes=many)
        runs = [bench.worker("pages", film=film)[1] for _ in range(bench.repeats)]
        minutes[many] = [median([run[each] for run in runs]) for each in ("seconds", "memory_mb")]
        note = f"{minutes[many][1]:.0f} MB at most"
        rows.append((f"a film of {many} min: a minute of it", minutes[many][0] / many, "s", note))
    return rows


def main(
    parts: Annotated[list[str] | None, Argument(metavar="|".join(PARTS), help="Default: all of them.")] = None,
    repeats: Annotated[int, Option(help="Runs of each program.")] = 3,
    quick: Annotated[bool, Option("--quick", help="The smallest work that runs every line.")] = False,
    output: Annotated[Path | None, Option("--json", help="Also write the results as JSON.")] = None,
    frames: Annotated[int, Option(min=64, help="Frames of one's own that `finetune` learns from.")] = 256,
    work_dir: Annotated[Path, Option(help="For frames and runs.")] = Path("data/benchmark"),
) -> None:
    """Measure speed and size against a plain PyTorch program, and print a table."""
    if unknown := set(parts or ()) - set(PARTS):
        raise typer.BadParameter(f"no such part: {', '.join(sorted(unknown))}; give some of {', '.join(PARTS)}")
    from tabulate import tabulate

    bench = Bench(work_dir.resolve(), quick, repeats, 64 if quick else frames)
    measure = {
        "prediction": prediction, "training": training, "finetune": finetune, "startup": startup, "models": models,
        "films": films,
    }  # fmt: skip
    rows: list[Row] = []
    for part in parts or PARTS:
        rows += measure[part](bench)
    print(tabulate(rows, headers=("metric", "median", "unit", "details"), floatfmt=".3g"))
    machine = (
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    print(f"\n{machine}, load {os.getloadavg()[0]:.1f}")
    if output:
        content = {"machine": machine, "date": time.strftime("%Y-%m-%d"), "repeats": bench.repeats, "metrics": [
            dict(zip(("name", "value", "unit", "details"), row, strict=True)) for row in rows
        ]}  # fmt: skip
        output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)

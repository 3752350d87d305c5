"""Make the pretrained models and the default one, an ensemble of two of them, and fit their use in films.

The same command skips finished trainings and renderings, and resumes interrupted ones. Steps:

    head      train what follows the frozen ImageNet backbone (renders 1,800 books first; 40 minutes on two cores)
    gentle    fine-tune the later half of the backbone, from that head (45 minutes)
    choose    a checkpoint, or the mean of head and checkpoint, by labelled frames of real books (--choose-on): the
              highest mean AUROC over the parts (source and first folder); threshold and temperature
    ship      write flipdetect/weights/efficientnet_lite0.safetensors and its card
    further   train all three networks further, from the weights that ship, on 1,000 books of any scene (rendered first;
              two hours of one core); which epochs are averaged, whether the old weights take part, and
              the input size are chosen as above; write the weights
    export    write .onnx of all three, and efficientnet_lite0.int8.onnx, calibrated on rendered frames
    ensemble  write ensemble.onnx and .int8.onnx; threshold and temperature by --choose-on
    films     fit the detection of turns by the ensemble on rendered recordings (renders them; 15 minutes)

Example: python scripts/release.py --choose-on frames/
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flipdetect.cli.messages import hush_libraries, set_up_logging
from flipdetect.errors import ConfigError, FlipdetectError
from flipdetect.zoo import ENSEMBLE, FOLDER, pretrained_path

if TYPE_CHECKING:
    from flipdetect.inference.torch_model import TorchModel

NAME = "efficientnet_lite0"
HEAD = ("configs/efficientnet.yaml", f"configs/release/{NAME}_head.yaml")
GENTLE = (*HEAD, f"configs/release/{NAME}.yaml")
HEAD_RUN, GENTLE_RUN = Path(f"logs/release_{NAME}_head"), Path(f"logs/release_{NAME}")
CHOICE = GENTLE_RUN / "choice.json"
RENDERED = Path("data/release-any")
RECORDINGS = Path("data/release-recordings")
LESSONS = 6
"""Recordings of two minutes each on which the detection of turns is fitted."""
LEVEL = {"level_prior_s": 1.0, "level_quantile": 0.5, "shortest_rest_s": 1.0}
"""Chosen on these recordings and on a film of real frames (a sweeping hand, one turn, a rest): a film's own level of a
page at rest counts from its first second on, and rests between turns are longer than the shortest one of the
recordings. That film then has one turn; F1 on the recordings rises from 0.969 to 0.987."""
CLIP_THRESHOLD = 0.72
"""For a clip's highest frame. A hand that sweeps over a real page at rest reaches 0.683, and real turns exceed 0.96."""
COMMAND = ("-m", "flipdetect.cli.main")
STEPS = ("head", "gentle", "choose", "ship", "further", "export", "ensemble", "films")
FURTHER = {
    NAME: ((*GENTLE, f"configs/release/{NAME}_further.yaml"), (None,)),
    "tiny_cnn": (("configs/tiny_cnn.yaml", "configs/release/tiny_cnn.yaml"), (200, 224, 256)),
    "mobilenet_v2": (("configs/mobilenet.yaml", "configs/release/mobilenet_v2.yaml"), (224, 256)),
}
"""Configurations by which the models that ship are trained further, and the input heights to choose from."""
LAST_EPOCHS = (1, 3, 5, 8)
"""How many of the last epochs may be averaged; any epoch may be taken by itself. Single epochs differ by up to 0.03 of
AUROC on real books."""
OLD_SHARES = (0, 1, 3)
"""How often the weights that shipped before count in the mean, against once for each epoch."""

logger = logging.getLogger("flipdetect")


def main(args: Sequence[str] | None = None) -> int:
    """Run the steps; returns the exit status."""
    set_up_logging()
    hush_libraries()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--choose-on", type=Path, metavar="FOLDER", help="labelled frames of real books")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS, help="only these (default: all)")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the pretrained weights")
    options = parser.parse_args(args)
    try:
        for step in (step for step in STEPS if step in options.steps):
            logger.info("== %s", step)
            _run(step, options)
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    except subprocess.CalledProcessError as error:
        logger.error("The step failed (status %d): %s", error.returncode, " ".join(error.cmd))
        return 1
    return 0


def _run(step: str, options: argparse.Namespace) -> None:
    weights = pretrained_path(NAME, options.output)
    if step in ("choose", "further", "ensemble") and options.choose_on is None:
        raise ConfigError(f"the step {step} needs labelled frames of real books: give --choose-on FOLDER")
    if step in ("head", "gentle"):
        configs, run = (HEAD, HEAD_RUN) if step == "head" else (GENTLE, GENTLE_RUN)
        _train(configs, run / "version_0")
    elif step == "choose":
        head = HEAD_RUN / "version_0" / "best.ckpt"
        epochs = _epochs(GENTLE_RUN)
        _choose([[head], *([epoch] for epoch in epochs), *([epoch, head] for epoch in epochs)], [None], CHOICE, options)
    elif step == "ship":
        _ship(NAME, CHOICE, options.output, GENTLE_RUN / "version_0" / "metrics.json")
    elif step == "further":
        for name, (configs, heights) in FURTHER.items():
            run = Path(f"logs/release_{name}_further")
            _train(configs, run / "version_0")
            old = run / "before.safetensors"  # what ships is overwritten below, and this step may run again
            if not old.is_file():
                shutil.copyfile(pretrained_path(name, options.output), old)
            epochs = _epochs(run)
            counts = sorted({min(count, len(epochs)) for count in LAST_EPOCHS})
            last = [epochs[-count:] for count in counts]
            earlier = [[epoch] for epoch in epochs[:-1]]
            means = [chosen + [old] * share for chosen, share in product([*last, *earlier], OLD_SHARES)]
            _choose([[old], *means], heights, run / "choice.json", options)
            _ship(name, run / "choice.json", options.output)
    elif step == "export":
        for name in FURTHER:
            path = pretrained_path(name, options.output)
            run_python(*COMMAND, "export", "--model", path, "--output", path.with_suffix(".onnx"))
        run_python(
            *COMMAND, "export", "--model", weights.with_suffix(".onnx"), "--format", "onnx-int8",
            "--data", RENDERED, "--output", weights.with_suffix(".int8.onnx"),
        )  # fmt: skip
    elif step == "ensemble":
        run_python(
            "scripts/research/ensemble.py", "--choose-on", options.choose_on, "--calibrate-on", RENDERED,
            "--output", options.output,
        )  # fmt: skip
    else:
        _fit_films(pretrained_path(ENSEMBLE, options.output))


def run_python(*arguments: object) -> None:
    """Run Python with arguments; raises `CalledProcessError` if it fails."""
    subprocess.run([sys.executable, *map(str, arguments)], check=True)


def _train(configs: Sequence[str], run: Path) -> None:
    if (run / "metrics.json").is_file():
        logger.info("Trained already: %s", run)
        return
    resume = ["--ckpt_path", "last"] if (run / "last.ckpt").is_file() else []
    settings = [part for config in configs for part in ("--config", config)]
    run_python("train.py", *settings, *resume)


def _epochs(run: Path) -> list[Path]:
    """The checkpoints of a run's epochs, in order."""
    return sorted((run / "version_0").glob("epoch=*.ckpt"), key=lambda path: int(path.stem.partition("=")[2]))


def _choose(
    candidates: Sequence[Sequence[Path]], heights: Sequence[int | None], choice: Path, options: argparse.Namespace
) -> None:
    """Write the checkpoints whose mean becomes the pretrained model, with input height, threshold and temperature."""
    from research.ship import decide_on_photographs

    from flipdetect.atomic import write_text

    best: dict[str, Any] = {"score": -1.0}
    for checkpoints, height in product(candidates, heights):
        found = _evaluate(checkpoints, height, options.choose_on)
        parts = ", ".join(f"{name} {value:.3f}" for name, value in found["parts"].items())
        names = " + ".join(map(str, checkpoints)) + (f" at {height}" if height else "")
        logger.info("%s: mean AUROC of the parts %.4f (%s)", names, found["score"], parts)
        best = max(best, found, key=lambda one: float(one["score"]))
    decision = decide_on_photographs(best.pop("probabilities"), best.pop("targets"))
    chosen = {**best, "threshold": decision.threshold, "temperature": decision.temperature}
    write_text(choice, json.dumps(chosen, indent=2) + "\n")
    logger.info("Chosen: %s", chosen)


def _evaluate(checkpoints: Sequence[Path], height: int | None, folder: Path) -> dict[str, Any]:
    """AUROC of each part of a labelled set, and their mean; a part without flips is compared with all flips."""
    from dataclasses import replace

    import numpy as np
    from research.ship import resized

    from flipdetect.evaluation.evaluate import evaluate_folder

    model = _averaged(checkpoints)
    if height is not None:
        model = replace(model, preprocess=resized(model.preprocess, height))
    scored = evaluate_folder(model, folder).scored
    targets = np.array([one.record.label == "flip" for one in scored])
    probabilities = np.array([one.probability for one in scored])
    of_part = np.array([f"{one.record.path.relative_to(folder).parts[0]} {one.record.source}" for one in scored])
    parts = {}
    for name in sorted(set(of_part.tolist())):
        flips = (of_part == name) & targets
        rest = (of_part == name) & ~targets
        if rest.any():
            above = probabilities[flips if flips.any() else targets][:, None] - probabilities[rest][None, :]
            parts[name] = float((above > 0).mean() + (above == 0).mean() / 2)
    return {
        "checkpoints": [str(path) for path in checkpoints],
        "height": height,
        "score": float(np.mean(list(parts.values()))),
        "parts": parts,
        "probabilities": probabilities,
        "targets": targets,
    }


def _averaged(checkpoints: Sequence[Path]) -> TorchModel:
    """The mean of checkpoints of one model as a model (Wortsman et al., 2022, arXiv:2109.01903)."""
    from dataclasses import replace

    from research.ship import mean_tensors

    from flipdetect.inference.torch_model import load_torch_model, read_model

    model = load_torch_model(checkpoints[0], "cpu")
    model.task.load_state_dict(mean_tensors([read_model(path)[1] for path in checkpoints]))
    return replace(model, temperature=1.0)


def _ship(name: str, choice: Path, output: Path, metrics: Path | None = None) -> Path:
    from research.ship import ship

    from flipdetect.tasks.decision import Decision

    if not choice.is_file():
        raise ConfigError(f"{choice} is not there; run the step choose first")
    chosen = json.loads(choice.read_text("utf-8"))
    first, *others = map(Path, chosen["checkpoints"])
    figures = {"Frames of real books that the choice was made on, AUROC by part": chosen["parts"]}
    if metrics is not None:
        tested = json.loads(metrics.read_text("utf-8"))
        unseen = {name: tested[f"test_{name}"] for name in ("f1", "auroc", "precision", "recall")}
        figures["Rendered books, unseen, last epoch at its own threshold"] = unseen
    return ship(
        first, name, average=others, height=chosen["height"],
        decision=Decision(chosen["threshold"], chosen["temperature"]),
        decided_on="on labelled frames of real books that nothing was trained on (the lowest with an F1 within 0.01 of "
        "the best), as were the checkpoints",
        figures=figures,
        folder=output,
    )  # fmt: skip


def _fit_films(weights: Path) -> None:
    """Fit the detection of turns on rendered recordings of books that no model was trained on."""
    from dataclasses import replace

    import yaml

    from flipdetect.atomic import write_text
    from flipdetect.inference.onnx_model import load_onnx
    from flipdetect.inference.settings import read_event_settings

    settings = weights.with_suffix(".events.yaml")
    scores, truths = [], []
    for number in range(LESSONS):
        recording = RECORDINGS / f"lesson-{number}"
        if not (recording / "events.csv").is_file():
            run_python(
                *COMMAND, "render", "--recording", recording, "--index", 100 + number,
                "--seconds", 120, "--turns", 24, "--fps", 10, "--height", 384,
            )  # fmt: skip
        scores.append(recording / f"{weights.stem}.csv")
        truths.append(recording / "events.csv")
        run_python(
            *COMMAND, "predict", recording / "frames", "--events", "--fps", 10, "--model", weights,
            "--output", scores[-1],
        )  # fmt: skip
    run_python(
        "scripts/research/evaluate_films.py", "turns", "--fit", *scores, "--fit-truth", *truths,
        "--predictions", *scores, "--truth", *truths,
        "--threshold", load_onnx(weights).threshold, "--save", settings,
    )  # fmt: skip
    # What real frames need and rendered recordings do not show.
    fitted = read_event_settings(settings)
    adjusted = replace(fitted, hmm=replace(fitted.hmm, **LEVEL), clip_threshold=CLIP_THRESHOLD)
    write_text(settings, yaml.safe_dump(adjusted.to_dict(), sort_keys=False))


if __name__ == "__main__":
    sys.exit(main())

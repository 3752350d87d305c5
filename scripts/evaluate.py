"""Judge trained models on labelled frames: figures at the stored threshold, whole and in parts.

`--by` takes source, video, label, kind (the first folder of a frame's path), phase (of a rendered turn: first tenth,
middle, last tenth), or any other column of the set's manifest; several keys behind one --by are combined. Frames at
rest without a value (no phase, say) stand in each group. "best F1 (oracle)" is F1 at the threshold that suits the
judged frames best: a bound that no model reaches without knowing their labels.

AUROC, F1 and average precision come with their 95% intervals over videos (`--resamples`), and so do the differences of
several models from the first one. `--costs 5 1` says that a missed flip is as bad as five false alarms: thresholds are
then those with the lowest cost on the validation side (below).

`--clips` also evaluates decisions about clips, all frames of a video, by their highest probability. Its threshold is
chosen on the val split if --split is given, or on --validation-path.

Examples:
    python scripts/evaluate.py --checkpoint-path logs/*/version_0/best.ckpt --folder-path frames/ --ensemble
    python scripts/evaluate.py --model tiny_cnn mobilenet_v2 --folder-path frames/ --by kind source --by source
    python scripts/evaluate.py --checkpoint-path logs/tiny_cnn/version_0/best.ckpt --folder-path data/embedded \
        --split test --by phase --failures failures.png --output predictions.csv --json figures.json
    python scripts/evaluate.py --checkpoint-path logs/tiny_cnn/version_0/best.ckpt --folder-path data/embedded \
        --split test --clips
    python scripts/evaluate.py --checkpoint-path logs/tiny_cnn/version_0/best.ckpt --folder-path data/embedded \
        --split test --costs 5 1
    python scripts/evaluate.py --model mobilenet_v2 --folder-path frames/ --report report/ --robustness
    python scripts/evaluate.py --checkpoint-path logs/tiny_cnn/version_0/best.ckpt --folder-path data/embedded \
        --split test --costs 5 1
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import FlipdetectError
from flipdetect.evaluation.options import (
    add_model_arguments,
    add_set_arguments,
    add_validation_arguments,
    load_models,
    named_models,
    parse,
    selection,
    validation_choice,
)
from flipdetect.evaluation.report.command import add_report_arguments, write_reports

if TYPE_CHECKING:
    from flipdetect.evaluation.clips import ClipRow
    from flipdetect.evaluation.details import Details
    from flipdetect.evaluation.evaluate import Evaluation
    from flipdetect.inference.torch_model import TorchModel
    from flipdetect.metrics.threshold import ThresholdCosts

FIGURES = ("auroc", "average_precision", "f1", "f1_at_0.5", "best_f1_oracle", "precision", "recall", "accuracy")
HEADINGS = {"best_f1_oracle": "best F1 (oracle)"}

logger = logging.getLogger("flipdetect")

Results = list[tuple[str, str, "Evaluation"]]


def main(args: Sequence[str] | None = None) -> int:
    """Evaluate as the command line says; returns the exit status."""
    set_up_logging()
    parser = _parser()
    options = parse(parser, args)
    if options.ensemble and len(named_models(options)) < 2:
        parser.error("--ensemble averages several models; name at least two")
    if options.costs and not (options.split or options.validation_path):
        parser.error("--costs chooses thresholds on a validation side; give --split, or --validation-path")
    from flipdetect.evaluation.details import detail

    try:
        bundles = load_models(options)
        results = _evaluate(bundles, options)
        clips = _judge_clips(results, bundles, options) if options.clips or options.save_clip_threshold else []
        details = detail(results, options.resamples, _costs(options))
        print(_report(results, clips, details, options))
        _write_files(results, clips, details, options)
        if options.save_clip_threshold:
            from flipdetect.evaluation.clips import save_clip_threshold

            save_clip_threshold(clips[0], options.save_clip_threshold)
        if options.report:
            write_reports(results, clips, bundles, options)
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_arguments(parser)
    add_set_arguments(parser)
    parser.add_argument("--ensemble", action="store_true", help="one more row: the mean of the models' logits")
    parser.add_argument("--per-video", action="store_true", help="a line per video as well")
    parser.add_argument(
        "--by", nargs="+", action="append", default=[], metavar="KEY", help="a table of parts; may be given repeatedly"
    )
    parser.add_argument("--clips", action="store_true", help="also evaluate decisions about whole videos")
    parser.add_argument(
        "--save-clip-threshold",
        type=Path,
        metavar="YAML",
        help="event settings that take the chosen threshold for clips",
    )
    add_validation_arguments(parser)
    parser.add_argument("--failures", type=Path, metavar="PNG", help="picture of the most confident mistakes")
    parser.add_argument("--failures-count", type=int, default=24, help="frames on it (default: %(default)s)")
    parser.add_argument(
        "--resamples", type=int, default=2000, help="draws of videos for intervals (default: %(default)s); 0: none"
    )
    parser.add_argument(
        "--costs",
        type=float,
        nargs=2,
        metavar=("MISSED_FLIP", "FALSE_ALARM"),
        help="choose thresholds by the cost of mistakes on the validation side, and tell that cost",
    )
    parser.add_argument("--output", type=Path, metavar="CSV", help="every frame's probability and truth")
    parser.add_argument("--json", type=Path, help="all figures, those of the parts included")
    add_report_arguments(parser)
    return parser


def _evaluate(bundles: dict[str, TorchModel], options: argparse.Namespace) -> Results:
    """Name of the model, name of the set, and what was found, set by set."""
    results: Results = []
    for folder in options.folder_path:
        wanted = {name: {"root": folder, **selection(options, bundle.path)} for name, bundle in bundles.items()}
        for name, threshold in _cheapest_thresholds(bundles, folder, options).items():
            wanted[name]["threshold"] = threshold
        results += [(name, str(folder), each) for name, each in _scored(bundles, wanted, options).items()]
    return results


def _scored(
    bundles: dict[str, TorchModel], wanted: dict[str, dict[str, Any]], options: argparse.Namespace
) -> dict[str, Evaluation]:
    """Evaluations by model, and that of their mean if it is asked for."""
    from flipdetect.evaluation.evaluate import ensemble, evaluate_folder

    found = {name: evaluate_folder(bundles[name], **where) for name, where in wanted.items()}
    for evaluation in found.values():
        for score in evaluation.failed:
            logger.warning("left out: %s", score.error)
    if options.ensemble:
        found[f"mean of {len(bundles)} models' logits"] = ensemble(list(found.values()))
    return found


def _costs(options: argparse.Namespace) -> ThresholdCosts | None:
    from flipdetect.metrics.threshold import ThresholdCosts

    return ThresholdCosts(*options.costs) if options.costs else None


def _validation_sides(
    bundles: dict[str, TorchModel], folder: Path, options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Where each model's validation side is, of those that have one."""
    sides = {
        name: validation_choice(options, folder, selection(options, bundle.path)["split_file"])
        for name, bundle in bundles.items()
    }
    return {name: side for name, side in sides.items() if side is not None}


def _cheapest_thresholds(bundles: dict[str, TorchModel], folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """By model, the threshold with the lowest cost on its validation side; empty if no costs are given."""
    from flipdetect.evaluation.evaluate import evaluate_folder
    from flipdetect.evaluation.thresholds import cheapest

    costs = _costs(options)
    if costs is None:
        return {}
    sides = _validation_sides(bundles, folder, options)
    return {name: cheapest(evaluate_folder(bundles[name], **side), costs) for name, side in sides.items()}


def _judge_clips(results: Results, bundles: dict[str, TorchModel], options: argparse.Namespace) -> list[ClipRow]:
    """Decisions about clips; thresholds from a validation split, if one is known."""
    from flipdetect.evaluation.clips import clip_row

    rows: list[ClipRow] = []
    for folder in options.folder_path:
        wanted = _validation_sides(bundles, folder, options)
        validations = _scored(bundles, wanted, options) if wanted else {}
        for model, name, result in results:
            if name == str(folder):
                rows.append(clip_row(model, name, result, validations.get(model)))
    return rows


def _report(results: Results, clips: list[ClipRow], details: Details, options: argparse.Namespace) -> str:
    from tabulate import tabulate

    from flipdetect.evaluation.slices import group_figures, group_table

    rows, tables = [], []
    for place, (model, folder, result) in enumerate(results):
        figures = [details.figure(place, name) for name in FIGURES]
        rows.append([model, folder, len(result.judged), result.videos, result.threshold, *figures])
        positive = result.classes.positive
        if options.per_video:
            tables.append(f"{model} on {folder}\n{result.video_table(positive)}\n")
        for keys in options.by:
            table = group_table(group_figures(result, keys), keys, positive)
            tables.append(f"{model} on {folder}, by {' and '.join(keys)}\n{table}\n")
    headers = ["model", "frames of", "frames", "videos", "threshold", *(HEADINGS.get(name, name) for name in FIGURES)]
    if clips:
        from flipdetect.evaluation.clips import clip_table

        tables.append(f"{clip_table(clips)}\n")
    tables.append(tabulate(rows, headers=headers, floatfmt=".3f"))
    tables.append(f"\n{details.tables()}")
    return "\n".join(tables)


def _write_files(results: Results, clips: list[ClipRow], details: Details, options: argparse.Namespace) -> None:
    from flipdetect.evaluation.slices import group_figures
    from flipdetect.evaluation.tables import evaluation_as_dict, write_json, write_predictions

    if options.output:
        write_predictions(options.output, results)
    if options.json:
        side = {"split": options.split} if options.split else {}
        write_json(
            options.json,
            [
                evaluation_as_dict(
                    model, folder, result, {tuple(keys): group_figures(result, keys) for keys in options.by}
                )
                | side
                | details.as_dict(place)
                | (
                    {"clips": next(r.as_dict() for r in clips if (r.model, r.folder) == (model, folder))}
                    if clips
                    else {}
                )
                for place, (model, folder, result) in enumerate(results)
            ],
        )
    if options.failures:
        _draw_failures(results, options)


def _draw_failures(results: Results, options: argparse.Namespace) -> None:
    """One picture per model and set; several get a number."""
    from flipdetect.evaluation.mistakes import plot_failures
    from flipdetect.outputs.plots import save_figure

    path: Path = options.failures
    for number, (model, folder, result) in enumerate(results, start=1):
        own = path if len(results) == 1 else path.with_stem(f"{path.stem}-{number}")
        save_figure(plot_failures(result, options.failures_count), own)
        logger.info("Mistakes of %s on %s are in %s", model, folder, own)


if __name__ == "__main__":
    sys.exit(main())

"""Does a clip contain a flip? Compare models that see sequences with frame probabilities that are aggregated.

A clip is all frames of one video of a labelled set; it is positive if any of its frames is. Frame models decide by the
mean, the maximum, or the mean of the highest three of their frames' probabilities. Thresholds are chosen on a
validation side: the val side of the judged folder if --split is given, or --validation-path. Without either, a
sequence model has its own from its training, and aggregations take that of frames.

Of a sequence model the frame model within it is aggregated, too ("its frames"): it has seen the same training clips.
Only what the sequence model gains over that comes from looking along time.

Examples:
    python scripts/evaluate_sequences.py --checkpoint-path logs/sequence/version_0/best.ckpt --frame-model tiny_cnn \
        --folder-path data/embedded-clips --split test
    python scripts/evaluate_sequences.py --checkpoint-path logs/sequence/version_0/best.ckpt --frame-model tiny_cnn \
        --folder-path frames/ --validation-path data/embedded-clips \
        --validation-split-file logs/sequence/version_0/splits.csv --json figures.json --matrices matrices.png
    python scripts/evaluate_sequences.py --frame-model best.ckpt --folder-path my_clips/ --split test \
        --split-file splits.csv --save-threshold best.events.yaml
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import FlipdetectError
from flipdetect.evaluation.options import add_set_arguments, selection
from flipdetect.evaluation.sequence_options import add_validation_arguments, validation_choice

if TYPE_CHECKING:
    from flipdetect.evaluation.sequences import ClipRow, ScoredClips
    from flipdetect.inference.torch_model import TorchModel
    from flipdetect.records import ClassNames

logger = logging.getLogger("flipdetect")


def main(args: Sequence[str] | None = None) -> int:
    """Compare as the command line says; returns the exit status."""
    set_up_logging()
    parser = _parser()
    options = parser.parse_args(args)
    if not (options.checkpoint_path or options.frame_model):
        parser.error("name a model: --checkpoint-path with that of a sequence model, or --frame-model")
    if options.save_threshold and (len(options.frame_model), len(options.folder_path)) != (1, 1):
        parser.error("--save-threshold is for one --frame-model and one --folder-path")
    from flipdetect.evaluation.sequences import clip_report

    try:
        bundles = _load(options)
        rows = [row for folder in options.folder_path for row in _judge(bundles, folder, options)]
        classes = next(iter(bundles.values())).classes
        print(clip_report(rows, classes))
        _write_files(rows, classes, options)
        if options.save_threshold:
            _save_threshold(rows, bundles[options.frame_model[0]].threshold, options)
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint-path", type=Path, nargs="+", default=[], help="best.ckpt of sequence models")
    parser.add_argument(
        "--frame-model", nargs="+", default=[], help="models whose frame probabilities are aggregated: name or path"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_set_arguments(parser)
    add_validation_arguments(parser)
    parser.add_argument("--json", type=Path, help="all figures")
    parser.add_argument(
        "--save-threshold",
        type=Path,
        metavar="YAML",
        help="of the frame model's maximum, chosen on the validation side, into the settings beside it, such as "
        "best.events.yaml: inference.py then tells of each clip whether there is a flip in it",
    )
    parser.add_argument(
        "--matrices", type=Path, metavar="PNG", help="matrices of frames and clips; several get a number"
    )
    return parser


def _load(options: argparse.Namespace) -> dict[str, TorchModel]:
    from flipdetect.evaluation.sequences import frame_part
    from flipdetect.inference.torch_model import load_torch_model
    from flipdetect.zoo import find_model

    bundles: dict[str, TorchModel] = {}
    for path in options.checkpoint_path:
        bundles[str(path)] = load_torch_model(path, options.device)
        bundles[f"{path}, its frames"] = frame_part(bundles[str(path)])
    return bundles | {name: load_torch_model(find_model(name), options.device) for name in options.frame_model}


def _judge(bundles: dict[str, TorchModel], folder: Path, options: argparse.Namespace) -> list[ClipRow]:
    from flipdetect.evaluation.sequences import clip_rows

    rows = []
    for name, bundle in bundles.items():
        # The split is that of the first sequence model's training, for all models alike.
        judged = selection(options, next(iter(options.checkpoint_path), bundle.path))
        validation = validation_choice(options, folder, judged["split_file"])
        on_validation = None if validation is None else _score(name, bundle, **validation)
        rows += clip_rows(_score(name, bundle, folder, **judged), on_validation)
    return rows


def _score(
    name: str,
    bundle: TorchModel,
    root: Path,
    side: str | None = None,
    split_file: Path | None = None,
    manifest: Path | None = None,
) -> ScoredClips:
    from flipdetect.evaluation.evaluate import evaluate_folder
    from flipdetect.evaluation.selection import select_frames
    from flipdetect.evaluation.sequences import aggregated, clip_drawing, judge_clips

    where = {"manifest": manifest, "side": side, "split_file": split_file}
    if clip_drawing(bundle) is None:
        return aggregated(name, evaluate_folder(bundle, root, **where), str(root))
    return judge_clips(name, bundle, select_frames(root, bundle.classes, bundle.naming, **where), str(root))


def _write_files(rows: Sequence[ClipRow], classes: ClassNames, options: argparse.Namespace) -> None:
    from flipdetect.evaluation.sequence_plots import save_matrices
    from flipdetect.evaluation.tables import write_json

    if options.json:
        side = {"split": options.split} if options.split else {}
        write_json(options.json, [row.as_dict() | side for row in rows])
    if options.matrices:
        save_matrices(rows, classes, options.matrices)


def _save_threshold(rows: Sequence[ClipRow], of_frames: float, options: argparse.Namespace) -> None:
    """Into a settings file, whose other settings stay; one without the model's threshold of frames gets that, too.

    Raises:
        ConfigError: if there was no validation side to choose it on, or the file cannot be used.
    """
    from dataclasses import replace

    import yaml

    from flipdetect.atomic import write_text
    from flipdetect.errors import ConfigError
    from flipdetect.inference.settings import EventSettings, read_event_settings

    path = options.save_threshold
    (row,) = (row for row in rows if row.model == options.frame_model[0] and row.method == "max")
    if row.origin != "validation":
        raise ConfigError("--save-threshold needs a validation side: --split, or --validation-path")
    settings = read_event_settings(path) if path.is_file() else EventSettings()
    known = of_frames if settings.threshold is None else settings.threshold  # `--threshold` moves both by its change
    settings = replace(settings, threshold=known, clip_threshold=row.threshold)
    write_text(path, yaml.safe_dump(settings.to_dict(), sort_keys=False))
    logger.info("Clips' threshold %.3f is in %s", row.threshold, path)


if __name__ == "__main__":
    sys.exit(main())

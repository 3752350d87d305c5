"""Which model to take? Trains configurations on one split, judges them on its test side, and puts them in one table.

F1 and AUROC with 95% intervals over videos, F1's difference from the best one (paired by video), parameters, file size,
estimated memory, time for a frame on this CPU, training time; and a recommendation: the smallest file whose F1 is no
more than --margin below the best one's, for sure. Configurations are trained with train.py's own machinery; finished
trainings are found and not repeated, an interrupted one goes on. Trained models (--checkpoint-path, --model) are judged
beside them; they must not have seen the test side.

Anything of the configurations can be set behind the options, as for train.py: --data.root my_frames/.

Examples:
    python scripts/compare.py --configs configs/tiny_cnn.yaml configs/mobilenet.yaml configs/resnet18.yaml
    python scripts/compare.py --configs configs/tiny_cnn.yaml configs/mobilenet.yaml --max-megabytes 5 \
        --data.root my_frames/
    python scripts/compare.py --checkpoint-path logs/tiny_cnn/version_0/best.ckpt logs/mobilenet/version_0/best.ckpt \
        --folder-path data/embedded --split-file logs/tiny_cnn/version_0/splits.csv
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flipdetect.cli.messages import INTERRUPTED, hush_libraries, set_up_logging
from flipdetect.errors import FlipdetectError, ModelError
from flipdetect.evaluation.options import add_model_arguments, named_models, short_model_name

if TYPE_CHECKING:
    from flipdetect.evaluation.compare import Compared, Comparison
    from flipdetect.evaluation.footprint import Footprint
    from flipdetect.evaluation.shared_split import SharedSplit
    from flipdetect.inference.torch_model import TorchModel

FOOTPRINTS = "footprints.json"

logger = logging.getLogger("flipdetect")


def main(args: Sequence[str] | None = None) -> int:
    """Compare as the command line says; returns the exit status."""
    set_up_logging()
    hush_libraries()
    parser = _parser()
    options, settings = parser.parse_known_args(args)
    options.settings = settings
    if not options.configs and not named_models(options):
        parser.error("name what to compare: --configs to train, --checkpoint-path or --model of what is trained")
    if not options.configs and not (options.folder_path and options.split_file):
        parser.error("without --configs, name the set and its split: --folder-path and --split-file")
    try:
        print(_compare(options))
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    except KeyboardInterrupt:
        logger.warning("Interrupted; run the same command to continue")
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", type=Path, nargs="+", default=[], help="configurations of train.py, each trained")
    add_model_arguments(parser)
    parser.add_argument("--folder-path", type=Path, help="the labelled set; default: that of the first configuration")
    parser.add_argument("--manifest", type=Path, help="CSV path,label,video,frame,source that describes the set")
    parser.add_argument("--split-file", type=Path, help="the split; default: made as the first configuration says")
    parser.add_argument("--seed", type=int, default=0, help="of weights, shuffling, augmentation (%(default)s)")
    parser.add_argument("--max-megabytes", type=float, help="of the file, for the recommendation")
    parser.add_argument("--margin", type=float, default=0.02, help="F1 that a smaller one may lack (%(default)s)")
    parser.add_argument("--resamples", type=int, default=2000, help="draws of videos for intervals (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("runs/compare"), help="folder (%(default)s)")
    return parser


def _compare(options: argparse.Namespace) -> str:
    from flipdetect.evaluation.compare import compare

    models: list[Compared] = []
    shared = _shared(options)
    for model in _models(options, shared):
        models.append(model)
        found = compare(models, max_megabytes=options.max_megabytes, margin=options.margin, resamples=options.resamples)
        _write(found, shared, options)  # after each: trainings take long
    return f"{found.table()}\n\n{found.recommendation.why}"


def _shared(options: argparse.Namespace) -> SharedSplit:
    from flipdetect.cli.lightning_cli import resolve_config
    from flipdetect.evaluation.shared_split import given_split, own_split
    from flipdetect.evaluation.study import training_data

    if not options.configs:
        return given_split(options.folder_path, options.split_file, options.manifest)
    given = {"root": options.folder_path, "manifest": options.manifest, "split_file": options.split_file}
    named = [f"--data.{name}={path}" for name, path in given.items() if path]
    config = resolve_config(["--config", str(options.configs[0]), *options.settings, *named])
    return own_split(training_data(config), options.output)


def _models(options: argparse.Namespace, shared: SharedSplit) -> Iterator[Compared]:
    """Each model once it is trained, judged and measured."""
    from flipdetect.cli import train
    from flipdetect.cli.lightning_cli import resolve_config
    from flipdetect.evaluation.shared_split import check_unseen
    from flipdetect.evaluation.study import Training, run_training, with_values
    from flipdetect.runs import BEST

    names: list[str] = []
    for path in options.configs:
        name = _distinct(path.stem, names)
        config = resolve_config(["--config", str(path), *options.settings, f"--seed_everything={options.seed}"])
        training = Training(name, with_values(config, shared.settings()))
        run = run_training(training, options.output, train.main)
        yield _judged(name, run / BEST, shared, options)
    for given, path in named_models(options).items():
        check_unseen(path, shared)
        yield _judged(_distinct(short_model_name(given), names), path, shared, options)


def _judged(name: str, path: Path, shared: SharedSplit, options: argparse.Namespace) -> Compared:
    from flipdetect.evaluation.compare import Compared
    from flipdetect.evaluation.evaluate import evaluate_folder
    from flipdetect.inference.torch_model import load_torch_model
    from flipdetect.tasks.fit import METRICS_FILE

    logger.info("Judging %s", name)
    bundle = load_torch_model(path, "cpu")
    evaluation = evaluate_folder(
        load_torch_model(path, options.device),
        shared.root,
        side="test",
        split_file=shared.path,
        manifest=shared.manifest,
    )
    metrics = path.with_name(METRICS_FILE)
    seconds = json.loads(metrics.read_text(encoding="utf-8")).get("fit_seconds") if metrics.is_file() else None
    return Compared(name, evaluation, _footprint(name, bundle, options.output), seconds)


def _footprint(name: str, bundle: TorchModel, folder: Path) -> Footprint:
    """Measured once for each file of a model."""
    from flipdetect.evaluation.footprint import Footprint, measure_footprint
    from flipdetect.evaluation.tables import write_json
    from flipdetect.inference.onnx_model import file_digest

    path, digest = folder / FOOTPRINTS, file_digest(bundle.path)
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if digest not in known:
        found = measure_footprint(bundle, _exported(name, bundle, folder))
        known[digest] = {"model": name, **found.as_dict()}
        write_json(path, known)
    return Footprint(**{key: value for key, value in known[digest].items() if key != "model"})


def _exported(name: str, bundle: TorchModel, folder: Path) -> Path | None:
    from flipdetect.export.onnx import export_onnx

    try:
        return export_onnx(bundle, folder / "exported" / f"{name.replace('/', '-')}.onnx")
    except ModelError as error:
        logger.warning("%s is timed with PyTorch, and its file is estimated: %s", name, error)
        return None


def _write(found: Comparison, shared: SharedSplit, options: argparse.Namespace) -> None:
    from flipdetect.atomic import write_csv, write_text
    from flipdetect.evaluation.compare import COLUMNS
    from flipdetect.evaluation.tables import write_json, write_predictions

    folder = options.output
    judged = found.models[0].evaluation
    text = (
        f"# Models compared\n\nOn {shared.root}, test side of {shared.path.name}: {len(judged.judged):,} frames of "
        f"{judged.videos:,} videos. In brackets, 95% intervals over videos; the difference from the best model "
        f"({found.best}) is paired by video. Times are for one frame, by {found.models[0].footprint.engine}.\n\n"
        f"{found.table('github')}\n\n{found.recommendation.why}\n"
    )
    write_text(folder / "comparison.md", text)
    write_csv(folder / "comparison.csv", COLUMNS, found.rows())
    write_json(folder / "comparison.json", {"root": str(shared.root), "split": str(shared.path), **found.as_dict()})
    write_predictions(
        folder / "predictions.csv", [(each.name, str(shared.root), each.evaluation) for each in found.models]
    )
    logger.info("Tables are %s, .csv and .json; all scores %s", folder / "comparison.md", folder / "predictions.csv")


def _distinct(name: str, taken: list[str]) -> str:
    own, number = name, 2
    while own in taken:
        own, number = f"{name}-{number}", number + 1
    taken.append(own)
    return own


if __name__ == "__main__":
    sys.exit(main())

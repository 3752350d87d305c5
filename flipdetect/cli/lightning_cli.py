"""Training by LightningCLI: a configuration is one experiment, fitted and then tested."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from lightning_fabric.plugins import TorchCheckpointIO
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import LightningDataModule
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities.rank_zero import rank_zero_only  # type: ignore[attr-defined]
from tabulate import tabulate

from flipdetect.atomic import explained
from flipdetect.callbacks import (
    AtomicCheckpointIO,
    DetectionSummary,
    EpochSeed,
    InterruptCheckpoint,
    Provenance,
    ResumedState,
    TrainingSummary,
)
from flipdetect.cli.check_config import check_allowed
from flipdetect.cli.messages import INTERRUPTED, REFUSED, explain, hush_libraries
from flipdetect.cli.train_arguments import Arguments
from flipdetect.data.datamodule import FrameDataModule
from flipdetect.errors import ConfigError, DataError, FlipdetectError, TrainingError
from flipdetect.metrics.frame import check_monitor
from flipdetect.runs import ClaimedRun, run_to_resume, version_for, version_of
from flipdetect.start.read_ahead import ReadAhead
from flipdetect.tasks import FrameClassifier
from flipdetect.tasks.fit import TrainingInterrupted, fit_and_test, resolve_precision, reuse_freed_memory
from flipdetect.tasks.trainable import Trainable

HEADLINES = ("f1", "f1_at_0.5", "precision", "recall", "accuracy", "auroc", "average_precision", "loss", "threshold")
SPLIT_PREFIXES = {"validation": "val_", "test": "test_"}

RUN = "FLIPDETECT_RUN"
"""Environment variable that gives the processes which Lightning starts the run's folder."""


class TrainParser(LightningArgumentParser):
    """Prints what is wrong with the arguments, without the hundred lines of usage before it."""

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Print an error and exit with status 2."""
        logging.getLogger("flipdetect").error("%s", message)
        raise SystemExit(REFUSED)


class TrainCLI(LightningCLI):
    """LightningCLI without subcommands: the configuration is one experiment, fitted and then tested."""

    def __init__(self, arguments: Arguments) -> None:
        self.allowed, self.detection = arguments.allowed, arguments.detection
        model: type[Trainable] = FrameClassifier
        data: type[LightningDataModule] = FrameDataModule
        kind = "a frame classifier"
        if self.detection:  # needs torchvision, which takes time to import
            from flipdetect.data.boxes.box_datamodule import BoxDataModule
            from flipdetect.tasks import ObjectDetector

            model, data, kind = ObjectDetector, BoxDataModule, "an object detector"
        super().__init__(
            model,
            data,
            subclass_mode_model=True,
            save_config_callback=None,  # Provenance writes it next to the checkpoint
            seed_everything_default=0,
            parser_class=TrainParser,
            parser_kwargs={
                "default_config_files": [str(arguments.defaults)],
                "description": f"Train {kind} as a YAML file describes it, then test its best checkpoint. "
                "Example: python train.py --config configs/tiny_cnn.yaml --data.root my_frames/",
            },
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            run=False,
            args=arguments.words,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add resuming, and keep the model's channels or classes equal to the data's."""
        parser.add_argument(
            "--ckpt_path",
            type=str | None,
            default=None,
            help='checkpoint to resume from: a path, or "last" for the newest interrupted run of this name',
        )
        if self.detection:
            parser.link_arguments("data.class_names", "model.init_args.classes", apply_on="instantiate")
        else:
            parser.link_arguments("data.preprocess.channels", "model.init_args.in_channels")

    def before_instantiate_classes(self) -> None:
        """Refuse contradictions, and classes of other packages, also in files that the configuration names."""
        check_allowed(self.config.as_dict(), self.allowed, "the configuration")
        # As it is before the folder is chosen: used as a configuration, it makes a run of its own.
        self.resolved = self.parser.dump(self.config, skip_none=False)
        for settings in self._callback_settings():
            if "monitor" in settings and settings.get("monitor") and settings.get("mode"):
                check_monitor(settings["monitor"], settings["mode"])
        trainer = self.config.trainer
        trainer.precision = resolve_precision(trainer.precision, str(trainer.accelerator))
        if trainer.enable_progress_bar is False and isinstance(trainer.callbacks, list):
            trainer.callbacks = [c for c in trainer.callbacks if not str(c.get("class_path")).endswith("ProgressBar")]

    def instantiate_classes(self) -> None:
        """Claim a folder for the run, and build model, data and trainer."""
        self._claim_folder()
        try:
            super().instantiate_classes()
        except BaseException:
            self.release(discard=True)
            raise

    def release(self, *, discard: bool = False) -> None:
        """Let others use the run's folder; discard: remove it if it is new and no step was trained."""
        if self.run is not None:
            trainer = getattr(self, "trainer", None)
            self.run.release(discard=discard and (trainer is None or trainer.global_step == 0))

    def _claim_folder(self) -> None:
        """Give loggers and checkpoints one folder that no other run gets: <save_dir>/<name>/version_<N>."""
        self.run: ClaimedRun | None = None
        loggers = [log.init_args for log in _as_list(self.config.trainer.logger) if hasattr(log, "init_args")]
        foldered = [log for log in loggers if "save_dir" in log and "version" in log]
        if not foldered:
            return
        folder = Path(str(foldered[0].save_dir), str(foldered[0].name))
        self.config.ckpt_path = run_to_resume(folder, self.config.ckpt_path)
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            self.run = ClaimedRun(folder, self.config.ckpt_path, foldered[0].version)
            path = self.run.path
            os.environ[RUN] = str(path)
        else:  # of several processes, the first claims the folder, and starts the others; or a launcher starts all
            path = Path(os.environ.get(RUN) or folder / f"version_{version_for(folder, self.config.ckpt_path)}")
        for log in foldered:
            log.version = version_of(path) if log.version is None else log.version
        for settings in self._callback_settings(ModelCheckpoint):
            if settings.get("dirpath") is None:
                settings["dirpath"] = str(path)

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Build the trainer with the callbacks that no run goes without."""
        self.summary = DetectionSummary() if self.detection else TrainingSummary()
        own: list[Callback] = [
            Provenance(config=self.resolved), EpochSeed(), InterruptCheckpoint(), ResumedState(), self.summary,
        ]  # fmt: skip
        self.trainer_defaults = {"callbacks": own}
        trainer = super().instantiate_trainer(**kwargs)
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        return trainer

    def _callback_settings(self, kind: type[Callback] | None = None) -> Iterator[Any]:
        """Arguments of the configured callbacks, of one kind if asked."""
        for callback in _as_list(self.config.trainer.callbacks):
            name = str(callback.get("class_path", "")).rsplit(".", 1)[-1]
            if "init_args" in callback and (kind is None or name == kind.__name__):
                yield callback.init_args


class _Unbuilt(TrainCLI):
    """Parses and checks the configuration, and builds no model, data or trainer."""

    def instantiate_classes(self) -> None:
        """Build nothing."""


def resolve_config(arguments: Arguments) -> dict[str, Any]:
    """The complete configuration that arguments of `train.py` describe, every default filled in.

    A `SystemExit` if it is refused, with the reason on standard error.
    """
    config: dict[str, Any] = yaml.safe_load(_Unbuilt(arguments).resolved)
    return config


def run(arguments: Arguments, ahead: ReadAhead | None = None) -> int:
    """Train and test; returns the exit status. `ahead` fills the cache; it is waited for."""
    hush_libraries()
    reuse_freed_memory()
    try:
        cli = TrainCLI(arguments)
    except SystemExit as stop:  # --help, --print_config, or arguments that are refused
        return int(stop.code or 0)
    except Exception as error:  # so far, libraries have only seen values that the user gave
        return _explained(error, built=False)
    discard = True
    try:
        if ahead is not None:
            ahead.wait()
        results = fit_and_test(cli.trainer, cli.model, cli.datamodule, ckpt_path=cli.config.ckpt_path)
    except TrainingInterrupted:
        return INTERRUPTED
    except TrainingError as error:
        discard = False
        return explain(error)
    except (FlipdetectError, MisconfigurationException, OSError, ValueError) as error:
        return _explained(error)
    finally:
        cli.release(discard=discard)
    if cli.trainer.is_global_zero:
        if cli.detection:
            from flipdetect.metrics.box_matching import coco_table

            splits = [(words, prefix) for words, prefix in SPLIT_PREFIXES.items() if f"{prefix}map" in results]
            print("\n".join(f"{words}:\n{coco_table(results, prefix)}" for words, prefix in splits))
        else:
            prefixes = SPLIT_PREFIXES.values()
            rows = [[name, *(results.get(f"{prefix}{name}") for prefix in prefixes)] for name in HEADLINES]
            print(tabulate(rows, headers=["", *SPLIT_PREFIXES], floatfmt=".4f"))
        print(cli.summary.text)
    return 0


def _explained(error: Exception, *, built: bool = True) -> int:
    """Print the program's own error behind one of a library, or what a library says of values or of the disk.

    Before model, data and trainer are `built`, the values of the configuration are wrong.
    """
    own: BaseException | None = error
    while own is not None and not isinstance(own, FlipdetectError):
        own = own.__cause__ or own.__context__
    if own is not None:
        return explain(own)
    if isinstance(error, OSError) and (reason := explained(error)) is not None:
        return explain(DataError(reason))
    if built and not isinstance(error, MisconfigurationException):
        raise error
    text = re.sub(r"For further information visit \S+", "", str(error))
    name = "" if isinstance(error, MisconfigurationException) else f"{type(error).__name__}: "
    return explain(ConfigError(f"the configuration is refused: {name}{' '.join(text.split())}"))


def _as_list(value: Any) -> list[Any]:
    if value is None or isinstance(value, bool):
        return []
    return value if isinstance(value, list) else [value]

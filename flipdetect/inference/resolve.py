"""From what a user names (a pretrained model, `last`, a run's folder, a file) to the model's file.

Nothing heavy is imported: a wrong name is refused in a fraction of a second.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from flipdetect.errors import ModelError
from flipdetect.records import ClassNames
from flipdetect.runs import BEST, best_checkpoints
from flipdetect.zoo import DEFAULT, find_model

LOGS = Path("logs")
LAST = "last"

logger = logging.getLogger(__name__)


def resolve_model(model: str | os.PathLike[str] | None, logs: Path = LOGS) -> Path:
    """The file of a pretrained model, of the newest run (`last`), of a run's folder, or a file itself.

    None is the pretrained default; one line mentions a training run of the same classes, if there is one. Raises
    ModelError if there is no such model or run.
    """
    if model is None:
        path = find_model(DEFAULT)
        run = next(iter(best_checkpoints(logs)), None)
        if run is not None and _has_default_classes(run.parent):
            logger.info("Using the pretrained %s; %s is your newest run: use it with --model last", DEFAULT, run.parent)
        return path
    if model == LAST and not Path(LAST).exists():
        run = next(iter(best_checkpoints(logs)), None)
        if run is None:
            raise ModelError(f"there is no training run under {logs}/; train a model, or name one such as {DEFAULT}")
        return run
    path = find_model(model)
    if not path.exists() and not path.with_suffix(".onnx").is_file():  # an exported model may stand alone
        raise ModelError(f"there is no model {path}; give the path of a best.ckpt or .onnx, or a run's folder")
    if not path.is_dir():
        return path
    if not (path / BEST).is_file():
        raise ModelError(f"the folder {path} holds no {BEST}; give the folder of a training run, or a model's file")
    return path / BEST


def check_contents(path: Path) -> None:
    """Refuse a file that does not begin as a checkpoint or .safetensors does, before torch is imported for it."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    if path.suffix == ".safetensors":  # the length of a JSON object, and that object
        begins_well = start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size
    else:  # a zip archive, or a pickle as older versions of torch wrote it
        begins_well = start.startswith((b"PK", b"\x80"))
    if not begins_well:
        raise ModelError(f"{path} is no checkpoint, or is damaged (by its first bytes); give a .ckpt or .onnx file")


def _has_default_classes(run: Path) -> bool:
    """Whether a run's model classifies page turns, according to its `config.yaml`; False where that cannot be read."""
    import yaml

    try:
        data = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["data"]
        if str(data.get("class_path")).endswith("BoxDataModule"):  # of a detector
            return False
        classes = data.get("init_args", data).get("classes") or {}
        return ClassNames(**classes.get("init_args", classes)) == ClassNames()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, yaml.YAMLError):
        return False

"""Mistakes in a training's arguments, found in a fraction of a second.

LightningCLI checks everything, but only after it has imported torch, the model and the data, which takes seconds. Here
the same names are read from the source text of the classes, and nothing heavy is imported. What cannot be decided so
(classes of the user's own, names that other packages register, types other than plain numbers and texts) is left to
LightningCLI.
"""

from __future__ import annotations

import ast
import contextlib
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flipdetect.cli.train_arguments import ALLOWED, DETECTOR, FOLDERS_OF_CLASSES, Arguments, get, read_arguments
from flipdetect.errors import ConfigError, DataError, ModelError, require_extra
from flipdetect.inference.resolve import check_contents
from flipdetect.parameters import check_range
from flipdetect.zoo import SUFFIX

TRAINER = "pytorch_lightning.trainer.trainer.Trainer"
FRAME_DATA, BOX_DATA = "flipdetect.data.datamodule.FrameDataModule", "flipdetect.data.BoxDataModule"
KEYS = dict.fromkeys(("seed_everything", "trainer", "model", "data", "ckpt_path"), "")
GONE = {
    "data.shards": "WebDataset shards were removed; give the folder of the frames with data.root",
    "data.clips": "the temporal model was removed; clips are decided by their highest frame",
}
FILES = {
    "model.init_args.weights": ("none", "imagenet", "flipdetect", "coco"),
    "data.split_file": (),
    "data.manifest": (),
    "ckpt_path": ("last",),
}
"""Settings that are files, and words that they may be instead."""
EXTRAS = {"mlflow": ("MLFlowLogger", "MlflowArtifacts")}
SIMPLE = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str, int, float), "None": (type(None),)}


def check_arguments(args: Sequence[str], data_option: str = "--data.root") -> Arguments:
    """Read and check the arguments of `train.py`.

    `data_option` is that by which the command takes the folder of the frames, for messages.

    Raises:
        ConfigError: if an argument, key, class, path or plain value cannot work.
        MissingExtraError: if a class needs an extra that is not installed.
    """
    arguments = read_arguments(args)
    if not any(re.match(r"--?(config|c|model|model\.class_path|help)(=|$)", word) for word in arguments.words):
        raise ConfigError("--config is missing: give a name (flipdetect configs lists them) or the path of a YAML file")
    of_trainer, of_data = signature(TRAINER), signature(BOX_DATA if arguments.detection else FRAME_DATA)
    model = None
    for label, content in arguments.sources:
        model = get(content, "model.class_path") or model
        _check_section(label, "", content, KEYS)
        _check_section(label, "trainer", get(content, "trainer"), of_trainer)
        _check_section(label, "data", get(content, "data"), of_data)
        _check_section(label, "model", get(content, "model.init_args"), signature(str(model)))
        check_allowed(content, arguments.allowed, label)
        _check_classes(label, content)
    _check_paths(arguments.settings, data_option)
    return arguments


def checked_arguments(configs: Iterable[str], overrides: Iterable[str], data: Path | None = None) -> Arguments:
    """Checked arguments of `train.py` for configurations, a data folder, and values written KEY=VALUE."""
    words = [part for config in configs for part in ("--config", str(config))]
    if data is not None:
        words.append(f"--data.root={data}")
    for pair in overrides:
        if "=" not in pair:
            raise ConfigError(f"an override is written KEY=VALUE, such as trainer.max_epochs=5; got {pair!r}")
        words.append(f"--{pair.lstrip('-')}")
    arguments = check_arguments(words, "--data")
    if arguments.detection:
        raise ConfigError("this command trains classifiers; train a detector with flipdetect train")
    return arguments


def check_allowed(content: Any, allowed: Sequence[str], label: str) -> None:
    """Refuse a configuration with a class of another package, anywhere: files are passed around, classes run code.

    Names without a module are those of the libraries. `label` says where the configuration comes from.
    """
    if isinstance(content, Mapping):
        path = str(content.get("class_path") or "")
        if "." in path and not any(path == name or path.startswith(f"{name}.") for name in allowed):
            raise ConfigError(
                f"{label}: the class {path} is of none of {', '.join(ALLOWED)}, and a class can run any code; if you "
                f"trust it, add --allow-class {path} (where several are trained, --override allow-class={path})"
            )
        content = content.values()
    elif not isinstance(content, list | tuple):
        return
    for item in content:
        check_allowed(item, allowed, label)


def _check_section(label: str, section: str, content: Any, accepted: Mapping[str, str] | None) -> None:
    """Refuse settings of a class, or of a part of one, by the names and annotations that it accepts, if known."""
    if accepted is None or not isinstance(content, dict):
        return
    for name, value in content.items():
        name = name.rstrip("+")
        key = f"{section}.{name}" if section else name
        if key in GONE:
            raise ConfigError(f"{label}: {key} is no setting any more: {GONE[key]}")
        if name not in accepted:
            close = [f"did you mean {key.removesuffix(name)}{other}?" for other in get_close_matches(name, accepted, 1)]
            remedy = close or ["flipdetect train --help all lists them"]
            raise ConfigError(f"{label}: no setting is called {key}; {remedy[0]}")
        if key == "trainer.logger" and value is False:
            raise ConfigError(
                f"{label}: trainer.logger is false, but a run's folder is that of its loggers; leave it out"
            )
        _check_value(label, key, value, accepted[name])
        nested = re.match(r"[A-Z]\w+", accepted[name])
        if nested and isinstance(value, dict) and section != "trainer":
            _check_section(label, key, value, signature(f"flipdetect.{nested[0]}"))


def _check_value(label: str, key: str, value: Any, annotation: str) -> None:
    """Refuse a value of the wrong plain type, a number outside the range of its setting, and any that is not finite."""
    kinds = re.sub(r"Optional\[(\w+)\]", r"\1 | None", annotation).split(" | ")
    if set(kinds) <= set(SIMPLE):
        if isinstance(value, str) and "float" in kinds:
            with contextlib.suppress(ValueError):  # YAML reads 1e-3 as a text
                value = float(value)
        wrong_bool = isinstance(value, bool) and "bool" not in kinds and "str" not in kinds
        if wrong_bool or not isinstance(value, tuple(kind for name in kinds for kind in SIMPLE[name])):
            expected = " or ".join(kinds).replace("None", "null")
            raise ConfigError(f"{label}: {key} must be {expected}, got {value!r}")
    try:
        check_range(key, value)
    except ConfigError as error:
        raise ConfigError(f"{label}: {error}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{label}: {key} must be a finite number, got {value}")


def _check_classes(label: str, content: Mapping[str, Any]) -> None:
    """Refuse classes that are in none of the modules they are named from, as far as these are ours or a library's."""
    for key, folder in FOLDERS_OF_CLASSES.items():
        found = get(content, key) or get(content, f"{key}+")
        for entry in found if isinstance(found, list) else [found]:
            class_path = entry.get("class_path") if isinstance(entry, dict) else entry
            module, _, name = str(class_path or "").rpartition(".")
            for extra, names in EXTRAS.items():
                if module and name in names:
                    require_extra(extra, extra)
            if module.split(".")[0] not in ("flipdetect", "pytorch_lightning", "albumentations"):
                continue  # a class of the user's own
            if any(re.search(rf"\b{re.escape(name)}\b", text) for text in _texts(module)):
                continue
            known = sorted({name for text in _texts(folder) for name in re.findall(r"^class ([A-Z]\w+)", text, re.M)})
            if key == "model":
                bases = ("FrameClassifier", "ObjectDetector")
                known = [name for name in known if name.endswith(("Classifier", DETECTOR)) and name not in bases]
            close = get_close_matches(name, known, n=1)
            listed = f"did you mean {folder}.{close[0]}?" if close else f"{folder} has {', '.join(known[:20])}"
            raise ConfigError(f"{label}: {key} names no class: {class_path}; {listed}")


def _check_paths(config: Mapping[str, Any], data_option: str) -> None:
    root = Path(str(get(config, "data.root"))).expanduser()
    embedded = get(config, "data.embedded.root")
    if not (embedded and Path(str(embedded)).expanduser() == root):  # frames are rendered into it
        if not root.is_dir():
            raise ConfigError(
                f"data.root is no folder: {root}. Give the folder of your labelled frames with {data_option}"
                + (f"; frames are rendered for {data_option} {embedded}" if embedded else "")
            )
        if not get(config, "data.manifest") and not any(files for _, _, files in os.walk(root, followlinks=True)):
            raise DataError(f"no usable frames in {root}, which holds no file; give another folder with {data_option}")
    for key, words in FILES.items():
        value = get(config, key)
        if not isinstance(value, str) or value in words:
            continue
        path, name = Path(value).expanduser(), key.replace("init_args.", "")
        if not path.is_file():
            raise ConfigError(f"{name} {value}: no such file; correct the path, or leave it out")
        if key == "ckpt_path" and path.suffix == SUFFIX:
            raise ModelError(
                f"{value} holds weights, not a training to resume; start from them with --model.weights {value}"
            )
        if path.suffix in (".ckpt", SUFFIX):
            check_contents(path)


@cache
def signature(class_path: str) -> dict[str, str] | None:
    """Names and annotations of what a class is constructed with, read from its source; None if they can't be known."""
    module, _, name = class_path.rpartition(".")
    texts = (text for text in _texts(module) if re.search(rf"^class {re.escape(name)}\b", text, re.M))
    nodes = (node for text in texts for node in ast.parse(text).body)
    node = next((node for node in nodes if isinstance(node, ast.ClassDef) and node.name == name), None)
    if node is None:
        return None
    init = next((part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"), None)
    if init is None and node.decorator_list:  # a dataclass
        return {ast.unparse(p.target): ast.unparse(p.annotation) for p in node.body if isinstance(p, ast.AnnAssign)}
    parts = [*init.args.args[1:], *init.args.kwonlyargs] if init else []
    own = {part.arg: ast.unparse(part.annotation) if part.annotation else "" for part in parts}
    if init and init.args.kwarg is None:
        return own
    bases = [signature(f"{module}.{ast.unparse(base)}") for base in node.bases]
    if not bases or None in bases:
        return None
    return {name: text for each in (*bases, own) for name, text in (each or {}).items()}


@cache
def _texts(module: str) -> tuple[str, ...]:
    """Source of a module, or of all modules of a package; empty if it is not installed."""
    top, *parts = module.split(".") if module else [""]
    spec = find_spec(top) if top else None
    if spec is None or not spec.submodule_search_locations:
        return ()
    folder = Path(next(iter(spec.submodule_search_locations))).joinpath(*parts)
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    return tuple(path.read_text(encoding="utf-8") for path in files if path.is_file())

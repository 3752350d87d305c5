"""Mistakes in a training's arguments, found in a fraction of a second.

LightningCLI checks everything, but only after it has imported torch, the model and the data, which takes seconds. Here
the same names are read from the source text of the classes, and nothing heavy is imported. What cannot be decided so
(classes of the user's own, types other than plain numbers and texts) is left to LightningCLI.
"""

from __future__ import annotations

import ast
import contextlib
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from flipdetect.cli.configs import DEFAULTS, DETECTION_DEFAULTS, config_folder, find_config
from flipdetect.errors import ConfigError, DataError, ModelError, require_extra
from flipdetect.inference.resolve import check_contents
from flipdetect.parameters import check_range
from flipdetect.zoo import SUFFIX

SECTIONS = {
    "trainer": "pytorch_lightning.trainer.trainer.Trainer",
    "data": "flipdetect.data.datamodule.FrameDataModule",
}
BOX_DATA = "flipdetect.data.BoxDataModule"
DETECTOR = "Detector"
"""What the names of detectors' classes end in, as those of classifiers end in Classifier: it tells the two apart."""
KEYS = ("seed_everything", "trainer", "model", "data", "ckpt_path")
OF_THE_PARSER = ("help", "print_config", "print_shtab")
LISTS = ("trainer.callbacks", "trainer.logger", "data.augment")
FOLDERS_OF_CLASSES = {
    "model": "flipdetect.tasks",
    "trainer.callbacks": "flipdetect.callbacks",
    "trainer.logger": "pytorch_lightning.loggers",
    "data.augment": "albumentations",
}
GONE = {
    "data.shards": "WebDataset shards were removed; give the folder of the frames with data.root",
    "data.clips": "the temporal model was removed; clips are decided by their highest frame",
}
EXTRAS = {"mlflow": ("MLFlowLogger", "MlflowArtifacts")}
ALLOWED = ("lightning", "pytorch_lightning", "torch", "torchvision", "torchmetrics", "albumentations", "flipdetect")
"""Packages whose classes a configuration may name."""
ALLOW = "allow-class"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast in C, where PyYAML was built with it."""
SIMPLE = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str, int, float), "None": (type(None),)}


class Settings(NamedTuple):
    """One configuration file, or one option of the command line."""

    label: str
    content: dict[str, Any]


def check_arguments(args: Sequence[str], data_option: str = "--data.root") -> list[str]:
    """Check the arguments of `train.py`; returns them with names of configurations replaced by paths.

    `data_option` is that by which the command takes the folder of the frames, for messages.

    Raises:
        ConfigError: if an argument, key, class, path or plain value cannot work.
        MissingExtraError: if a class needs an extra that is not installed.
    """
    checked, given = _sources(args)
    if not any(key in ("config", "c", "model", "model.class_path", *OF_THE_PARSER[:1]) for key, _, _ in _options(args)):
        raise ConfigError("--config is missing: give a name (flipdetect configs lists them) or the path of a YAML file")
    sections = SECTIONS | ({"data": BOX_DATA} if _detects(given) else {})
    sources = _with_defaults(given)
    merged: dict[str, Any] = {}
    for source in sources:
        _merge(merged, source.content)
        for key, value in source.content.items():
            if key.rstrip("+") not in KEYS:
                raise ConfigError(f"{source.label}: {_unknown(key, KEYS)}")
            _check_number(source.label, key, value)
            if key in sections and isinstance(value, dict):
                _check_section(source.label, key, value, sections[key])
        init_args = _get(source.content, "model.init_args")
        if isinstance(init_args, dict):
            _check_section(source.label, "model", init_args, str(_get(merged, "model.class_path")))
    for source in sources:
        check_allowed(source.content, allowed_classes(args), source.label)
    _check_classes(sources)
    _check_hardware(merged)
    _check_paths(merged, data_option)
    return checked


def settings_of(args: Sequence[str]) -> dict[str, Any]:
    """The settings that checked arguments of `train.py` describe, as YAML gives them, defaults included."""
    merged: dict[str, Any] = {}
    for source in _with_defaults(_sources(args)[1]):
        _merge(merged, source.content)
    return merged


def is_detection(args: Sequence[str]) -> bool:
    """Whether checked arguments of `train.py` train a detector: its data and defaults are others."""
    return _detects(_sources(args)[1])


def _sources(args: Sequence[str]) -> tuple[list[str], list[Settings]]:
    """The arguments with paths in place of configurations' names, and the settings of each file and option in order."""
    checked: list[str] = []
    sources: list[Settings] = []
    for key, value, words in _options(args):
        if key in ("config", "c"):
            path = find_config(value or "")
            sources.append(_read(path))
            checked += ["--config", str(path)]
            continue
        checked += words
        if key != ALLOW and key.split(".")[0] not in OF_THE_PARSER and not key.endswith(".help"):
            sources.append(_from_option(key, value))
    return checked, sources


def _with_defaults(sources: Sequence[Settings]) -> list[Settings]:
    return [_read(defaults_file(detection=_detects(sources))), *sources]


def _detects(sources: Sequence[Settings]) -> bool:
    names = [name for source in sources if (name := _get(source.content, "model.class_path"))]
    return bool(names) and str(names[-1]).endswith(DETECTOR)


def defaults_file(*, detection: bool) -> Path:
    """The configuration that is loaded before all others."""
    return config_folder() / (DETECTION_DEFAULTS if detection else DEFAULTS)


def checked_arguments(configs: Iterable[str], overrides: Iterable[str], data: Path | None = None) -> list[str]:
    """Arguments of `train.py` for configurations, a data folder, and values written KEY=VALUE, checked."""
    arguments = [part for config in configs for part in ("--config", str(config))]
    if data is not None:
        arguments.append(f"--data.root={data}")
    for pair in overrides:
        if "=" not in pair:
            raise ConfigError(f"an override is written KEY=VALUE, such as trainer.max_epochs=5; got {pair!r}")
        arguments.append(f"--{pair.lstrip('-')}")
    checked = check_arguments(arguments, "--data")
    if is_detection(checked):
        raise ConfigError("this command trains classifiers; train a detector with flipdetect train")
    return checked


def allowed_classes(args: Sequence[str]) -> tuple[str, ...]:
    """Packages, modules and classes that a `class_path` may name: those of the libraries, and of `--allow-class`."""
    return (*ALLOWED, *(value for key, value, _ in _options(args) if key == ALLOW and value))


def without_allowed(args: Sequence[str]) -> list[str]:
    """The arguments without `--allow-class`, which is no setting: a configuration must not allow its own classes."""
    return [word for key, _, words in _options(args) if key != ALLOW for word in words]


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


def _options(args: Sequence[str]) -> Iterator[tuple[str, str | None, list[str]]]:
    """Name, value and words of each option."""
    position = 0
    while position < len(args):
        word = args[position]
        if not word.startswith("-"):
            raise ConfigError(f"unexpected argument {word!r}: options are --config NAME|PATH and --KEY VALUE")
        key, equals, value = word.lstrip("-").partition("=")
        words = [word]
        following = args[position + 1] if position + 1 < len(args) else "--"
        if not equals and key.split(".")[0] not in OF_THE_PARSER:
            if re.match(r"--?[a-zA-Z]|--$", following):
                raise ConfigError(f"{word} needs a value: {word} VALUE")
            value, words = following, [word, following]
        yield key, value, words
        position += len(words)


def _read(path: Path) -> Settings:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)  # nosec B506 - safe ones
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read as YAML: {reason}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no settings, `key: value` lines; flipdetect configs --copy . writes examples")
    augment = _get(content, "data.augment")
    if isinstance(augment, str) and not (path.parent / augment).is_file():
        raise ConfigError(f"{path}: data.augment {augment}: no such file in {path.parent}")
    return Settings(str(path), content)


def _from_option(key: str, value: str | None) -> Settings:
    try:
        content = yaml.safe_load(value or "")
    except yaml.YAMLError:
        content = value
    parts = key.split(".")
    if parts[0] == "model" and len(parts) > 1 and parts[1] not in ("class_path", "init_args"):
        parts.insert(1, "init_args")  # --model.lr is short for --model.init_args.lr
    if any(key.startswith(f"{name}.") for name in LISTS):
        return Settings(f"--{key}", {})  # of the last entry of a list
    if key in FOLDERS_OF_CLASSES and isinstance(content, str):
        content = {"class_path": content}
    if key.endswith("+") and not isinstance(content, list):
        content = [{"class_path": content} if isinstance(content, str) else content]
    for part in reversed(parts):
        content = {part: content}
    return Settings(f"--{key} {value}", content)


def _merge(base: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value.copy() if isinstance(value, dict) else value


def _get(content: Any, key: str) -> Any:
    for part in key.split("."):
        content = content.get(part) if isinstance(content, dict) else None
    return content


def _check_section(label: str, section: str, content: Mapping[str, Any], class_path: str) -> None:
    accepted = signature(class_path)
    if accepted is None:
        return
    for name, value in content.items():
        key = f"{section}.{name}".rstrip("+")
        if key in GONE:
            raise ConfigError(f"{label}: {key} is no setting any more: {GONE[key]}")
        if name.rstrip("+") not in accepted:
            raise ConfigError(f"{label}: {_unknown(key, [f'{section}.{known}' for known in accepted])}")
        if key == "trainer.logger" and value is False:
            raise ConfigError(
                f"{label}: trainer.logger is false, but a run's folder is that of its loggers; leave it out"
            )
        if key in LISTS:
            continue
        annotation = accepted[name.rstrip("+")]
        _check_value(label, key, value, annotation)
        nested = re.match(r"[A-Z]\w+", annotation)
        if nested and isinstance(value, dict) and annotation.startswith(nested[0]) and section != "trainer":
            _check_section(label, key, value, f"flipdetect.{nested[0]}")


def _check_value(label: str, key: str, value: Any, annotation: str) -> None:
    inner = re.fullmatch(r"Optional\[(\w+)\]", annotation)
    kinds = [inner[1], "None"] if inner else annotation.split(" | ")
    if not set(kinds) <= set(SIMPLE):
        _check_number(label, key, value)
        return
    if isinstance(value, str) and "float" in kinds:
        with contextlib.suppress(ValueError):  # YAML reads 1e-3 as a text
            value = float(value)
    wrong_bool = isinstance(value, bool) and "bool" not in kinds and "str" not in kinds
    if wrong_bool or not isinstance(value, tuple(kind for name in kinds for kind in SIMPLE[name])):
        expected = " or ".join("null" if kind == "None" else kind for kind in kinds)
        raise ConfigError(f"{label}: {key} must be {expected}, got {value!r}")
    _check_number(label, key, value)


def _check_number(label: str, key: str, value: Any) -> None:
    """Refuse a number outside the range of its setting, and any that is not finite."""
    try:
        check_range(key, value)
    except ConfigError as error:
        raise ConfigError(f"{label}: {error}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{label}: {key} must be a finite number, got {value}")


def _unknown(key: str, known: Sequence[str]) -> str:
    close = get_close_matches(key, known, n=1)
    remedy = f"did you mean {close[0]}?" if close else "flipdetect train --help all lists them"
    return f"no setting is called {key}; {remedy}"


def _check_classes(sources: Sequence[Settings]) -> None:
    named = (
        (source.label, key, entry.get("class_path") if isinstance(entry, dict) else entry)
        for source in sources
        for key in FOLDERS_OF_CLASSES
        for found in [_get(source.content, key) or _get(source.content, f"{key}+")]
        for entry in (found if isinstance(found, list) else [found])
    )
    for label, key, class_path in named:
        if not isinstance(class_path, str) or "." not in class_path:
            continue
        module, _, name = class_path.rpartition(".")
        for extra, names in EXTRAS.items():
            if name in names:
                require_extra(extra, extra)
        if module.split(".")[0] not in ("flipdetect", "pytorch_lightning", "albumentations"):
            continue  # a class of the user's own
        if not any(name in text and re.search(rf"\b{re.escape(name)}\b", text) for text in _texts(module)):
            folder = FOLDERS_OF_CLASSES[key]
            known = sorted({name for text in _texts(folder) for name in re.findall(r"^class ([A-Z]\w+)", text, re.M)})
            if key == "model":
                bases = ("FrameClassifier", "ObjectDetector")
                known = [name for name in known if name.endswith(("Classifier", DETECTOR)) and name not in bases]
            close = get_close_matches(name, known, n=1)
            listed = f"did you mean {folder}.{close[0]}?" if close else f"{folder} has {', '.join(known[:20])}"
            raise ConfigError(f"{label}: {key} names no class: {class_path}; {listed}")


def _check_hardware(config: Mapping[str, Any]) -> None:
    """Refuse strategies and accelerators of which Lightning's source knows no such name."""
    for key, module in (("trainer.strategy", "strategies"), ("trainer.accelerator", "accelerators")):
        name, modules = _get(config, key), (module, "_graveyard", "trainer.connectors.accelerator_connector")
        texts = [text for each in modules for text in _texts(f"pytorch_lightning.{each}")]
        if isinstance(name, str) and "." not in name and texts and not any(f'"{name}"' in text for text in texts):
            raise ConfigError(f"no {key} is called {name} in Lightning; leave it out to have one chosen")


def _check_paths(config: Mapping[str, Any], data_option: str) -> None:
    root = Path(str(_get(config, "data.root"))).expanduser()
    embedded = _get(config, "data.embedded.root")
    if not (embedded and Path(str(embedded)).expanduser() == root):  # frames are rendered into it
        if not root.is_dir():
            raise ConfigError(
                f"data.root is no folder: {root}. Give the folder of your labelled frames with {data_option}"
                + (f"; frames are rendered for {data_option} {embedded}" if embedded else "")
            )
        if not _get(config, "data.manifest") and not any(files for _, _, files in os.walk(root, followlinks=True)):
            raise DataError(f"no usable frames in {root}, which holds no file; give another folder with {data_option}")
    weights = _get(config, "model.init_args.weights")
    files = {
        "model.weights": None if weights in ("none", "imagenet", "flipdetect", "coco") else weights,
        "data.split_file": _get(config, "data.split_file"),
        "data.manifest": _get(config, "data.manifest"),
        "ckpt_path": None if config.get("ckpt_path") == "last" else config.get("ckpt_path"),
    }
    for key, value in files.items():
        if isinstance(value, str) and not Path(value).expanduser().is_file():
            raise ConfigError(f"{key} {value}: no such file; correct the path, or leave it out")
        if key == "ckpt_path" and isinstance(value, str) and value.endswith(SUFFIX):
            raise ModelError(
                f"{value} holds weights, not a training to resume; start from them with --model.weights {value}"
            )
        if isinstance(value, str) and value.endswith((".ckpt", SUFFIX)):
            check_contents(Path(value).expanduser())


def signature(class_path: str) -> dict[str, str] | None:
    """Names and annotations of what a class is constructed with, read from its source; None if they can't be known."""
    node = _find(class_path)
    if node is None:
        return None
    init = next((part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"), None)
    own: dict[str, str] = {}
    if init is not None:
        for argument in [*init.args.args[1:], *init.args.kwonlyargs]:
            own[argument.arg] = ast.unparse(argument.annotation) if argument.annotation else ""
        if init.args.kwarg is None:
            return own
    elif node.decorator_list:  # a dataclass
        fields = [part for part in node.body if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)]
        return {part.target.id: ast.unparse(part.annotation) for part in fields}  # type: ignore[union-attr]
    module = class_path.rpartition(".")[0]
    for base in node.bases:
        inherited = signature(f"{module}.{ast.unparse(base)}")
        if inherited is None:
            return None
        own = {**inherited, **own}
    return own if node.bases else None


@cache
def _find(class_path: str) -> ast.ClassDef | None:
    module, _, name = class_path.rpartition(".")
    for text in _texts(module):
        if f"class {name}" in text and re.search(rf"^class {re.escape(name)}\b", text, re.M):
            nodes = ast.parse(text).body if len(text) < 200_000 else []
            return next((node for node in nodes if isinstance(node, ast.ClassDef) and node.name == name), None)
    return None


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

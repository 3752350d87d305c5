"""The arguments of a training, taken apart: which settings each file and option gives, before anything is imported."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from flipdetect.cli.configs import DEFAULTS, DETECTION_DEFAULTS, config_folder, find_config
from flipdetect.errors import ConfigError

DETECTOR = "Detector"
"""What the names of detectors' classes end in: it tells the two kinds of training apart."""
OF_THE_PARSER = ("help", "print_config", "print_shtab")
LISTS = ("trainer.callbacks", "trainer.logger", "data.augment")
FOLDERS_OF_CLASSES = {
    "model": "flipdetect.tasks",
    "trainer.callbacks": "flipdetect.callbacks",
    "trainer.logger": "pytorch_lightning.loggers",
    "data.augment": "albumentations",
}
ALLOWED = ("lightning", "pytorch_lightning", "torch", "torchvision", "torchmetrics", "albumentations", "flipdetect")
"""Packages whose classes a configuration may name."""
ALLOW = "allow-class"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast in C, where PyYAML was built with it."""
Settings = tuple[str, dict[str, Any]]
"""One configuration file, or one option of the command line: what messages call it, and what it says."""


class Arguments(NamedTuple):
    """The arguments of `train.py`, taken apart.

    Attributes:
        words: as LightningCLI takes them: paths in place of configurations' names, and no `--allow-class`, which is no
            setting, as a configuration must not allow its own classes.
        given: the settings of each file and option, in order.
        allowed: packages, modules and classes that a `class_path` may name.
    """

    words: list[str]
    given: list[Settings]
    allowed: tuple[str, ...]

    @property
    def detection(self) -> bool:
        """Whether they train a detector: its data and defaults are others."""
        names = [name for _, content in self.given if (name := get(content, "model.class_path"))]
        return bool(names) and str(names[-1]).endswith(DETECTOR)

    @property
    def defaults(self) -> Path:
        """The configuration that is loaded before all others."""
        return config_folder() / (DETECTION_DEFAULTS if self.detection else DEFAULTS)

    @property
    def sources(self) -> list[Settings]:
        """The defaults, and what is given."""
        return [_read(self.defaults), *self.given]

    @property
    def settings(self) -> dict[str, Any]:
        """All settings, as YAML gives them, defaults included."""
        merged: dict[str, Any] = {}
        for _, content in self.sources:
            _merge(merged, content)
        return merged


def read_arguments(args: Sequence[str]) -> Arguments:
    """Take the arguments of `train.py` apart; a `ConfigError` if they are no options, or a file cannot be read."""
    read = Arguments([], [], ALLOWED)
    for key, value, words in _options(args):
        if key == ALLOW:
            read = read._replace(allowed=(*read.allowed, value or ""))
            continue
        if key in ("config", "c"):
            path = find_config(value or "")
            words = ["--config", str(path)]
            read.given.append(_read(path))
        elif key.split(".")[0] not in OF_THE_PARSER and not key.endswith(".help"):
            read.given.append(_from_option(key, value))
        read.words.extend(words)
    return read


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
        raise ConfigError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no settings, `key: value` lines; flipdetect configs --copy . writes examples")
    augment = get(content, "data.augment")
    if isinstance(augment, str) and not (path.parent / augment).is_file():
        raise ConfigError(f"{path}: data.augment {augment}: no such file in {path.parent}")
    return str(path), content


def _from_option(key: str, value: str | None) -> Settings:
    try:
        content = yaml.safe_load(value or "")
    except yaml.YAMLError:
        content = value
    parts = key.split(".")
    if parts[0] == "model" and len(parts) > 1 and parts[1] not in ("class_path", "init_args"):
        parts.insert(1, "init_args")  # --model.lr is short for --model.init_args.lr
    if any(key.startswith(f"{name}.") for name in LISTS):
        return f"--{key}", {}  # of the last entry of a list
    if key in FOLDERS_OF_CLASSES and isinstance(content, str):
        content = {"class_path": content}
    if key.endswith("+") and not isinstance(content, list):
        content = [{"class_path": content} if isinstance(content, str) else content]
    for part in reversed(parts):
        content = {part: content}
    return f"--{key} {value}", content


def _merge(base: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value.copy() if isinstance(value, dict) else value


def get(content: Any, key: str) -> Any:
    """The value of a dotted key; None if there is none."""
    for part in key.split("."):
        content = content.get(part) if isinstance(content, dict) else None
    return content

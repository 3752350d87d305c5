"""`flipdetect configs`: the training configurations that come with the package, and how a name finds one."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Annotated

from typer import Option

import flipdetect
from flipdetect.errors import ConfigError

logger = logging.getLogger(__name__)

DEFAULTS, DETECTION_DEFAULTS = "defaults.yaml", "detect.yaml"
"""Loaded before every other configuration of a classifier, and of a detector."""


def configs(
    copy: Annotated[Path | None, Option(metavar="FOLDER", help="Copy the files there instead.")] = None,
) -> None:
    """List the training configurations that come with the package, or copy them to a folder."""
    if copy is None:
        for name in config_names():
            title = (config_folder() / f"{name}.yaml").read_text(encoding="utf-8").split("\n", 1)[0]
            print(f"{name:<24} {title.removeprefix('# ')}")
        return
    target = copy.expanduser() / "configs"
    if target.exists():
        raise ConfigError(f"--copy {copy}: {target} exists already; remove it, or give another folder")
    shutil.copytree(config_folder(), target, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    logger.info("Configurations are in %s", target)


def config_folder() -> Path:
    """The folder of the configurations: in an installed package inside it, in a checkout next to it."""
    package = Path(flipdetect.__file__).resolve().parent
    return package / "configs" if (package / "configs").is_dir() else package.parent / "configs"


def config_names() -> list[str]:
    """What `--config` takes as names: `mobilenet`, `debug/fast`, ..., sorted, folders last."""
    folder = config_folder()
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")]
    return sorted((n for n in names if not n.startswith(("augment/", "tune/"))), key=lambda n: (n.count("/"), n))


def find_config(name: str) -> Path:
    """The file that `--config` means: an existing file, or a configuration of the package by its name.

    Raises:
        ConfigError: if there is neither.
    """
    return _find(f"--config {name}", name, "configuration", config_names())


def find_space(name: str) -> Path:
    """The file that `--space` means: an existing file, or a search space of the package, such as `tune/tiny_cnn`.

    Raises:
        ConfigError: if there is neither.
    """
    names = sorted(f"tune/{path.stem}" for path in (config_folder() / "tune").glob("*.yaml"))
    return _find(f"--space {name}", name, "search space", names)


def _find(option: str, name: str, kind: str, names: list[str]) -> Path:
    path = Path(name).expanduser()
    if path.is_file():
        return path
    packaged = config_folder() / f"{name.removesuffix('.yaml')}.yaml"
    if packaged.is_file():
        return packaged
    raise ConfigError(f"{option}: no such file, and no {kind} of that name; there are {', '.join(names)}")

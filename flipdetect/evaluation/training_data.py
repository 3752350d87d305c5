"""The labelled frames that a configuration of `train.py` is about, without a training."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

from flipdetect.data.datamodule import FrameDataModule
from flipdetect.data.index import FrameIndex, index_frames
from flipdetect.errors import ConfigError, FlipdetectError
from flipdetect.evaluation.config_overrides import Config

_PREFIX = "data."

logger = logging.getLogger(__name__)


def training_data(config: Config, overrides: Mapping[str, Any]) -> FrameDataModule:
    """The data module that `train.py` would make of a configuration, without augmentations.

    Args:
        config: as loaded from YAML.
        overrides: dotted names and values; those of `data` count.

    Raises:
        ConfigError: if a key is unknown, or a value cannot work.
    """
    from jsonargparse import ArgumentParser

    values = copy.deepcopy(config.get("data") or {})
    for name, value in overrides.items():
        if name.startswith(_PREFIX):
            _set(values, name.removeprefix(_PREFIX).split("."), value)
    values.pop("augment", None)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(FrameDataModule, "data")
    try:
        made: FrameDataModule = parser.instantiate_classes(parser.parse_object({"data": values})).data
    except FlipdetectError:
        raise
    except Exception as error:  # jsonargparse's own have no class in common with what the classes raise
        raise ConfigError(f"the configuration's `data` cannot be used: {error}") from error
    return made


def labelled_index(data: FrameDataModule) -> FrameIndex:
    """The frames of a data module's folder, rendered first if they are the embedded ones and absent.

    Raises:
        ConfigError: if the configuration is about clips instead of frames.
        DataError: if no frame can be used.
    """
    if data.embedded is not None:
        data.embedded.ensure(data.root)
    index = index_frames(data.root, classes=data.classes, pattern=data.naming, manifest=data.manifest, check=False)
    logger.info("%s", index.summary())
    return index


def _set(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        if not isinstance(values.get(key), dict):
            values[key] = {}
        values = values[key]
    values[keys[-1]] = value

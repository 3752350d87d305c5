"""Changed copies of a training configuration: overlays merged, values set, entries of lists taken out."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from flipdetect.errors import ConfigError

Config = dict[str, Any]

BASE = "base"
_RENDER = "data.embedded.render."


@dataclass(frozen=True)
class Variation:
    """One experiment.

    Attributes:
        name: as tables show it.
        config: a configuration of `train.py`, as its YAML file would be loaded.
        overrides: dotted names and values on top of it, such as `{"model.lr": 0.001}`.
    """

    name: str
    config: Config
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """A folder's name: the variation's, and a fingerprint, so that a changed configuration has another folder."""
        content = json.dumps([self.config, dict(self.overrides)], sort_keys=True, default=str)
        return f"{_slug(self.name)}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    @property
    def has_own_data(self) -> bool:
        """Whether the rendered set differs from the base's, so that figures on its test side are not comparable."""
        return any(name.startswith(_RENDER) for name in self.overrides)

    def arguments(self) -> list[str]:
        """The overrides as arguments of `train.py`."""
        return [
            f"--{name}={value if isinstance(value, str) else json.dumps(value)}"
            for name, value in self.overrides.items()
        ]


def load_config(paths: Sequence[Path]) -> Config:
    """Load configurations, each laid over the ones before: mappings are merged, all else is replaced.

    Raises:
        ConfigError: if a file cannot be read, or is no mapping.
    """
    config: Config = {}
    for path in paths:
        config = _merge(config, _load_mapping(path))
    return config


def variations(base: Config, overrides: Mapping[str, Any], spec: Path) -> list[Variation]:
    """The base, and what a YAML file of variations makes of it.

    The file maps `variations` to names, and each name to `set` (dotted names and values, as `train.py` takes them on
    its command line), `remove` (class names of augmentations, such as ToGray), or both. A variation that changes how
    the embedded data is rendered gets a folder of its own for it.

    Args:
        base: the configuration that all start from.
        overrides: for all of them, the base included.
        spec: the file.

    Raises:
        ConfigError: if the file is malformed, or a class to remove is not there.
    """
    entries = _load_mapping(spec).get("variations")
    if not isinstance(entries, Mapping) or not entries:
        raise ConfigError(f"{spec} must map `variations` to names with `set` or `remove`, got {entries!r}")
    made = [Variation(BASE, base, overrides)]
    for name, entry in entries.items():
        if not isinstance(entry, Mapping) or not entry or set(entry) - {"set", "remove"} or str(name) == BASE:
            raise ConfigError(f"variation {name!r} in {spec} needs `set` and/or `remove` and nothing else, got {entry}")
        own = entry.get("set") or {}
        if not isinstance(own, Mapping):
            raise ConfigError(f"`set` of variation {name!r} in {spec} must map dotted names to values, got {own!r}")
        config = without_augmentations(base, entry.get("remove") or [])
        made.append(Variation(str(name), config, {**overrides, **_own_data(base, str(name), own), **own}))
    return made


def without_augmentations(config: Config, names: Sequence[str]) -> Config:
    """A copy of a configuration without the augmentations of these class names, nested ones (OneOf) included.

    Raises:
        ConfigError: if there is none of a name.
    """
    changed = copy.deepcopy(config)
    listed = (changed.get("data") or {}).get("augment") or []
    for name in [names] if isinstance(names, str) else names:
        present = _class_names(listed)
        if name not in present:
            raise ConfigError(
                f"there is no augmentation {name!r} to remove; the configuration has {', '.join(present) or 'none'}"
            )
        listed = _without(listed, name)
    if names:
        changed["data"]["augment"] = listed or None
    return changed


def parse_overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """`["model.lr=0.001"]` -> `{"model.lr": 0.001}`; values are YAML.

    Raises:
        ConfigError: if there is no `=`, or the value is no YAML.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.lstrip("-").partition("=")
        if not equals or not name:
            raise ConfigError(f"an override is written name=value, such as trainer.max_epochs=5; got {pair!r}")
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"the value of {pair!r} is no YAML: {error}") from None
    return found


def _own_data(base: Config, name: str, own: Mapping[str, Any]) -> dict[str, str]:
    """Folder of the rendered set, if a variation renders it differently: the base's set must stay as it is."""
    if not any(key.startswith(_RENDER) for key in own):
        return {}
    root = f"{(base.get('data') or {}).get('root', 'data/embedded')}-{_slug(name)}"
    return {"data.root": root, "data.embedded.root": root}


def _class_names(listed: Sequence[Any]) -> list[str]:
    names = []
    for entry in listed:
        names.append(_class_name(entry))
        names += _class_names(_children(entry))
    return names


def _without(listed: Sequence[Any], name: str) -> list[Any]:
    kept = []
    for entry in listed:
        if _class_name(entry) == name:
            continue
        children = _children(entry)
        if children:
            entry["init_args"]["transforms"] = _without(children, name)
            if not entry["init_args"]["transforms"]:
                continue  # a choice among nothing
        kept.append(entry)
    return kept


def _class_name(entry: Any) -> str:
    path = entry.get("class_path", "") if isinstance(entry, Mapping) else str(entry)
    return str(path).rpartition(".")[2]


def _children(entry: Any) -> list[Any]:
    arguments = entry.get("init_args") if isinstance(entry, Mapping) else None
    return list((arguments or {}).get("transforms") or [])


def _merge(base: Config, top: Mapping[str, Any]) -> Config:
    merged = dict(base)
    for key, value in top.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and _same_class(old, value):
            merged[key] = _merge(dict(old), value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def _same_class(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether both describe one class: the arguments of one mean nothing to another."""
    return bool(new.get("class_path", old.get("class_path")) == old.get("class_path"))


def _load_mapping(path: Path) -> Config:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold a mapping, got {type(content).__name__}")
    return content


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "variation"

"""Settings that can stand in YAML: the ranges of numbers, and a base of plain values that are checked when made."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

from flipdetect.errors import ConfigError

RANGES = {
    "seed_everything": "[0, 4294967295]",
    "trainer.devices": "-1 or [1, inf)",
    "trainer.num_nodes": "[1, inf)",
    "trainer.max_epochs": "-1 or [1, inf)",
    "trainer.min_epochs": "[0, inf)",
    "trainer.max_steps": "-1 or [1, inf)",
    "trainer.min_steps": "[0, inf)",
    "trainer.limit_train_batches": "(0, 1] or whole [1, inf)",
    "trainer.limit_val_batches": "[0, 1] or whole [1, inf)",
    "trainer.limit_test_batches": "[0, 1] or whole [1, inf)",
    "trainer.limit_predict_batches": "[0, 1] or whole [1, inf)",
    "trainer.overfit_batches": "[0, 1] or whole [1, inf)",
    "trainer.val_check_interval": "(0, 1] or whole [1, inf)",
    "trainer.check_val_every_n_epoch": "[1, inf)",
    "trainer.num_sanity_val_steps": "-1 or [0, inf)",
    "trainer.log_every_n_steps": "[0, inf)",
    "trainer.accumulate_grad_batches": "[1, inf)",
    "trainer.gradient_clip_val": "[0, inf)",
    "trainer.reload_dataloaders_every_n_epochs": "[0, inf)",
    "model.lr": "(0, inf)",
    "model.backbone_lr": "(0, inf)",
    "model.weight_decay": "[0, inf)",
    "model.warmup_epochs": "[0, inf)",
    "model.final_lr_ratio": "[0, 1]",
    "model.positive_weight": "(0, inf)",
    "model.label_smoothing": "[0, 1)",
    "model.threshold_min_videos": "[0, inf)",
    "model.map_weight": "[0, inf)",
    "model.rank_weight": "[0, inf)",
    "model.dropout": "[0, 1)",
    "model.width": "(0, inf)",
    "data.val_fraction": "(0, 1)",
    "data.test_fraction": "[0, 1)",
    "data.batch_size": "[1, inf)",
    "data.epoch_frames": "[1, inf)",
    "data.num_workers": "[0, inf)",
    "data.prefetch": "[1, inf)",
    "data.cache_gb": "(0, inf)",
    "data.split_seed": "[0, inf)",
    "data.seed": "[0, inf)",
    "data.preprocess.height": "[1, inf)",
    "data.preprocess.width": "[1, inf)",
    "data.preprocess.channels": "[1, inf)",
    "data.preprocess.mean": "(-inf, inf)",
    "data.preprocess.std": "(0, inf)",
    "data.mix_in.share": "[0, 1)",
}
"""Of each numeric setting, as intervals; a number of a list is held to the same. No number may be NaN."""


def check_range(key: str, value: Any) -> None:
    """Refuse a number, or a list with one, that is outside the range of its setting; anything else passes.

    Raises:
        ConfigError: with the key, the value and the range.
    """
    if isinstance(value, list | tuple):
        for item in value:
            check_range(key, item)
        return
    if key not in RANGES or isinstance(value, bool) or not isinstance(value, int | float):
        return
    for interval in RANGES[key].split(" or "):
        parts = re.fullmatch(r"(whole )?([\[(])(.+), (.+)([\])])", interval)
        if parts is None:
            if value == float(interval):
                return
            continue
        low, high = float(parts[3]), float(parts[4])
        above = low <= value if parts[2] == "[" else low < value
        below = value <= high if parts[5] == "]" else value < high
        if above and below and math.isfinite(value) and (not parts[1] or isinstance(value, int)):
            return
    raise ConfigError(f"{key} must be in {RANGES[key]}, got {value}")


@dataclass(frozen=True)
class PlainParameters:
    """Base of frozen dataclasses of plain values, to and from dictionaries.

    Attributes:
        SECTION: where the parameters stand in YAML, for messages.
    """

    SECTION: ClassVar[str] = ""

    def to_dict(self) -> dict[str, Any]:
        """Values by name, tuples as lists, as `from_dict` reads them."""
        values = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Parameters from `to_dict`, YAML or JSON; names left out keep their defaults.

        Raises:
            ConfigError: if a name is unknown or a value is invalid.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(map(str, values)) - set(known))
        if unknown:
            raise ConfigError(
                f"{cls.SECTION} has no parameter {', '.join(unknown)}; remove it, or choose among {', '.join(known)}"
            )
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"{cls.SECTION} parameters {dict(values)} cannot be used: {error}; give numbers"
            ) from error

    def check(self, names: str, valid: Callable[[Any], bool], remedy: str) -> None:
        """Refuse the first of some values, whose names are separated by spaces, that is not `valid`.

        Raises:
            ConfigError: with the value, and `remedy`.
        """
        for name in names.split():
            value = getattr(self, name)
            if not valid(value):
                raise ConfigError(f"{self.SECTION}.{name} is {value}; {remedy}")

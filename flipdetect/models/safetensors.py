"""A model in one safetensors file: tensors, and metadata with all else that prediction needs. No code, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from flipdetect.errors import ModelError
from flipdetect.runs import CHECKPOINT_KEY


def write_packed(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors unchanged, and facts (JSON types) as one string under the metadata key `flipdetect`.

    Raises:
        TypeError, ValueError: if the facts are not JSON (NaN is refused, too).
        OSError: if the file cannot be written.
    """
    # The format has no memory order: a channels-last tensor is made contiguous, with the same values.
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {CHECKPOINT_KEY: json.dumps(facts, allow_nan=False, ensure_ascii=False)}
    # Not save_file: it creates a file that only its owner may read.
    path.write_bytes(save(plain, metadata=metadata))


def read_facts(path: Path) -> dict[str, Any] | None:
    """The content of the metadata key `flipdetect`; None if the file has no such key.

    Raises:
        ModelError: if the file is absent or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(CHECKPOINT_KEY)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    try:
        facts = None if text is None else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is damaged or was changed: its metadata is no JSON ({error})") from error
    if facts is not None and not isinstance(facts, dict):
        raise ModelError(f"{path} is damaged or was changed: its metadata is no JSON object")
    return facts


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        ModelError: if the file is absent or damaged.
    """
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path} is not a readable safetensors file: {error}")

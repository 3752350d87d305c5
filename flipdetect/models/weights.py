"""Model files without pickle, and initial weights other than ImageNet's: a pretrained model, or a file."""

from __future__ import annotations

import json
import logging
import pickle  # for the name of an error; nothing is unpickled  # nosec B403
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from flipdetect.errors import ModelError
from flipdetect.runs import CHECKPOINT_KEY
from flipdetect.zoo import PRETRAINED, SUFFIX, pretrained_path

IMAGENET = "imagenet"
FLIPDETECT = "flipdetect"
NO_WEIGHTS = "none"

TORCH_SUFFIXES = (".ckpt", ".pt", ".pth")

# Keys under which training programs store the state dict, and what their wrappers put before its names.
STATE_DICT_KEYS = ("state_dict", "model")
WRAPPERS = re.compile(r"^(model\.)?(module\.)?(_orig_mod\.)?")
NAMES_IN_LOG = 8

log = logging.getLogger(__name__)


def weights_path(weights: str, model: nn.Module) -> Path | None:
    """The file of initial weights: a path, or for "flipdetect" the pretrained model; None for "none" and "imagenet"."""
    if weights in (NO_WEIGHTS, IMAGENET):
        return None
    if weights != FLIPDETECT:
        return Path(weights)
    architectures = {cls.__name__ for cls in type(model).__mro__}
    for name, architecture in PRETRAINED.items():
        if architecture in architectures:
            return pretrained_path(name)
    raise ModelError(
        f"flipdetect has no pretrained weights for {type(model).__name__}, only for {', '.join(PRETRAINED.values())}; "
        f"set weights: {NO_WEIGHTS}, {IMAGENET}, or the path of a file"
    )


def start_from(model: nn.Module, weights: str) -> None:
    """Load the initial weights that the configuration names, other than ImageNet's; a `ModelError` if unfit."""
    path = weights_path(weights, model)
    if path is None:
        return
    if weights != FLIPDETECT:
        load_weights_file(model, path)
        return
    found = {key: value for key, value in read_tensors(path).items() if key.startswith("model.")}
    source = {key.removeprefix("model."): value for key, value in found.items()}
    target = model.state_dict()
    every = target.keys() | source.keys()  # a part of a model would be another model
    unfit = [key for key in every if key not in source or key not in target or source[key].shape != target[key].shape]
    if unfit:
        arguments = (read_facts(path) or {}).get("arguments", {})
        fitting = [f"model.init_args.{key}: {arguments[key]}" for key in ("evidence", "width") if key in arguments]
        fitting.append(f"data.preprocess.channels: {arguments.get('in_channels')}")
        raise ModelError(
            f"the pretrained weights {path.stem} do not fit this {type(model).__name__}: {len(unfit)} tensors are "
            f"missing in one of the two or have another shape, such as {min(unfit)}; set {' and '.join(fitting)}, or "
            f"weights: {NO_WEIGHTS}"
        )
    model.load_state_dict(source)
    log.info("Starting from the pretrained weights %s", path.stem)


def load_weights_file(model: nn.Module, path: str | Path) -> None:
    """Load all tensors of a file that fit into `model`, and log the others.

    Names are matched as they are, without the prefix of a wrapper (`model.`, `module.`), or as the names of a
    bare backbone; the variant with the most matches is used. A tensor of another shape is skipped.

    Raises:
        ModelError: if the file cannot be read safely, or no tensor of the backbone fits.
    """
    path = Path(path)
    source = read_state_dict(path)
    target = model.state_dict()
    stripped = {WRAPPERS.sub("", key): value for key, value in source.items()}
    bare = [{f"backbone.{key}": value for key, value in names.items()} for names in (source, stripped)]
    source = max((source, stripped, *bare), key=lambda names: len(target.keys() & names.keys()))
    fitting = {key: value for key, value in source.items() if key in target and value.shape == target[key].shape}
    if not any(key.startswith("backbone.") and value.is_floating_point() for key, value in fitting.items()):
        raise ModelError(
            f"nothing in {path} fits {type(model).__name__}: the file has names like {_some(source)}, "
            f"the model has names like {_some(target)}; these are the weights of another architecture"
        )
    model.load_state_dict(fitting, strict=False)
    log.info("loaded %d of %d tensors from %s", len(fitting), len(target), path)
    for names, what in (
        ([key for key in source.keys() & target.keys() if key not in fitting], "have another shape in %s: not loaded"),
        (target.keys() - source.keys(), "are not in %s and keep their initial values"),
        (source.keys() - target.keys(), "of %s have no place in the model"),
    ):
        if names:
            log.warning("%d tensors " + what + ": %s", len(names), path, _some(names))


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file, on the CPU; nothing in the file is executed.

    Raises:
        ModelError: if the file is missing, of an unknown kind, damaged, or contains no tensors, or other objects.
    """
    if not path.is_file():
        raise ModelError(
            f"weights file {path} does not exist; weights is {IMAGENET!r}, {FLIPDETECT!r}, {NO_WEIGHTS!r} "
            "or the path of a file"
        )
    if path.suffix == SUFFIX:
        return read_tensors(path)
    if path.suffix not in TORCH_SUFFIXES:
        raise ModelError(f"weights file {path} must end in {SUFFIX}, {', '.join(TORCH_SUFFIXES)}")
    content = load_without_code(path)
    for key in STATE_DICT_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    tensors = content.items() if isinstance(content, Mapping) else ()
    found = {str(key): value for key, value in tensors if isinstance(value, Tensor)}
    if not found:
        raise ModelError(f"weights file {path} contains no state dict (looked at the top and in {STATE_DICT_KEYS})")
    return found


def load_without_code(path: Path) -> Any:
    """The content of a file that `torch.save` wrote, on the CPU, if it has only tensors and plain types.

    Raises:
        ModelError: if it is damaged, or contains objects that could run code when loaded.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} is refused: it is damaged, or contains objects other than weights, which could run code when "
            "loaded. Save the state dict alone, best as .safetensors"
        ) from error
    # On bytes that are no weights the restricted unpickler may raise anything.
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise ModelError(f"{path} is no checkpoint, or is damaged ({why}); give a .ckpt or .onnx file") from error


def _some(names: Any) -> str:
    shown = sorted(names)[:NAMES_IN_LOG]
    return ", ".join(shown) + (", …" if len(names) > len(shown) else "")


def write_packed(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors unchanged, and facts (JSON types, no NaN) as one string under the metadata key `flipdetect`."""
    # The format has no memory order: a channels-last tensor is made contiguous, with the same values.
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {CHECKPOINT_KEY: json.dumps(facts, allow_nan=False, ensure_ascii=False)}
    # Not save_file: it creates a file that only its owner may read.
    path.write_bytes(save(plain, metadata=metadata))


def read_facts(path: Path) -> dict[str, Any] | None:
    """The content of the metadata key `flipdetect`, None without it; a `ModelError` if the file is damaged."""
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
    """The tensors of a safetensors file, on the CPU; a `ModelError` if it is absent or damaged."""
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path} is not a readable safetensors file: {error}")

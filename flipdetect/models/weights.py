"""Where initial weights come from other than ImageNet's: this package, a file, or nowhere. No pickle is executed."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flipdetect.errors import ModelError
from flipdetect.models.safetensors import read_facts, read_tensors
from flipdetect.zoo import SHIPPED, shipped_path

IMAGENET = "imagenet"
FLIPDETECT = "flipdetect"
NO_WEIGHTS = "none"

TORCH_SUFFIXES = (".ckpt", ".pt", ".pth")

# Keys under which training programs keep the state dict, and prefixes that their wrappers add to its names.
STATE_DICT_KEYS = ("state_dict", "model")
WRAPPER_PREFIXES = ("model.", "module.", "_orig_mod.")
NAMES_IN_LOG = 8

log = logging.getLogger(__name__)


def start_from(model: nn.Module, weights: str) -> None:
    """Give a model the initial weights that its configuration names, other than ImageNet's.

    Args:
        model: has a `backbone` and a `head`; changed in place.
        weights: "none" (nothing is done), "flipdetect" (those shipped with the package), or the path of a file.

    Raises:
        ModelError: if the weights cannot be had, or do not fit.
    """
    if weights == FLIPDETECT:
        load_shipped_weights(model)
    elif weights != NO_WEIGHTS:
        load_weights_file(model, weights)


def load_shipped_weights(model: nn.Module) -> None:
    """Load all weights, backbone and head, of the trained model of this architecture that ships with the package.

    Args:
        model: changed in place.

    Raises:
        ModelError: if none is shipped for the architecture, or the model has another width or other channels.
    """
    name = shipped_for(model)
    path = shipped_path(name)
    # Beside the model's tensors lie those of its task: threshold and temperature.
    found = {key: value for key, value in read_tensors(path).items() if key.startswith("model.")}
    source = {key.removeprefix("model."): value for key, value in found.items()}
    target = model.state_dict()
    every = target.keys() | source.keys()  # part of a model would be another model
    unfit = [key for key in every if key not in source or key not in target or source[key].shape != target[key].shape]
    if unfit:
        raise ModelError(
            f"the shipped weights {name} do not fit this {type(model).__name__}: {len(unfit)} tensors are on one side "
            f"only or have another shape, such as {min(unfit)}; {_settings_that_fit(path)}, or weights: {NO_WEIGHTS}"
        )
    model.load_state_dict(source)
    log.info("Starting from the shipped weights %s", name)


def shipped_for(model: nn.Module) -> str:
    """Name of the shipped model of a model's architecture.

    Raises:
        ModelError: if there is none.
    """
    architectures = {cls.__name__ for cls in type(model).__mro__}
    for name, architecture in SHIPPED.items():
        if architecture in architectures:
            return name
    raise ModelError(
        f"flipdetect ships no weights for {type(model).__name__}, only for {', '.join(SHIPPED.values())}; "
        f"set weights: {NO_WEIGHTS}, {IMAGENET}, or the path of a file"
    )


def _settings_that_fit(path: Path) -> str:
    arguments = (read_facts(path) or {}).get("arguments", {})
    known = [key for key in ("evidence", "width") if key in arguments]
    model = "".join(f"model.init_args.{key}: {arguments[key]} and " for key in known)
    return f"set {model}data.preprocess.channels: {arguments.get('in_channels')}"


def load_weights_file(model: nn.Module, path: str | Path) -> None:
    """Load what fits from a file into `model`, and say in the log what did not.

    Names are matched as they are, without the prefix of a wrapper (`model.`, `module.`), or as the names of a
    bare backbone; the variant with the most matches is taken. A tensor of another shape is left out.

    Args:
        model: has a `backbone` and a `head`; changed in place.
        path: .safetensors, or .ckpt, .pt, .pth with a state dict, bare or under `state_dict` or `model`.

    Raises:
        ModelError: if there is no such file, it cannot be read safely, or no tensor of the backbone fits.
    """
    path = Path(path)
    source = read_state_dict(path)
    target = model.state_dict()
    source = max(_name_variants(source), key=lambda variant: len(target.keys() & variant.keys()))
    fitting = {key: value for key, value in source.items() if key in target and value.shape == target[key].shape}
    if not any(key.startswith("backbone.") and value.is_floating_point() for key, value in fitting.items()):
        raise ModelError(
            f"nothing in {path} fits {type(model).__name__}: the file has names like {_some(source)}, "
            f"the model has names like {_some(target)}; these are the weights of another architecture"
        )
    model.load_state_dict(fitting, strict=False)
    log.info("loaded %d of %d tensors from %s", len(fitting), len(target), path)
    wrong_shape = [key for key in source.keys() & target.keys() if key not in fitting]
    _warn(wrong_shape, "have another shape in %s and keep their initial values", path)
    _warn(target.keys() - source.keys(), "are not in %s and keep their initial values", path)
    _warn(source.keys() - target.keys(), "of %s have no place in the model", path)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file, on the CPU, without executing anything in it.

    Raises:
        ModelError: if the file is missing, of an unknown kind, damaged, holds objects that are not weights,
            or holds no tensors.
    """
    if not path.is_file():
        raise ModelError(
            f"weights file {path} does not exist; weights is {IMAGENET!r}, {FLIPDETECT!r}, {NO_WEIGHTS!r} "
            "or the path of a file"
        )
    if path.suffix == ".safetensors":
        return read_tensors(path)
    if path.suffix not in TORCH_SUFFIXES:
        raise ModelError(f"weights file {path} must end in .safetensors, {', '.join(TORCH_SUFFIXES)}")
    return _read_torch(path)


def load_without_code(path: Path) -> Any:
    """The content of a file that `torch.save` wrote, on the CPU, if it holds tensors and plain types alone.

    Raises:
        ModelError: if it is damaged, or holds objects that could run code when loaded.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} is refused: it is damaged, or holds objects other than weights, which could run code when "
            "loaded. Save the state dict alone, best as .safetensors"
        ) from error
    # In bytes that are no weights the restricted unpickler stumbles over whatever they happen to mean to it.
    except Exception as error:
        raise ModelError(f"{path} cannot be read: {type(error).__name__}: {error}") from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    content = load_without_code(path)
    for key in STATE_DICT_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    tensors = content.items() if isinstance(content, Mapping) else ()
    found = {str(key): value for key, value in tensors if isinstance(value, Tensor)}
    if not found:
        raise ModelError(f"weights file {path} holds no state dict (looked at the top and in {STATE_DICT_KEYS})")
    return found


def _name_variants(state_dict: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    stripped = dict(state_dict)
    variants = [state_dict]
    for prefix in WRAPPER_PREFIXES:
        stripped = {key.removeprefix(prefix): value for key, value in stripped.items()}
        variants.append(stripped)
    bare = [{f"backbone.{key}": value for key, value in variant.items()} for variant in (state_dict, stripped)]
    return variants + bare


def _warn(names: Any, what: str, path: Path) -> None:
    if names:
        log.warning("%d tensors " + what + ": %s", len(names), path, _some(names))


def _some(names: Any) -> str:
    shown = sorted(names)[:NAMES_IN_LOG]
    return ", ".join(shown) + (", …" if len(names) > len(shown) else "")

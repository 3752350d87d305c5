"""Where initial weights come from: ImageNet through timm, a file, or nowhere. No pickle is ever executed."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from flipdetect.errors import ModelError

IMAGENET = "imagenet"
NO_WEIGHTS = "none"

HUB_FILE = "model.safetensors"
HUB_TIMEOUT_S = 10.0
TORCH_SUFFIXES = (".ckpt", ".pt", ".pth")

# Keys under which training programs keep the state dict, and prefixes that their wrappers add to its names.
STATE_DICT_KEYS = ("state_dict", "model")
WRAPPER_PREFIXES = ("model.", "module.", "_orig_mod.")
NAMES_IN_LOG = 8

log = logging.getLogger(__name__)


def pretrained_overlay(name: str) -> dict[str, Any] | None:
    """Find or fetch a timm model's ImageNet weights.

    A file that is in the hub's cache is used without asking the network. If it is not, one request with a
    timeout finds out whether the hub can be reached: the hub's client alone would retry for most of a minute.

    Args:
        name: timm's name of the model, with or without a tag.

    Returns:
        What `timm.create_model` takes as `pretrained_cfg_overlay`; None if timm must fetch them its own way.

    Raises:
        ModelError: if there are no such weights, or they are neither cached nor reachable.
    """
    cfg = timm.get_pretrained_cfg(name)
    if cfg is None or not cfg.has_weights:
        raise ModelError(f"timm has no pretrained weights for {name!r}; set weights: none, or the path of a file")
    if not cfg.hf_hub_id or cfg.custom_load:
        return None
    repository, _, revision = cfg.hf_hub_id.partition("@")
    filename = cfg.hf_hub_filename or HUB_FILE
    cached = huggingface_hub.try_to_load_from_cache(repository, filename, revision=revision or None)
    path = cached if isinstance(cached, str) else _download(name, repository, filename, revision or None)
    return {"file": path}


def _download(name: str, repository: str, filename: str, revision: str | None) -> str:
    url = huggingface_hub.hf_hub_url(repository, filename, revision=revision)
    log.info("fetching the ImageNet weights of %s from %s (once; they are cached)", name, url)
    try:
        huggingface_hub.get_hf_file_metadata(url, timeout=HUB_TIMEOUT_S)
        return str(huggingface_hub.hf_hub_download(repository, filename, revision=revision))
    # The hub's client has changed its HTTP library, and with it the family of its errors, between releases.
    except Exception as error:
        raise ModelError(
            f"the ImageNet weights of {name!r} are not in the cache and cannot be fetched from {url}: "
            f"{type(error).__name__}: {error}. Either run once with a network connection, "
            "or set HF_HUB_CACHE to a cache that holds them, or give a file that you have "
            "(weights: path/to/file.safetensors), or start from random weights (weights: none)"
        ) from error


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
            f"weights file {path} does not exist; weights is {IMAGENET!r}, {NO_WEIGHTS!r} or the path of a file"
        )
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix not in TORCH_SUFFIXES:
        raise ModelError(f"weights file {path} must end in .safetensors, {', '.join(TORCH_SUFFIXES)}")
    return _read_torch(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise ModelError(f"weights file {path} is not a readable safetensors file: {error}") from error


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

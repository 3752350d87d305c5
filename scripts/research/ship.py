"""Write a trained model as one of the pretrained models: flipdetect/weights/NAME.safetensors and its card NAME.md.

The file contains the weights unchanged (float32, no pickle) and, as metadata, all that prediction needs and where the
model comes from. Metrics of the run's metrics.json next to the checkpoint go into the card; --figures adds more.

Examples:
    python scripts/research/ship.py --checkpoint logs/tiny_cnn/version_0/best.ckpt --name tiny_cnn
    python scripts/research/ship.py --cards      # write all cards again, from the metadata of the weights
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
import yaml
from numpy.typing import ArrayLike
from torch import Tensor
from typer import Option

from flipdetect.atomic import replacing, write_text
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ConfigError, ModelError
from flipdetect.inference.torch_model import load_torch_model, read_model
from flipdetect.metrics.calibration import calibrated
from flipdetect.metrics.threshold import threshold_curve
from flipdetect.models.weights import read_facts, write_packed
from flipdetect.runs import NO_TEMPERATURE, stored_temperature
from flipdetect.tasks.decision import Decision, choose_decision
from flipdetect.zoo import FOLDER, NAMES, PRETRAINED, SIZE_LIMIT, pretrained_path

FACTS = ("version", "task", "arguments", "classes", "preprocess", "threshold", "naming")
SAME_WHEN_AVERAGED = ("task", "classes", "preprocess", "naming")
NOT_IN_CARD = ("loss", "threshold", "temperature")
SETTINGS = ("lr", "backbone_lr", "weight_decay", "label_smoothing", "weights")
SPLIT_BY = {
    "source": "no book is in two splits",
    "video": "no video is in two splits",
    "auto": "no book (where books are unknown or few: no video) is in two splits",
}


def ship(
    checkpoint: Path,
    name: str,
    *,
    average: Sequence[Path] = (),
    height: int | None = None,
    figures: Mapping[str, Mapping[str, float | int | str]] | None = None,
    decision: Decision | None = None,
    decided_on: str = "by hand",
    folder: Path = FOLDER,
) -> Path:
    """Write a trained model and its card under the name of a pretrained model; returns the weights' path.

    Args:
        checkpoint: a `best.ckpt` of `train.py`; configuration, classes and preprocessing are taken from it.
        name: one of `PRETRAINED`.
        average: further checkpoints of the same model, whose weights are averaged with the first (Izmailov et al.,
            2018). A `decision` is needed then.
        height: of the input in pixels, if another than in training; the width keeps its proportion.
        figures: {section: {name: value}}, for the card.
        decision: threshold and temperature, instead of the checkpoint's own.
        decided_on: where the decision comes from, for the card: "chosen ...".
        folder: of the pretrained weights.

    Raises:
        ModelError: if a checkpoint cannot be loaded or is of another architecture or preprocessing, or all pretrained
            weights together would exceed `SIZE_LIMIT`. Nothing is written then.
        ConfigError: if weights are averaged without a `decision`.
    """
    model = load_torch_model(checkpoint, "cpu")
    network, preprocess = model.task.model, model.preprocess
    if type(network).__name__ != PRETRAINED[name]:
        raise ModelError(f"{checkpoint} contains a {type(network).__name__}, but {name} is a {PRETRAINED[name]}")
    read = [read_model(path) for path in (checkpoint, *average)]
    facts = read[0][0]
    for path, (other, _) in zip(average, read[1:], strict=True):
        different = [key for key in SAME_WHEN_AVERAGED if facts[key] != other[key]]
        if height is not None and _at_height(facts, height) == _at_height(other, height):
            different = [key for key in different if key != "preprocess"]
        if different:
            raise ModelError(f"{path} cannot be averaged with {checkpoint}: they differ in {', '.join(different)}")
    if average and decision is None:
        raise ConfigError("averaged weights need a threshold that was chosen on them")
    chosen = f"chosen {decided_on}" if decision else "the best F1 (or lowest cost) on the validation split"
    decision = decision or Decision(float(facts["threshold"]), stored_temperature(facts))
    # A temperature of 1 is left out, so that older releases read the file.
    decided = {"threshold": decision.threshold, "temperature": decision.temperature}
    decided = {key: value for key, value in decided.items() if key == "threshold" or value != NO_TEMPERATURE}
    own = {} if average or chosen.startswith("chosen") else metrics_beside(checkpoint)
    packed = {key: portable(facts[key]) for key in FACTS} | decided
    if height is not None:
        packed["preprocess"] = resized(preprocess, height).to_dict()
    packed["card"] = {
        "name": name,
        "architecture": PRETRAINED[name],
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "averaged": len(read),
        "threshold_origin": chosen,
        "figures": {**own, **(figures or {})},
        **origin(facts),
    }
    packed["card"]["limits"] = limits(packed)
    state = mean_tensors([tensors for _, tensors in read])
    state.pop("temperature", None)
    state |= {key: torch.tensor(value, dtype=torch.float64) for key, value in decided.items()}
    target = pretrained_path(name, folder)
    with replacing(target) as part, replacing(target.with_suffix(".md")) as card:
        write_packed(part, state, packed)
        card.write_text(card_markdown(packed), encoding="utf-8")
        others = (pretrained_path(other, folder) for other in NAMES if other != name)
        total = part.stat().st_size + sum(path.stat().st_size for path in others if path.is_file())
        if total > SIZE_LIMIT:
            raise ModelError(f"all pretrained weights would have {total:,} bytes; {SIZE_LIMIT:,} are allowed")
    return target


def decide_on_photographs(probabilities: ArrayLike, targets: ArrayLike) -> Decision:
    """Temperature, and the lowest threshold with an F1 within 0.01 of the best, by probabilities at temperature 1.

    Differences that small are chance on some hundred frames, and scores of pages that are turned lie lower in other
    sets: a lower threshold finds more of them.
    """
    temperature = choose_decision(probabilities, targets, None, fits_temperature=True).temperature
    lowest = threshold_curve(probabilities, targets).plateau[0]
    return Decision(float(calibrated(lowest, temperature)), temperature)


def _at_height(facts: Mapping[str, Any], height: int) -> PreprocessSpec:
    return resized(PreprocessSpec.from_dict(facts["preprocess"]), height)


def resized(preprocess: PreprocessSpec, height: int) -> PreprocessSpec:
    """The same preprocessing for another height of the input, in its proportion."""
    return replace(preprocess, height=height, width=round(height * preprocess.width / preprocess.height))


def mean_tensors(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of floating-point tensors, summed in float64; counters are the first one's."""
    if len(states) == 1:
        return dict(states[0])
    return {
        key: torch.stack([state[key].double() for state in states]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value
        for key, value in states[0].items()
    }


def origin(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Data, configuration, seeds and versions that a model was trained with."""
    config = portable(yaml.safe_load(facts["config"]) or {})
    data = config.get("data", {})
    embedded = data.get("embedded")
    # The embedded data is rendered where data.root is its folder.
    rendered = bool(embedded) and embedded.get("root") == data.get("root")
    seeds = {"seed_everything": config.get("seed_everything"), "split": data.get("split_seed")}
    if rendered:
        seeds["render"] = embedded["render"].get("seed")
    return {
        "data": {
            "rendered": rendered,
            "render_version": facts.get("render_version") if rendered else None,
            "render": embedded["render"] if rendered else {},
            "split_by": data.get("group_by"),
            "videos": {split: len(videos) for split, videos in facts.get("split", {}).items()},
        },
        "config": yaml.safe_dump(config, sort_keys=False, allow_unicode=True) if config else "",
        "seeds": {name: seed for name, seed in seeds.items() if seed is not None},
        **{key: facts.get(key) for key in ("git", "python")},
        "packages": facts.get("packages", {}),
    }


def portable(value: Any) -> Any:
    """A value in which absolute paths are cut to their last part: the folders of one machine mean nothing elsewhere."""
    if isinstance(value, Mapping):
        return {key: portable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [portable(item) for item in value]
    if isinstance(value, str) and (value.startswith("~") or Path(value).is_absolute()):
        return Path(value).name
    return value


def metrics_beside(checkpoint: Path) -> dict[str, dict[str, float]]:
    """Validation and test metrics that `train.py` wrote next to a checkpoint, by section of the card."""
    path = checkpoint.with_name("metrics.json")
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if found.get("checkpoint") != checkpoint.name:
        return {}
    sections = {}
    for split, title in (("val", "Validation split"), ("test", "Test split")):
        values = {key.removeprefix(f"{split}_"): value for key, value in found.items() if key.startswith(f"{split}_")}
        sections[title] = {k: v for k, v in values.items() if k not in NOT_IN_CARD and math.isfinite(v)}
    return {title: values for title, values in sections.items() if values}


def limits(facts: Mapping[str, Any]) -> list[str]:
    """What a user must know before relying on a model, a paragraph each."""
    rendered = (
        "It was trained on rendered pages: no photograph of a book was among its training frames. Metrics on rendered "
        "frames say little about videos of real books; expect more mistakes there. Measure it on labelled frames of "
        "your own (`flipdetect evaluate`) before you rely on it, and choose the threshold there, or fine-tune it "
        "(`configs/finetune.yaml`).",
        "Hands, desks, bindings and light unlike the rendered ones are unknown to it.",
        "Its training frames show one open book. Its output for anything else is meaningless.",
    )
    calibrated = (
        "Its probabilities were calibrated by a temperature on validation frames; for other books they may be "
        "overconfident."
        if "temperature" in facts
        else "Its probabilities rank frames; they are not calibrated beyond the threshold."
    )
    return [
        *(rendered if facts["card"]["data"]["rendered"] else ()),
        "It scores single frames: a hand that rests on a page, or a page that only bulges, can look like a turn.",
        calibrated,
    ]


def card_markdown(facts: Mapping[str, Any]) -> str:
    """The card as Markdown, from the metadata of a pretrained model and nothing else."""
    card, size = facts["card"], facts["preprocess"]
    data, config = card["data"], yaml.safe_load(card["config"]) or {}
    positive, negative = facts["classes"]["positive"], facts["classes"]["negative"]
    videos = ", ".join(f"{count} {split}" for split, count in data["videos"].items())
    origin_of_data = "The trainer's own frames, which are not part of the package."
    if data["rendered"]:
        origin_of_data = f"The package's embedded data: rendered page turns, renderer version {data['render_version']}."
    init = config.get("model", {}).get("init_args", {})
    trained = {"batch_size": config.get("data", {}).get("batch_size")}
    trained |= {key: config.get("trainer", {}).get(key) for key in ("max_epochs", "precision")}
    trained |= {key: init.get(key) for key in SETTINGS} | {f"seed: {key}": seed for key, seed in card["seeds"].items()}
    trained |= {"commit": card["git"] or "unknown", "python": card["python"], **card["packages"]}
    averaged = f"The weights are the mean of {card['averaged']} checkpoints, batch norm statistics included.\n\n"
    temperature = ""
    if "temperature" in facts:
        temperature = f" Logits are divided by a temperature of {facts['temperature']:.4f} to become probabilities."
    metrics = "\n\n".join(f"### {title}\n\n{table('metric', v.items())}" for title, v in card["figures"].items())
    bullets = "\n".join(f"- {text}" for text in limits(facts))
    colours = "RGB" if size["channels"] == 3 else "grey"
    return f"""# {card["name"]}

{card["architecture"]}, {card["parameters"]:,} parameters. Input: one frame, {colours}, \
resized to {size["height"]}x{size["width"]} pixels (height x width, fit: {size["fit"]}). Output: the probability of \
`{positive}`, against `{negative}`. This card is generated from the metadata of `{card["name"]}.safetensors`.

## Intended use

To detect from a single frame of a video of a book whether a page is being turned, so that stills can be taken between \
the turns. It is not meant for decisions about people.

    flipdetect predict frames/ --model {card["name"]}

    model = flipdetect.load("{card["name"]}")
    probabilities = model.predict(frames)    # uint8 RGB, (height, width, 3) each

As a start for training: `weights: flipdetect`.

## Data

{origin_of_data} Videos: {videos}; {SPLIT_BY.get(data["split_by"], "split as the configuration says")}.

{table("render setting", data["render"].items()) if data["rendered"] else ""}

## Training

{averaged if card["averaged"] > 1 else ""}{table("setting", ((k, v) for k, v in trained.items() if v is not None))}

## Threshold

{facts["threshold"]:.4f}: {card["threshold_origin"]}. From this probability on, a frame counts as `{positive}`.\
{temperature}

## Metrics

{metrics or "None recorded."}

## Limits

{bullets}

## Configuration

<details><summary>As resolved for training</summary>

```yaml
{card["config"]}```

</details>
"""


def table(name: str, rows: Iterable[tuple[str, Any]]) -> str:
    """A Markdown table of two columns."""
    lines = [f"| {name} | value |", "|---|---|"]
    for key, value in rows:
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        lines.append(f"| {key} | {text.replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


def main(
    checkpoint: Annotated[Path | None, Option(help="best.ckpt of train.py.")] = None,
    name: Annotated[Literal[tuple(PRETRAINED)] | None, Option(help="The pretrained model to replace.")] = None,
    figures: Annotated[Path | None, Option(help="JSON {section: {name: value}}, a table each in the card.")] = None,
    threshold: Annotated[float | None, Option(help="Instead of the checkpoint's own.")] = None,
    temperature: Annotated[float, Option(help="With --threshold.")] = 1.0,
    cards: Annotated[bool, Option("--cards", help="Only write the cards again.")] = False,
) -> None:
    """Replace a pretrained model by the one of a checkpoint, with its card."""
    if cards:
        for path in map(pretrained_path, PRETRAINED):
            write_text(path.with_suffix(".md"), card_markdown(read_facts(path)))
        return
    if checkpoint is None or name is None:
        raise typer.BadParameter("give --checkpoint and --name, or --cards")
    tables = json.loads(figures.read_text("utf-8")) if figures else None
    decision = None if threshold is None else Decision(threshold, temperature)
    print(ship(checkpoint, name, figures=tables, decision=decision))


if __name__ == "__main__":
    typer.run(main)

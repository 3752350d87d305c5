"""A model's card: what it is for, what it was made of, what it was measured to do, and where it ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

RENDERED_LIMITS = (
    "It was trained on rendered pages: no photograph of a book was among its frames. Figures on rendered frames are no "
    "promise for films of real books; expect more mistakes there. Measure it on labelled frames of your own "
    "(`scripts/evaluate.py`) before you rely on it, and choose the threshold there or train on from it "
    "(`weights: flipdetect`).",
    "Hands, desks, bindings and light unlike those rendered are unknown to it.",
    "It was shown one open book at a time. What it says of anything else means nothing.",
)
GENERAL_LIMITS = (
    "It judges a frame by itself: a hand that rests on a page, or a page that only bulges, can look like a turn.",
)
UNCALIBRATED = "Its probabilities rank frames; they are not calibrated beyond the threshold."
CALIBRATED = (
    "Its probabilities were calibrated by a temperature on validation frames; of other books they may promise too much."
)
SETTINGS = (
    ("data", "batch_size"),
    ("trainer", "max_epochs"),
    ("trainer", "precision"),
    ("model", "init_args", "weights"),
    ("model", "init_args", "lr"),
    ("model", "init_args", "backbone_lr"),
    ("model", "init_args", "weight_decay"),
    ("model", "init_args", "label_smoothing"),
)
"""Of the training configuration, what the card shows in a table; the whole follows it."""
SPLIT_BY = {
    "source": "no book stands on two sides",
    "video": "no video stands on two sides",
    "auto": "no book (where books are unknown or few: no video) stands on two sides",
}


def limits(*, rendered: bool, calibrated: bool = False) -> list[str]:
    """What a user must know before relying on a model, a paragraph each."""
    return [*(RENDERED_LIMITS if rendered else ()), *GENERAL_LIMITS, CALIBRATED if calibrated else UNCALIBRATED]


def card_markdown(facts: Mapping[str, Any]) -> str:
    """The card as Markdown, from the metadata of a shipped model and nothing else.

    Args:
        facts: as `ship` writes them, with `card`.
    """
    sections = (
        ("Data", _data(facts["card"])),
        ("Training", _training(facts["card"])),
        ("Threshold", _threshold(facts)),
        ("Figures", _figures(facts["card"]["figures"])),
        ("Limits", "\n".join(f"- {text}" for text in facts["card"]["limits"])),
        ("Configuration", _configuration(facts["card"])),
    )
    return "\n\n".join([_head(facts), *(f"## {title}\n\n{text}" for title, text in sections)]) + "\n"


def _head(facts: Mapping[str, Any]) -> str:
    card, size = facts["card"], facts["preprocess"]
    positive, negative = facts["classes"]["positive"], facts["classes"]["negative"]
    channels = "RGB" if size["channels"] == 3 else "grey"
    return f"""# {card["name"]}

This card was written by `scripts/ship_weights.py` from the metadata of `{card["name"]}.safetensors`, beside it.

{card["architecture"]}, {card["parameters"]:,} parameters. Input: one frame, {channels}, brought to \
{size["height"]}x{size["width"]} pixels (height x width, fit: {size["fit"]}). Output: the probability of `{positive}`, \
against `{negative}`.

## Intended use

To tell from a single frame of a film of a book whether a page is being turned, so that stills can be taken between \
the turns. It is not meant for decisions about people.

    python inference.py --folder-path frames/ --model {card["name"]}

    model = flipdetect.load("{card["name"]}")
    probabilities = model.predict(frames)    # uint8 RGB, (height, width, 3) each

As a start for training: `weights: flipdetect`."""


def _data(card: Mapping[str, Any]) -> str:
    data = card["data"]
    videos = ", ".join(f"{count} {side}" for side, count in data["videos"].items())
    counted = f"Videos: {videos}; {SPLIT_BY.get(data['split_by'], 'split as the configuration says')}."
    if not data["rendered"]:
        return f"Frames of the trainer's own, not part of the package. {counted}"
    version = "not recorded" if data["render_version"] is None else data["render_version"]
    settings = _table(("render setting", "value"), data["render"].items())
    return f"The package's embedded data: rendered page turns, renderer version {version}. {counted}\n\n{settings}"


def _training(card: Mapping[str, Any]) -> str:
    config = yaml.safe_load(card["config"])
    settings = [(keys[-1], value) for keys in SETTINGS if (value := _value(config, keys)) is not None]
    seeds = [(f"seed: {name}", value) for name, value in card["seeds"].items()]
    made = [("commit", card["git"] or "unknown"), ("python", card["python"]), *card["packages"].items()]
    table = _table(("setting", "value"), [*settings, *seeds, *made])
    if card["averaged"] == 1:
        return table
    return f"The weights are the mean of {card['averaged']} checkpoints, batch norm's statistics included.\n\n{table}"


def _threshold(facts: Mapping[str, Any]) -> str:
    text = (
        f"{facts['threshold']:.4f}: {facts['card']['threshold_origin']}. From this probability on, a frame counts as "
        f"`{facts['classes']['positive']}`."
    )
    if "temperature" not in facts:
        return text
    return f"{text} Logits are divided by a temperature of {facts['temperature']:.4f} to become probabilities."


def _figures(figures: Mapping[str, Mapping[str, Any]]) -> str:
    if not figures:
        return "None were recorded."
    tables = (f"### {section}\n\n{_table(('figure', 'value'), values.items())}" for section, values in figures.items())
    return "\n\n".join(tables)


def _configuration(card: Mapping[str, Any]) -> str:
    if not card["config"]:
        return "Training was set up in Python; no configuration was recorded."
    return f"<details><summary>As resolved for training</summary>\n\n```yaml\n{card['config']}```\n\n</details>"


def _value(config: Any, keys: Iterable[str]) -> Any:
    """What stands at a path of keys, None if nothing does."""
    for key in keys:
        config = config.get(key) if isinstance(config, Mapping) else None
    return config


def _table(headers: tuple[str, str], rows: Iterable[tuple[str, Any]]) -> str:
    lines = [f"| {headers[0]} | {headers[1]} |", "|---|---|"]
    return "\n".join([*lines, *(f"| {_cell(name)} | {_cell(value)} |" for name, value in rows)])


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")

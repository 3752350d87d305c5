"""What a sweep leaves: the best configuration, a table of all trials, a picture of their course."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from tabulate import tabulate

from flipdetect.atomic import write_csv, write_text
from flipdetect.evaluation.search_space import Range, with_values
from flipdetect.evaluation.tuning import Sweep, best_trial, interrupted
from flipdetect.outputs.plots import plot_trials, save_figure

BEST_FILE, TRIALS_FILE, HISTORY_FILE = "best.yaml", "trials.csv", "history.png"
_SHOWN = 10
_STATES = {"COMPLETE": "complete", "PRUNED": "ended early", "FAIL": "failed"}


def write_trials(study: Any, sweep: Sweep) -> None:
    """Write the table and the picture of all trials that ran."""
    rows = trial_rows(study, sweep.space)
    columns = list(rows[0]) if rows else ["trial", "state", "value"]
    write_csv(
        sweep.folder / TRIALS_FILE,
        columns,
        (["" if row[column] is None else row[column] for column in columns] for row in rows),
    )
    figure = plot_trials(
        [row["trial"] for row in rows],
        [row["value"] for row in rows],
        [row["state"] for row in rows],
        metric=sweep.metric,
        maximize=sweep.maximize,
    )
    save_figure(figure, sweep.folder / HISTORY_FILE)


def write_best(study: Any, sweep: Sweep, overlay: Sequence[str]) -> Path:
    """Write the best trial's configuration as a normal, complete one; returns its path.

    Args:
        study: with at least one complete trial.
        sweep: what it is about.
        overlay: what was swept, for the file's first lines.

    Raises:
        ConfigError: if no trial is complete.
    """
    best = best_trial(study)
    path = sweep.folder / BEST_FILE
    config = {**with_values(sweep.config, best.params), "ckpt_path": None}
    head = [
        f"# Best of the sweep {sweep.name!r} over {', '.join(overlay)}: trial {best.number}, {sweep.metric} "
        f"{best.value:.4f} on validation.",
        f"# Run: python train.py --config {path}",
        *(f"#   {name}: {value!r}" for name, value in best.params.items()),
    ]
    write_text(path, "\n".join(head) + "\n" + yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    return path


def trials_table(study: Any, sweep: Sweep) -> str:
    """The best trials, best first, and how many there were of each kind."""
    rows = trial_rows(study, sweep.space)
    complete = [row for row in rows if row["state"] == "complete"]
    complete.sort(key=lambda row: row["value"], reverse=sweep.maximize)
    names = [each.name for each in sweep.space]
    shown = [[row["trial"], row["value"], row["epochs"], *(row[name] for name in names)] for row in complete[:_SHOWN]]
    headers = ["trial", sweep.metric, "epochs", *(name.rpartition(".")[2] for name in names)]
    return f"{tabulate(shown, headers=headers, floatfmt='.4g')}\n\n{_counts(rows)}"


def trial_rows(study: Any, space: Sequence[Range]) -> list[dict[str, Any]]:
    """A row per trial that ran, in order: number, state, value, epochs, seconds, error, and what was drawn."""
    left = interrupted(study)
    rows = []
    for trial in study.get_trials(deepcopy=False):
        if not trial.state.is_finished():
            continue
        said = trial.user_attrs
        reported = list(trial.intermediate_values.values())
        rows.append(
            {
                "trial": trial.number,
                "state": "interrupted" if trial.number in left else _STATES[trial.state.name],
                "value": trial.value if trial.value is not None else (reported[-1] if reported else None),
                "epochs": said.get("epochs"),
                "seconds": said.get("seconds"),
                "error": said.get("error", ""),
                **{each.name: trial.params.get(each.name) for each in space},
            }
        )
    return rows


def _counts(rows: Sequence[Mapping[str, Any]]) -> str:
    states = [row["state"] for row in rows]
    parts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    return f"{len(rows)} trials: {', '.join(parts)}" if parts else "no trials"

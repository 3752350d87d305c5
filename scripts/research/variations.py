"""Train variations of a configuration with several seeds: ablation and seed spread in docs/research/synthetic-data.md.

Finished trainings are not repeated, and an interrupted one continues. AUROC is compared, since it depends on no
threshold; differences below the spread of the seeds mean nothing. Without --spec, the configuration itself is trained.

    python scripts/research/variations.py configs/tiny_cnn.yaml --seeds 3 --data frames/
    python scripts/research/variations.py configs/tiny_cnn.yaml --seeds 1 --data frames/ \
        --spec scripts/research/ablation.yaml --override trainer.max_epochs=8
"""

from pathlib import Path
from typing import Annotated

import typer
import yaml
from tabulate import tabulate
from typer import Option

from flipdetect.cli import train
from flipdetect.cli.check_config import checked_arguments
from flipdetect.cli.lightning_cli import resolve_config
from flipdetect.cli.messages import hush_libraries, set_up_logging
from flipdetect.evaluation.evaluate import evaluate_folder
from flipdetect.evaluation.study import Training, full_key, run_metrics, run_training, with_values
from flipdetect.inference.torch_model import load_torch_model

OWN_METRICS = ("val_f1", "test_f1", "val_auroc", "test_auroc")
RENDER = "data.embedded.render."


def without(transforms: list, names: list[str]) -> list:
    """A list of augmentations without some classes, those inside a OneOf included."""
    kept = []
    for entry in transforms:
        if entry["class_path"].rpartition(".")[2] in names:
            continue
        arguments = dict(entry.get("init_args") or {})
        if arguments.get("transforms"):
            arguments["transforms"] = without(arguments["transforms"], names)
            if not arguments["transforms"]:
                continue
        kept.append({**entry, "init_args": arguments})
    return kept


def vary(base: dict, name: str, entry: dict) -> dict:
    """The configuration of a variation: values set, augmentations removed, a data set of its own if it is rendered."""
    values = {full_key(key, base): value for key, value in (entry.get("set") or {}).items()}
    if any(key.startswith(RENDER) for key in values):
        root = f"{base['data']['root']}-{name.replace(' ', '_')}"
        values |= {"data.root": root, "data.embedded.root": root}
    config = with_values(base, values)
    if entry.get("remove"):
        config["data"]["augment"] = without(config["data"]["augment"], entry["remove"])
    return config


def main(
    config: list[str],
    override: Annotated[list[str], Option(metavar="KEY=VALUE")] = [],  # noqa: B006
    spec: Annotated[Path | None, Option(help="YAML file of variations.")] = None,
    only: Annotated[list[str], Option(help="Of the variations.")] = [],  # noqa: B006
    seeds: Annotated[int, Option(help="Seeds from 0.")] = 3,
    data: Annotated[list[Path], Option(help="Further labelled frames to evaluate on.")] = [],  # noqa: B006
    study: Path = Path("runs/variations"),
) -> None:
    """Train variations of a configuration with several seeds, and print the tables."""
    set_up_logging()
    hush_libraries()
    base = resolve_config(checked_arguments(config, override))
    entries = yaml.safe_load(spec.read_text("utf-8"))["variations"] if spec else {}
    configs = {"base": base} | {
        name: vary(base, name, entry) for name, entry in entries.items() if not only or name in only
    }
    rows, means = [], {}
    for name, varied in configs.items():
        runs = []
        for seed in range(seeds):
            training = Training(f"{name} seed {seed}", with_values(varied, {"seed_everything": seed}))
            run = run_training(training, study, train.main)
            metrics = {key: run_metrics(run).get(key, float("nan")) for key in OWN_METRICS}
            model = load_torch_model(run / "best.ckpt")
            for folder in data:
                found = evaluate_folder(model, folder).metrics
                metrics |= {f"{folder.name}: {key}": found[key] for key in ("f1", "auroc")}
            runs.append(metrics)
            rows.append([f"{name}, seed {seed}", *metrics.values()])
        means[name] = {key: sum(run[key] for run in runs) / len(runs) for key in runs[0]}
        spread = {key: max(run[key] for run in runs) - min(run[key] for run in runs) for key in runs[0]}
        change = {key: value - means["base"][key] for key, value in means[name].items()}
        rows += [[f"{name}, {kind}", *each.values()] for kind, each in
                 (("mean", means[name]), ("spread", spread), ("less base", change))]  # fmt: skip
    print(tabulate(rows, headers=["", *means["base"]], floatfmt=".3f"))


if __name__ == "__main__":
    typer.run(main)

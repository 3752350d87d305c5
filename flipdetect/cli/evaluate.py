"""`flipdetect evaluate`: metrics of trained models on labelled frames, error analysis, a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer import Option

from flipdetect.cli.options import (
    IS_FILE,
    IS_FOLDER,
    Device,
    DeviceName,
    Engine,
    EngineName,
    Json,
    Manifest,
    Models,
    OptionalOutput,
    Seed,
    Threshold,
)
from flipdetect.errors import ConfigError, require_extra

SplitName = Literal["train", "val", "test"]


def evaluate(
    data: Annotated[
        list[Path] | None,
        Option("--data", "-d", metavar="FOLDER", **IS_FOLDER, help="Labelled frames, as for training; repeatable."),
    ] = None,
    model: Models = None,
    manifest: Manifest = None,
    split: Annotated[SplitName | None, Option(help="Only this split of the model's training.")] = None,
    split_file: Annotated[
        Path | None, Option(metavar="CSV", **IS_FILE, help="Its splits.csv. Default: the one next to the checkpoint.")
    ] = None,
    threshold: Threshold = None,
    engine: Engine = EngineName.AUTO,
    device: Device = DeviceName.AUTO,
    by: Annotated[
        list[str] | None,
        Option(
            metavar="KEY[,KEY]",
            help="Metrics by source, video, label, kind (the first folder), phase, or a column of the manifest; "
            "repeatable.",
        ),
    ] = None,
    clips: Annotated[bool, Option("--clips", help="Also decisions about whole videos.")] = False,
    costs: Annotated[
        tuple[float, float] | None,
        Option(
            metavar="MISSED FALSE",
            help="Costs of a missed flip and of a false positive: choose the threshold with the lowest cost.",
        ),
    ] = None,
    resamples: Annotated[int, Option(min=0, help="Bootstrap draws of videos for 95% CIs; 0: none.")] = 2000,
    report: Annotated[Path | None, Option(metavar="FOLDER", help="An HTML page with all of it.")] = None,
    robustness: Annotated[
        Literal["basic", "full"] | None,
        Option(help="Also metrics on corrupted frames; full: more kinds and strengths."),
    ] = None,
    mistakes: Annotated[Path | None, Option(metavar="PNG", help="The most confident mistakes.")] = None,
    count: Annotated[int, Option(min=1, help="Frames in --mistakes and in the report.")] = 24,
    spot_check: Annotated[
        int | None, Option(min=1, metavar="N", help="Instead of everything else: score N random frames.")
    ] = None,
    picture: Annotated[Path | None, Option(metavar="PNG", help="The frames of --spot-check.")] = None,
    seed: Seed = 0,
    events: Annotated[
        list[Path] | None,
        Option(
            metavar="CSV", **IS_FILE, help="Evaluate page turns: the flips.csv of a video, with --truth; repeatable."
        ),
    ] = None,
    truth: Annotated[
        list[Path] | None, Option(metavar="CSV", **IS_FILE, help="The true turns of each: start_s, peak_s, end_s.")
    ] = None,
    output: OptionalOutput = None,
    json: Json = None,
) -> None:
    """Evaluate trained models on labelled frames, or detectors on annotated pictures.

    Metrics at the model's threshold with 95% CIs over videos, and the differences of further models from the first. Of
    detectors, COCO's metrics; they take --split, --split-file, --threshold, --device, --mistakes,
    --count, --report, --output and --json.
    """
    require_extra("train", "scipy", "torch", "matplotlib")
    from flipdetect.atomic import write_json

    if events or truth:
        if len(events or ()) != len(truth or ()):
            raise typer.BadParameter("--events and --truth come in pairs: give each of them as often as the other")
        from flipdetect.evaluation.videos import evaluate_turns, turn_table

        rows = evaluate_turns(list(zip(events or (), truth or (), strict=True)))
        print(turn_table(rows))
        if json:
            write_json(json, [row.as_dict() for row in rows])
        return
    if not data:
        raise typer.BadParameter("name labelled frames with --data")
    if costs and not split:
        raise typer.BadParameter("--costs chooses thresholds on the validation split of a training; give --split")
    from flipdetect.inference.resolve import resolve_model
    from flipdetect.zoo import DEFAULT

    paths = {name: resolve_model(name) for name in model or [DEFAULT]}

    from flipdetect.evaluation import results as outcome
    from flipdetect.evaluation.evaluate import write_predictions
    from flipdetect.evaluation.report import write_reports
    from flipdetect.evaluation.robustness import BASIC, FULL
    from flipdetect.evaluation.spot_check import spot_check as check_frames
    from flipdetect.inference.detector import Detector
    from flipdetect.inference.load import load_trained
    from flipdetect.metrics.threshold import ThresholdCosts

    price = ThresholdCosts(*costs) if costs else None
    loaded = {name: load_trained(path, engine.value, device.value) for name, path in paths.items()}
    detectors = {name: each for name, each in loaded.items() if isinstance(each, Detector)}
    models = {name: each for name, each in loaded.items() if not isinstance(each, Detector)}
    if detectors:
        if models:
            raise ConfigError(f"{', '.join(detectors)} finds boxes, {', '.join(models)} does not: evaluate them apart")
        from flipdetect.evaluation import box_evaluation as boxes

        settings: dict[str, Any] = {"split": split, "split_file": split_file, "threshold": threshold}
        pairs = [(folder, name, each) for folder in data for name, each in detectors.items()]
        found = [boxes.evaluate_boxes(name, each, folder, **settings) for folder, name, each in pairs]
        print("\n\n".join(each.table() for each in found))
        if mistakes:
            boxes.draw_worst(mistakes, found[0], count)
        if report:
            boxes.write_box_report(report, found, count)
        if output:
            boxes.write_pictures(output, found)
        if json:
            write_json(json, [each.as_dict() for each in found])
        return
    selection = outcome.Selection(manifest, split, split_file)
    if spot_check is not None:
        for name, each in models.items():
            for folder in data:
                options: dict[str, Any] = {"threshold": threshold, "seed": seed, "picture": picture}
                print(check_frames(name, each, folder, spot_check, selection.of(each), **options))
        return
    evaluations = []
    for folder in data:
        evaluations += outcome.evaluate_models(models, folder, selection, threshold=threshold, costs=price)
    results = outcome.measure(
        evaluations,
        models,
        selection,
        resamples=resamples,
        costs=price,
        clips=clips,
        corruptions={None: None, "basic": BASIC, "full": FULL}[robustness],
    )
    keys = [each.split(",") for each in by or []]
    print(outcome.result_tables(results, keys))
    if output:
        write_predictions(output, evaluations)
    if json:
        chosen = {"split": split} if split else {}
        write_json(json, [each.as_dict(keys) | chosen for each in results])
    if mistakes:
        outcome.draw_mistakes(mistakes, results, count)
    if report:
        columns = sorted({key for some in keys for key in some})
        write_reports(report, results, models, split, columns=columns, mistakes=count)

"""`flipdetect evaluate`: metrics of trained models on labelled frames, error analysis, a report."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flipdetect.cli.options import Device, DeviceName, Engine, EngineName, Json, Models, OptionalOutput, Seed, Threshold
from flipdetect.errors import require_extra

if TYPE_CHECKING:
    from flipdetect.evaluation.clips import ClipEvaluation
    from flipdetect.evaluation.evaluate import Evaluation
    from flipdetect.evaluation.robustness import Robustness
    from flipdetect.inference.model import Model
    from flipdetect.metrics.threshold import ThresholdCosts

METRICS = ("auroc", "average_precision", "f1", "f1_at_0.5", "best_f1_oracle", "precision", "recall", "accuracy")

logger = logging.getLogger("flipdetect")

Named = list[tuple[str, str, "Evaluation"]]


class SplitName(StrEnum):
    """A part of a training's split."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class Corruptions(StrEnum):
    """Which corruptions of frames are tried."""

    BASIC = "basic"
    FULL = "full"


def evaluate(
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", "-d", metavar="FOLDER", help="Labelled frames, as for training; repeatable."),
    ] = None,
    model: Models = None,
    manifest: Annotated[Path | None, typer.Option(metavar="CSV", help="A table that describes the data set.")] = None,
    split: Annotated[SplitName | None, typer.Option(help="Only this split of the model's training.")] = None,
    split_file: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Its splits.csv. Default: the one next to the checkpoint.")
    ] = None,
    threshold: Threshold = None,
    engine: Engine = EngineName.AUTO,
    device: Device = DeviceName.AUTO,
    ensemble: Annotated[bool, typer.Option("--ensemble", help="Add a row: the mean of the models' logits.")] = False,
    per_video: Annotated[bool, typer.Option("--per-video", help="Also a line per video.")] = False,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY[,KEY]",
            help="Metrics by source, video, label, kind (the first folder), phase, or a column of the manifest; "
            "repeatable.",
        ),
    ] = None,
    clips: Annotated[bool, typer.Option("--clips", help="Also decisions about whole videos.")] = False,
    save_clip_threshold: Annotated[
        Path | None, typer.Option(metavar="YAML", help="Event settings that take the threshold for whole videos.")
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Choose thresholds here. With --split: the val split of --data."),
    ] = None,
    validation_split_file: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Only the val split of --validation, by this file.")
    ] = None,
    costs: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="MISSED FALSE",
            help="Costs of a missed flip and of a false positive: choose the threshold with the lowest cost.",
        ),
    ] = None,
    resamples: Annotated[int, typer.Option(min=0, help="Bootstrap draws of videos for 95% CIs; 0: none.")] = 2000,
    report: Annotated[Path | None, typer.Option(metavar="FOLDER", help="An HTML page with all of it.")] = None,
    robustness: Annotated[
        Corruptions | None, typer.Option(help="Also metrics on corrupted frames; full: more kinds and strengths.")
    ] = None,
    chart: Annotated[Path | None, typer.Option(metavar="PNG", help="A bar chart of --robustness.")] = None,
    mistakes: Annotated[Path | None, typer.Option(metavar="PNG", help="The most confident mistakes.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Frames in --mistakes and in the report.")] = 24,
    spot_check: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Instead of everything else: score N random frames.")
    ] = None,
    natural: Annotated[bool, typer.Option("--natural", help="Draw them from all frames, not half per class.")] = False,
    picture: Annotated[Path | None, typer.Option(metavar="PNG", help="The frames of --spot-check.")] = None,
    seed: Seed = 0,
    predictions: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Evaluate saved predictions (see --output) at --threshold.")
    ] = None,
    events: Annotated[
        list[Path] | None,
        typer.Option(metavar="CSV", help="Evaluate page turns: the flips.csv of a video, with --truth; repeatable."),
    ] = None,
    truth: Annotated[
        list[Path] | None,
        typer.Option(metavar="CSV", help="The true turns of each: start_s, peak_s, end_s."),
    ] = None,
    output: OptionalOutput = None,
    json: Json = None,
) -> None:
    """Evaluate trained models on labelled frames.

    Metrics at the model's threshold with 95% CIs over videos, and the differences of further models from the first.
    """
    require_extra("train", "scipy", "torch", "matplotlib")
    from flipdetect.atomic import write_json
    from flipdetect.evaluation.evaluate import read_evaluation, write_predictions
    from flipdetect.evaluation.uncertainty import decision_facts, differences, evaluation_ci
    from flipdetect.metrics.threshold import ThresholdCosts

    if events or truth:
        return _evaluate_events(events or [], truth or [], json)
    if predictions is None and not data:
        raise typer.BadParameter("name labelled frames with --data, or saved predictions with --predictions")
    if costs and not (split or validation):
        raise typer.BadParameter("--costs chooses thresholds on a validation split; give --split or --validation")
    if ensemble and len(model or ()) < 2:
        raise typer.BadParameter("--ensemble averages several models; name at least two with --model")
    price = ThresholdCosts(*costs) if costs else None
    models = {}
    if predictions is None:
        from flipdetect.inference.load import load_model
        from flipdetect.zoo import DEFAULT

        models = {name: load_model(name, engine.value, device.value) for name in model or [DEFAULT]}
    run = _Run(
        models, manifest, split, split_file, threshold,
        validation, validation_split_file, price, ensemble,
    )  # fmt: skip
    if spot_check is not None:
        return _spot_check(run, data or [], spot_check, natural, seed, picture)
    if predictions is not None:
        if threshold is None:
            raise typer.BadParameter("--predictions needs --threshold")
        results: Named = [("saved predictions", str(predictions), read_evaluation(predictions, threshold))]
    else:
        results = [each for folder in data or [] for each in run.evaluate(folder)]
    of_clips = [run.evaluate_clips(*each) for each in results] if clips or save_clip_threshold else []
    robust = [_robustness(run, *each, robustness) for each in results] if robustness else []
    ci = [evaluation_ci(each, resamples=resamples) if resamples else {} for _, _, each in results]
    facts = [decision_facts(each, price) for _, _, each in results]
    compared = differences(results, resamples=resamples) if resamples else []
    keys = [key.split(",") for key in by or []]
    _print(results, ci, facts, compared, of_clips, robust, keys, per_video)
    if output:
        write_predictions(output, results)
    if json:
        write_json(json, _as_json(results, ci, facts, compared, of_clips, robust, keys, split))
    if mistakes:
        from flipdetect.evaluation.spot_check import plot_worst_mistakes

        _draw_each(mistakes, results, lambda place: plot_worst_mistakes(results[place][2], count))
    if chart and robust:
        _draw_each(chart, results, lambda place: _bars(results[place], robust[place]))
    if save_clip_threshold:
        from flipdetect.evaluation.clips import save_clip_threshold as save

        save(of_clips[0], save_clip_threshold)
    if report:
        _write_reports(report, run, results, of_clips, robust, sorted({key for some in keys for key in some}), count)
    return None


class _Run:
    """The models, and which frames they are evaluated on."""

    def __init__(
        self, models: dict[str, Model], manifest: Path | None, split: str | None, split_file: Path | None,
        threshold: float | None, validation: Path | None, validation_split_file: Path | None,
        costs: ThresholdCosts | None, ensemble: bool,
    ) -> None:  # fmt: skip
        self.models = models
        self.manifest, self.split, self.split_file, self.threshold = manifest, split, split_file, threshold
        self.validation, self.validation_split_file = validation, validation_split_file
        self.costs, self.ensemble = costs, ensemble

    def selection(self, model: Model) -> dict[str, Any]:
        """Keyword arguments of `select_frames`."""
        from flipdetect.evaluation.evaluate import SPLIT_FILE

        split_file = self.split_file
        if self.split is not None and split_file is None:
            split_file = model.path.with_name(SPLIT_FILE)
        return {"manifest": self.manifest, "split": self.split, "split_file": split_file}

    def evaluate(self, folder: Path) -> Named:
        """Each model on a data set, and their ensemble."""
        from flipdetect.evaluation.evaluate import ensemble, evaluate_folder
        from flipdetect.evaluation.uncertainty import cheapest

        found = {}
        for name, model in self.models.items():
            threshold = self.threshold
            if self.costs is not None:
                validation = self.evaluate_validation(model, folder)
                threshold = threshold if validation is None else cheapest(validation, self.costs)
            found[name] = evaluate_folder(model, folder, threshold=threshold, **self.selection(model))
            for score in found[name].failed:
                logger.warning("left out: %s", score.error)
        if self.ensemble:
            found[f"mean of {len(found)} models' logits"] = ensemble(list(found.values()))
        return [(name, str(folder), each) for name, each in found.items()]

    def evaluate_validation(self, model: Model, folder: Path) -> Evaluation | None:
        """A model on the frames that thresholds are chosen on; None if there are none."""
        from flipdetect.evaluation.evaluate import evaluate_folder

        if self.validation is not None:
            split = None if self.validation_split_file is None else "val"
            return evaluate_folder(model, self.validation, split=split, split_file=self.validation_split_file)
        if self.split is None:
            return None
        return evaluate_folder(model, folder, **{**self.selection(model), "split": "val"})

    def evaluate_clips(self, name: str, folder: str, evaluation: Evaluation) -> ClipEvaluation:
        """Decisions about clips; the threshold is from a validation split, if one is known."""
        from flipdetect.evaluation.clips import evaluate_clips
        from flipdetect.evaluation.evaluate import ensemble

        models = [self.models[name]] if name in self.models else list(self.models.values())
        found = [each for model in models if (each := self.evaluate_validation(model, Path(folder))) is not None]
        return evaluate_clips(evaluation, ensemble(found) if found else None)


def _print(
    results: Named, ci: Any, facts: Any, compared: Any, of_clips: Any, robust: Any, keys: list[list[str]],
    per_video: bool,
) -> None:  # fmt: skip
    from tabulate import tabulate

    from flipdetect.evaluation.clips import clip_table
    from flipdetect.evaluation.slices import slice_metrics, slice_table
    from flipdetect.evaluation.uncertainty import HEADLINES, decision_table, difference_table

    rows = []
    for place, (model, folder, each) in enumerate(results):
        shown = [ci[place][n].text() if n in HEADLINES and ci[place] else each.metrics[n] for n in METRICS]
        rows.append([model, folder, len(each.scored), each.videos, each.threshold, *shown])
        if per_video:
            print(f"{model} on {folder}\n{each.video_table()}\n")
        for some in keys:
            table = slice_table(slice_metrics(each, some), some, each.classes.positive)
            print(f"{model} on {folder}, by {' and '.join(some)}\n{table}\n")
        if robust:
            print(f"{model} on {folder}, corrupted frames\n{robust[place].table()}\n")
    if of_clips:
        named = [(model, folder, each) for (model, folder, _), each in zip(results, of_clips, strict=True)]
        print(f"{clip_table(named)}\n")
    headers = ["model", "data set", "frames", "videos", "threshold", *METRICS]
    print(tabulate(rows, headers=headers, floatfmt=".3f").replace("best_f1_oracle", "best F1, oracle"))
    print(f"\n{decision_table(results, facts)}")
    if compared:
        print(f"\n{difference_table(compared)}")


def _as_json(
    results: Named, ci: Any, facts: Any, compared: Any, of_clips: Any, robust: Any, keys: list[list[str]],
    split: SplitName | None,
) -> list[dict[str, Any]]:  # fmt: skip
    from flipdetect.evaluation.slices import slice_metrics, slices_as_dicts
    from flipdetect.evaluation.uncertainty import estimates_as_dict

    found = []
    for place, (model, folder, each) in enumerate(results):
        values: dict[str, Any] = {
            **each.as_dict(model, folder),
            "groups": [row for some in keys for row in slices_as_dicts(slice_metrics(each, some), some)],
            "ci": estimates_as_dict(ci[place]),
            **facts[place],
            "differences": [own.as_dict() for own in compared if (own.model, own.data_set) == (model, folder)],
        }
        values |= {"split": split.value} if split else {}
        values |= {"clips": of_clips[place].as_dict()} if of_clips else {}
        values |= {"robustness": robust[place].as_dict()} if robust else {}
        found.append(values)
    return found


def _robustness(run: _Run, name: str, folder: str, evaluation: Evaluation, which: Corruptions) -> Robustness:
    from flipdetect.evaluation.corruptions import BASIC, MORE
    from flipdetect.evaluation.robustness import measure_robustness

    if name not in run.models:
        raise typer.BadParameter("--robustness measures single models; leave --ensemble and --predictions out")
    corruptions = (*BASIC, *MORE) if which is Corruptions.FULL else BASIC
    return measure_robustness(run.models[name], evaluation.index, corruptions, evaluation.threshold)


def _spot_check(run: _Run, data: Sequence[Path], count: int, natural: bool, seed: int, picture: Path | None) -> None:
    from dataclasses import replace

    from flipdetect.evaluation.evaluate import evaluate_scores, select_frames, set_name, short_model_name
    from flipdetect.evaluation.spot_check import choose_frames, plot_spot_check, spot_table
    from flipdetect.inference.score import Predictor
    from flipdetect.outputs.plots.canvas import save_figure

    for folder in data:
        for name, model in run.models.items():
            index = select_frames(folder, model.classes, model.naming, **run.selection(model))
            frames = choose_frames(index.records, count, model.classes, seed=seed, natural=natural)
            threshold = model.threshold if run.threshold is None else run.threshold
            batches = Predictor(model, threshold).predict([record.path for record in frames], index.root)
            scores = [score for batch in batches for score in batch]
            found = evaluate_scores(replace(index, records=frames), scores, threshold, model.classes)
            print(spot_table(found))
            if picture:
                save_figure(
                    plot_spot_check(found, f"{short_model_name(name)} on {set_name(folder, run.split)}"), picture
                )
                logger.info("The picture is %s", picture)


def _evaluate_events(found: Sequence[Path], truths: Sequence[Path], json: Path | None) -> None:
    from flipdetect.atomic import write_json
    from flipdetect.evaluation.events import evaluate_turns, turn_table

    if len(found) != len(truths):
        raise typer.BadParameter(f"--events is given {len(found)} times and --truth {len(truths)} times; give pairs")
    rows = evaluate_turns(list(zip(found, truths, strict=True)))
    print(turn_table(rows))
    if json:
        write_json(json, [row.as_dict() for row in rows])


def _draw_each(path: Path, results: Named, draw: Any) -> None:
    """One picture per model and data set; several are numbered."""
    from flipdetect.outputs.plots.canvas import save_figure

    for place, (model, folder, _) in enumerate(results):
        own = path if len(results) == 1 else path.with_stem(f"{path.stem}-{place + 1}")
        save_figure(draw(place), own)
        logger.info("The picture of %s on %s is %s", model, folder, own)


def _bars(result: tuple[str, str, Evaluation], found: Robustness) -> Any:
    from flipdetect.evaluation.evaluate import set_name, short_model_name
    from flipdetect.outputs.plots.curves import plot_robustness

    f1, auroc = ([each.metrics[name] for each in found.conditions] for name in ("f1", "auroc"))
    title = f"{short_model_name(result[0])} on {set_name(Path(result[1]), None)} ({found.frames} frames)"
    return plot_robustness([each.name for each in found.conditions], f1, auroc, title)


def _write_reports(
    report: Path, run: _Run, results: Named, of_clips: Sequence[ClipEvaluation], robust: Sequence[Robustness],
    columns: Sequence[str], count: int,
) -> None:  # fmt: skip
    from flipdetect.evaluation.evaluate import set_name, short_model_name
    from flipdetect.evaluation.report import write_report

    for place, (name, folder, evaluation) in enumerate(results):
        model, data_set = short_model_name(name), set_name(Path(folder), run.split)
        own = report / re.sub(r"[^\w.]+", "-", f"{model}-{data_set}").strip("-.") if len(results) > 1 else report
        page = write_report(
            own, model, data_set, evaluation, run.models.get(name), clips=of_clips[place] if of_clips else None,
            robustness=robust[place] if robust else None, columns=columns, mistakes=count,
        )  # fmt: skip
        logger.info("The report is %s", page)

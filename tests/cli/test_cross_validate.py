"""`flipdetect cross-validate`: folds apart, resumed, side by side."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from filelock import FileLock

from flipdetect.cli.main import main
from tests.cli.conftest import Trainings
from tests.conftest import REPOSITORY, SMALL
from tests.frame_sets import page_frame, write_frame

CONFIG = str(REPOSITORY / "configs" / "tiny_cnn.yaml")


def rows_of(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def arguments(root: Path, *more: str) -> list[str]:
    command = ["cross-validate", "--config", CONFIG, "--folds", "4", "--output", "cv", "--resamples", "100"]
    return [*command, "--data", str(root), *more]


def test_every_frame_is_scored_once_by_a_fold_that_has_not_seen_its_video(
    trainings: Trainings, monreader_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(monreader_set)) == 0
    printed = capsys.readouterr().out
    assert "standard deviation" in printed
    assert "Not finished" not in printed
    rows = rows_of("cv/predictions.csv")
    assert len({row["path"] for row in rows}) == len(rows) == 32
    for fold in range(4):
        split = {row["path"]: row for row in rows_of(f"cv/splits/fold_{fold:02d}.csv")}
        scored = {row["path"] for row in rows_of(f"cv/fold_{fold:02d}.csv")}
        assert scored == {path for path, row in split.items() if row["split"] == "test"}
        sides = {(row["video"], row["split"]) for row in split.values()}
        assert max(Counter(video for video, _ in sides).values()) == 1
    found = json.loads(Path("cv/cross_validation.json").read_text())
    assert [fold["name"] for fold in found["folds"]] == ["fold 1", "fold 2", "fold 3", "fold 4"]
    assert found["folds"][0]["fit_seconds"] == 7.5
    assert found["pooled"]["f1"]["videos"] == 16
    right = sum(row["label"] == row["truth"] for row in rows)
    assert found["pooled"]["accuracy"]["value"] == pytest.approx(right / 32)
    assert "| pooled" in Path("cv/cross_validation.md").read_text()
    assert main(arguments(monreader_set)) == 0
    assert len(trainings.calls) == 4


def test_an_interrupted_fold_continues(trainings: Trainings, monreader_set: Path) -> None:
    trainings.status = 130
    assert main(arguments(monreader_set)) == 130
    trainings.status = 0
    assert main(arguments(monreader_set)) == 0
    assert trainings.splits() == ["fold_00.csv", *(f"fold_0{fold}.csv" for fold in range(4))]
    assert ["--ckpt_path=last" in call for call in trainings.calls] == [False, True, False, False, False]


def test_a_failed_training_is_named_with_the_command_to_repeat(
    trainings: Trainings, monreader_set: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trainings.status = 1
    assert main(arguments(monreader_set)) == 1
    assert "run it alone to see why: python train.py --config cv/fold_00" in capfd.readouterr().err


def test_a_fold_that_another_process_trains_is_left_to_it(
    trainings: Trainings, monreader_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("cv").mkdir()
    with FileLock("cv/.fold_01.lock"):
        assert main(arguments(monreader_set)) == 0
    assert "Not finished: fold 2." in capsys.readouterr().out
    assert trainings.splits() == ["fold_00.csv", "fold_02.csv", "fold_03.csv"]


def test_another_plan_needs_another_folder(
    trainings: Trainings, monreader_set: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(monreader_set)) == 0
    for changed in (["--override", "data.split_seed=1"], ["--override", "model.lr=0.1"], ["--seed", "5"]):
        assert main(arguments(monreader_set, *changed)) == 2
        assert "another cross-validation" in capfd.readouterr().err
    assert len(trainings.calls) == 4


def test_one_source_is_left_out_at_a_time(
    trainings: Trainings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["path,label,video,frame,source"]
    for book in ("book2", "book10", "book1"):
        for flip in (0, 1):
            for frame in range(2):
                name = f"{book}_{flip}_{frame}.png"
                write_frame(tmp_path / "set" / name, page_frame(bool(flip), len(lines), 64))
                lines.append(f"{name},{'flip' if flip else 'notflip'},{book}_{flip},{frame},{book}")
    (tmp_path / "set" / "labels.csv").write_text("\n".join(lines) + "\n")
    assert main(arguments(tmp_path / "set", "--leave-one-source-out")) == 0
    found = json.loads(Path("cv/cross_validation.json").read_text())
    assert [fold["name"] for fold in found["folds"]] == ["book1", "book2", "book10"]
    for fold, book in enumerate(("book1", "book2", "book10")):
        assert {row["source"] for row in rows_of(f"cv/fold_{fold:02d}.csv")} == {book}
    assert "book10" in capsys.readouterr().out


def test_folds_by_source_need_sources(
    trainings: Trainings, monreader_set: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(monreader_set, "--group-by", "source")) == 1
    assert "no known source" in " ".join(capfd.readouterr().err.split())
    assert trainings.calls == []


@pytest.mark.slow
def test_folds_are_trained_in_earnest(monreader_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = [part for each in SMALL for part in ("--override", each.removeprefix("--"))]
    assert main(arguments(monreader_set, "--folds", "2", *small)) == 0
    found = json.loads(Path("cv/cross_validation.json").read_text())
    assert len(found["folds"]) == 2
    for fold in found["folds"]:
        metrics = json.loads((Path(fold["run"]) / "metrics.json").read_text())
        assert fold["metrics"]["f1"] == pytest.approx(metrics["test_f1"], abs=1e-5)
        assert fold["threshold"] == pytest.approx(metrics["val_threshold"], abs=1e-6)

"""Cross-validation as a user runs it: folds apart, resumed, side by side, gathered."""

import csv
import fcntl
import json
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, SMALL
from tests.frame_sets import page_frame, write_frame
from tests.scripts.conftest import Trainings
from tests.scripts.test_scripts import script

CONFIG = str(REPOSITORY / "configs" / "tiny_cnn.yaml")


def rows_of(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def arguments(root: Path, *more: str) -> list[str]:
    return ["--config", CONFIG, "--folds", "4", "--output", "cv", "--resamples", "100", *more, f"--data.root={root}"]


def test_every_frame_is_judged_once_by_a_fold_that_has_not_seen_its_video(
    trainings: Trainings, monreader_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script("cross_validate")(arguments(monreader_set)) == 0
    printed = capsys.readouterr().out
    assert "standard deviation" in printed
    assert "Not finished" not in printed
    rows = rows_of("cv/predictions.csv")
    assert len({row["path"] for row in rows}) == len(rows) == 32
    assert set(rows[0]) == {
        "model", "set", "path", "video", "frame", "source", "truth", "probability", "label", "error",
    }  # fmt: skip
    for fold in range(4):
        side = {row["path"]: row for row in rows_of(f"cv/splits/fold_{fold:02d}.csv")}
        judged = {row["path"] for row in rows_of(f"cv/fold_{fold:02d}.csv")}
        assert judged == {path for path, row in side.items() if row["split"] == "test"}
        sides = {(row["video"], row["split"]) for row in side.values()}
        assert max(Counter(video for video, _ in sides).values()) == 1
    found = json.loads(Path("cv/cross_validation.json").read_text())
    assert [fold["name"] for fold in found["folds"]] == ["fold 1", "fold 2", "fold 3", "fold 4"]
    assert found["folds"][0]["fit_seconds"] == 7.5
    assert found["pooled"]["f1"]["videos"] == 16
    right = sum(row["label"] == row["truth"] for row in rows)
    assert found["pooled"]["accuracy"]["value"] == pytest.approx(right / 32)
    assert "| pooled" in Path("cv/cross_validation.md").read_text()


def test_folds_run_apart_and_finished_ones_are_not_repeated(
    trainings: Trainings, monreader_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = script("cross_validate")
    assert run(arguments(monreader_set, "--fold", "2")) == 0
    assert "Not finished: fold 1, fold 2, fold 4." in capsys.readouterr().out
    assert run(arguments(monreader_set, "--folds-from", "1", "--to", "2")) == 0
    assert trainings.splits() == ["fold_02.csv", "fold_01.csv"]
    assert run(["--config", CONFIG, "--output", "cv", "--gather"]) == 0
    assert len(trainings.calls) == 2
    assert "Not finished: fold 1, fold 4." in capsys.readouterr().out
    assert run(arguments(monreader_set, "--folds-from", "0")) == 0
    assert trainings.splits()[2:] == ["fold_00.csv", "fold_03.csv"]


def test_an_interrupted_fold_goes_on(trainings: Trainings, monreader_set: Path) -> None:
    trainings.status = 130
    assert script("cross_validate")(arguments(monreader_set)) == 130
    trainings.status = 0
    assert script("cross_validate")(arguments(monreader_set)) == 0
    assert trainings.splits() == ["fold_00.csv", "fold_00.csv", "fold_01.csv", "fold_02.csv", "fold_03.csv"]
    assert ["--ckpt_path=last" in call for call in trainings.calls] == [False, True, False, False, False]


def test_a_fold_that_another_process_is_at_is_left_to_it(
    trainings: Trainings, monreader_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("cv").mkdir()
    with Path("cv/.fold_01.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert script("cross_validate")(arguments(monreader_set)) == 0
    assert "Not finished: fold 2." in capsys.readouterr().out
    assert trainings.splits() == ["fold_00.csv", "fold_02.csv", "fold_03.csv"]
    assert script("cross_validate")(arguments(monreader_set)) == 0
    assert trainings.splits()[-1] == "fold_01.csv"


def test_another_plan_needs_another_folder(
    trainings: Trainings, monreader_set: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert script("cross_validate")(arguments(monreader_set, "--fold", "0")) == 0
    for changed in (["--split-seed", "1"], ["--model.lr=0.1"], ["--seed", "5"]):
        assert script("cross_validate")(arguments(monreader_set, "--fold", "0", *changed)) == 1
        assert "another cross-validation" in capfd.readouterr().err
    assert len(trainings.calls) == 1


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
    command = ["--config", CONFIG, "--leave-one-source-out", "--output", "loso", "--data.root", str(tmp_path / "set")]
    assert script("cross_validate")(command) == 0
    found = json.loads(Path("loso/cross_validation.json").read_text())
    assert [fold["name"] for fold in found["folds"]] == ["book1", "book2", "book10"]
    for fold, book in enumerate(("book1", "book2", "book10")):
        judged = {row["source"] for row in rows_of(f"loso/fold_{fold:02d}.csv")}
        assert judged == {book}
    assert "book10" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (["--fold", "9"], 1, "folds are 0 to 3, got 9"),
        (["--to", "2"], 2, "--to needs --folds-from"),
        (["--nonsense"], 2, "neither an option nor a setting"),
        (["--data.nonsense=1"], 1, "nonsense"),
        (["--group-by", "source"], 1, "no known source"),
        (["--gather"], 1, "no cross-validation"),
    ],
)
def test_what_cannot_work_is_explained(
    trainings: Trainings,
    monreader_set: Path,
    capfd: pytest.CaptureFixture[str],
    more: list[str],
    status: int,
    said: str,
) -> None:
    if status == 2:
        with pytest.raises(SystemExit) as stop:
            script("cross_validate")(arguments(monreader_set, *more))
        assert stop.value.code == 2
    else:
        assert script("cross_validate")(arguments(monreader_set, *more)) == status
    assert said in " ".join(capfd.readouterr().err.split())
    assert trainings.calls == []


@pytest.mark.slow
def test_folds_are_trained_in_earnest(monreader_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = [
        "--config",
        CONFIG,
        "--folds",
        "2",
        "--output",
        "cv",
        "--resamples",
        "50",
        f"--data.root={monreader_set}",
    ]
    assert script("cross_validate")([*command, *SMALL]) == 0
    found = json.loads(Path("cv/cross_validation.json").read_text())
    assert len(found["folds"]) == 2
    for fold in found["folds"]:
        metrics = json.loads((Path(fold["run"]) / "metrics.json").read_text())
        assert fold["figures"]["f1"] == pytest.approx(metrics["test_f1"], abs=1e-5)
        assert fold["threshold"] == pytest.approx(metrics["val_threshold"], abs=1e-6)

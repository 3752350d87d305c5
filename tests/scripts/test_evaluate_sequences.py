"""Commands that judge decisions about clips, called as a user calls them."""

import json
from pathlib import Path

import pytest

from flipdetect.cli.inference import main as predict
from flipdetect.inference.settings import read_event_settings
from tests.rendered_sets import make_rendered_set
from tests.scripts.test_scripts import script


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rendered_set(tmp_path_factory.mktemp("clips"), books=6, frames=3, height=64, masks=False)


@pytest.fixture(scope="module")
def split(clips: Path) -> Path:
    """Two books for each side."""
    rows = ["path,split"]
    for line in (clips / "labels.csv").read_text("utf-8").splitlines()[1:]:
        path, _, book = line.split(",")[:3]
        rows.append(f"{path},{('train', 'val', 'test')[int(book[-1]) % 3]}")
    file = clips / "splits.csv"
    file.write_text("\n".join(rows) + "\n", "utf-8")
    return file


def test_aggregations_are_compared_on_clips(
    trained: Path, clips: Path, split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, picture = tmp_path / "figures.json", tmp_path / "matrices.png"
    models = ["--frame-model", str(trained), "tiny_cnn", "--folder-path", str(clips)]
    sides = ["--split", "test", "--split-file", str(split)]
    arguments = [*models, *sides, "--json", str(figures), "--matrices", str(picture)]
    assert script("evaluate_sequences")(arguments) == 0
    rows = json.loads(figures.read_text("utf-8"))
    assert [row["method"] for row in rows] == ["mean", "max", "top_k"] * 2
    assert {(row["threshold_from"], row["split"]) for row in rows} == {("validation", "test")}
    for row in rows:
        counts = [row["clips"][name] for name in row["clips"] if name.endswith(("positives", "negatives"))]
        assert sum(counts) == 4
    assert len(list(tmp_path.glob("matrices-*.png"))) == 6
    assert "F1 of frames" in capsys.readouterr().out


def test_thresholds_may_come_from_another_folder(
    trained: Path, clips: Path, monreader_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["--frame-model", str(trained), "--folder-path", str(clips)]
    assert script("evaluate_sequences")([*models, "--validation-path", str(monreader_set)]) == 0
    assert "validation" in capsys.readouterr().out


def test_the_threshold_of_clips_is_saved_beside_the_model_and_the_rest_stays(
    trained: Path, clips: Path, split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "mine.ckpt"
    model.write_bytes(trained.read_bytes())
    settings = tmp_path / "mine.events.yaml"
    settings.write_text("detector: hysteresis\nthreshold: 0.4\n")
    rest = ["--folder-path", str(clips), "--save-threshold", str(settings)]
    sides = ["--split", "test", "--split-file", str(split), "--json", str(tmp_path / "figures.json")]
    assert script("evaluate_sequences")(["--frame-model", str(model), *rest, *sides]) == 0
    (chosen,) = (row for row in json.loads((tmp_path / "figures.json").read_text("utf-8")) if row["method"] == "max")
    saved = read_event_settings(settings)
    assert (saved.detector, saved.threshold) == ("hysteresis", 0.4)
    assert saved.clip_threshold == pytest.approx(chosen["threshold"], abs=1e-6)

    capsys.readouterr()
    assert (
        predict(["--checkpoint-path", str(model), "--folder-path", str(clips), "--output", str(tmp_path / "p.csv")])
        == 0
    )
    assert "a flip in it" in capsys.readouterr().out


def test_a_threshold_of_clips_needs_a_validation_side_and_one_model(
    trained: Path, clips: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "x.events.yaml"
    arguments = ["--folder-path", str(clips), "--save-threshold", str(saved), "--frame-model", str(trained)]
    assert script("evaluate_sequences")(arguments) == 1
    assert "needs a validation side" in capfd.readouterr().err
    assert not saved.exists()
    with pytest.raises(SystemExit):
        script("evaluate_sequences")([*arguments, "tiny_cnn"])


def test_a_model_has_to_be_named(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        script("evaluate_sequences")(["--folder-path", str(clips)])
    assert stop.value.code == 2
    assert "--frame-model" in capsys.readouterr().err


def test_what_is_wrong_is_explained(clips: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert script("evaluate_sequences")(["--frame-model", "no_such_net", "--folder-path", str(clips)]) == 1
    assert "no_such_net" in capfd.readouterr().err


def test_evaluate_shows_frames_and_clips_side_by_side(
    trained: Path, clips: Path, split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, picture = tmp_path / "figures.json", tmp_path / "matrices.png"
    arguments = ["--checkpoint-path", str(trained), "--folder-path", str(clips), "--split", "test"]
    arguments += ["--split-file", str(split), "--sequences", "--json", str(figures), "--matrices", str(picture)]
    assert script("evaluate")(arguments) == 0
    printed = capsys.readouterr().out
    assert printed.count("clips, ") == 3
    (row,) = json.loads(figures.read_text("utf-8"))
    assert [each["method"] for each in row["sequences"]] == ["mean", "max", "top_k"]
    assert {each["threshold_from"] for each in row["sequences"]} == {"validation"}
    assert len(list(tmp_path.glob("matrices-*.png"))) == 3


def test_evaluate_judges_clips_of_a_committee_too(
    trained: Path, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["--checkpoint-path", str(trained), "--model", "tiny_cnn", "--ensemble"]
    assert script("evaluate")([*models, "--folder-path", str(clips), "--sequences"]) == 0
    assert capsys.readouterr().out.count("by max of mean of 2") == 1

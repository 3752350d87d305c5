"""The commands that make a release table: evaluation in parts, robustness, spread over seeds, ablation."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

import flipdetect.cli.train
from tests.conftest import REPOSITORY
from tests.scripts.test_scripts import script

CONFIG = str(REPOSITORY / "configs" / "tiny_cnn.yaml")


def test_evaluate_writes_parts_predictions_failures_and_figures(
    trained: Path, monreader_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in ("p.csv", "f.json", "m.png")]
    arguments = ["--checkpoint-path", str(trained), "--folder-path", str(monreader_set), "--split", "test"]
    outputs = ["--output", str(files[0]), "--json", str(files[1]), "--failures", str(files[2])]
    assert script("evaluate")([*arguments, "--by", "kind", "--by", "label", "video", *outputs]) == 0
    printed = capsys.readouterr().out
    assert "by label and video" in printed
    assert "best F1 (oracle)" in printed
    side = {
        row["path"] for row in csv.DictReader((trained.parent / "splits.csv").open()) if row["split"] == "test"
    }  # fmt: skip
    rows = list(csv.DictReader(files[0].open()))
    assert {row["path"] for row in rows} == side
    assert {row["truth"] for row in rows} == {"flip", "notflip"}
    (found,) = json.loads(files[1].read_text())
    assert (found["split"], found["frames"]) == ("test", len(side))
    assert {tuple(group["by"]) for group in found["groups"]} == {("kind",), ("label", "video")}
    trained_on = json.loads((trained.parent / "metrics.json").read_text())
    assert found["auroc"] == pytest.approx(trained_on["test_auroc"], abs=1e-5)
    assert found["f1"] == pytest.approx(trained_on["test_f1"], abs=1e-5)
    assert Image.open(files[2]).format == "PNG"


def test_evaluate_averages_models(
    trained: Path, monreader_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [str(trained), str(trained.with_name("last.ckpt"))]
    output = tmp_path / "p.csv"
    arguments = ["--folder-path", str(monreader_set), "--ensemble", "--checkpoint-path"]
    assert script("evaluate")([*arguments, *models, "--output", str(output)]) == 0
    assert "mean of 2 models' logits" in capsys.readouterr().out
    by_model: dict[str, list[float]] = {}
    for row in csv.DictReader(output.open()):
        by_model.setdefault(row["model"], []).append(float(row["probability"]))
    for low, mean, high in zip(
        by_model[models[0]], by_model["mean of 2 models' logits"], by_model[models[1]], strict=True
    ):
        assert min(low, high) - 1e-6 <= mean <= max(low, high) + 1e-6
    with pytest.raises(SystemExit):
        script("evaluate")([*arguments, models[0]])


def test_a_side_needs_a_split_file(
    trained: Path, monreader_set: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--checkpoint-path", str(trained), "--folder-path", str(monreader_set), "--split", "val"]
    assert script("evaluate")([*arguments, "--split-file", str(tmp_path / "absent.csv")]) == 1
    assert "--split-file" in capfd.readouterr().err


def test_robustness_prints_writes_and_draws(
    trained: Path, monreader_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "r.json", tmp_path / "r.png"]
    arguments = ["--checkpoint-path", str(trained), "--folder-path", str(monreader_set), "--split", "test"]
    assert script("robustness")([*arguments, "--json", str(files[0]), "--chart", str(files[1])]) == 0
    assert "brightness +15%" in capsys.readouterr().out
    (found,) = json.loads(files[0].read_text())
    assert [each["name"] for each in found["conditions"]][:2] == ["clean", "brightness +15%"]
    assert len(found["conditions"]) == 8
    assert Image.open(files[1]).width > 500


@pytest.fixture
def calls(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Replace training by a copy of the trained model; its calls."""
    made: list[list[str]] = []
    monkeypatch.chdir(tmp_path)

    def train(arguments: list[str]) -> int:
        made.append(arguments)
        settings = yaml.safe_load(Path(arguments[1]).read_text())["trainer"]["logger"][0]["init_args"]
        folder = Path(settings["save_dir"], settings["name"], "version_0")
        folder.mkdir(parents=True)
        (folder / "best.ckpt").write_bytes(trained.read_bytes())
        (folder / "metrics.json").write_text(json.dumps({"val_f1": 0.7, "test_auroc": 0.6 + len(made) / 100}))
        return 0

    monkeypatch.setattr(flipdetect.cli.train, "main", train)
    return made


def test_seed_spread_goes_on_where_it_stopped(
    calls: list[list[str]], monreader_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", CONFIG, "--override", "model.lr=0.1", "--folder-path", str(monreader_set), "--seeds"]
    assert script("seed_spread")([*arguments, "0"]) == 0
    assert script("seed_spread")([*arguments, "0", "1", "0"]) == 0
    assert [call[2] for call in calls] == ["--seed_everything=0", "--seed_everything=1"]
    assert calls[0][3] == "--model.lr=0.1"
    printed = capsys.readouterr().out
    assert "spread" in printed
    assert f"{monreader_set.name}: auroc" in printed
    found = json.loads(Path("runs/seed_spread/tiny_cnn.json").read_text())
    assert [run["seed"] for run in found["runs"]] == [0, 1]
    summary = found["summary"]["tiny_cnn"]["test_auroc"]
    assert summary == {"mean": 0.615, "min": 0.61, "max": 0.62, "spread": 0.01}
    assert found["runs"][0]["figures"]["test_f1"] is None


def test_ablation_compares_with_the_base(
    calls: list[list[str]], tmp_path: Path, monreader_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content: Any = {"grey": {"remove": ["ToGray"]}, "few": {"set": {"data.embedded.render.sources": 4}}}
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump({"variations": content}, sort_keys=False))
    arguments = ["--config", CONFIG, "--spec", str(spec), "--seeds", "0", "1", "--folder-path", str(monreader_set)]
    assert script("ablation")(arguments) == 0
    assert script("ablation")(arguments) == 0
    assert len(calls) == 6
    lines = capsys.readouterr().out.splitlines()
    grey = next(line for line in lines if line.startswith("grey"))
    assert "+0.020" in grey
    few = next(line for line in lines if line.startswith("few (own data)"))
    assert few.count("+") == 1  # on the further set alone
    grey_config = Path(next(call[1] for call in calls if "grey" in call[1])).read_text()
    assert "ToGray" not in grey_config

    calls.clear()
    assert script("ablation")([*arguments, "--only", "few", "--study", str(tmp_path / "other")]) == 0
    assert len(calls) == 4
    assert not any("grey" in call[1] for call in calls)


def test_a_spec_that_does_not_fit_is_explained(
    calls: list[list[str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("variations: {x: {remove: [Nothing]}}")
    assert script("ablation")(["--config", CONFIG, "--spec", str(spec)]) == 1
    assert "no augmentation 'Nothing'" in capfd.readouterr().err
    assert calls == []


def test_only_variations_that_there_are(
    calls: list[list[str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("variations: {grey: {remove: [ToGray]}}")
    assert script("ablation")(["--config", CONFIG, "--spec", str(spec), "--only", "green"]) == 1
    assert "no variation 'green', only 'grey'" in capfd.readouterr().err
    assert calls == []

"""Object detection by the commands: a generated set is trained on, resumed, evaluated, exported, and predicted."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from flipdetect.cli.main import main as flipdetect
from flipdetect.cli.train import main
from flipdetect.inference.torch_model import load_checkpoint
from flipdetect.metrics.box_matching import SUMMARY
from flipdetect.sources.image import decode_frame
from tests.conftest import REPOSITORY
from tests.data.boxes_sets import make_voc_set

RUN = Path("logs/detect/version_0")
SMALL = [
    "--model.backbone=mobilenetv2_035",
    "--model.weights=none",
    "--model.backbone_args=null",
    "--data.preprocess.height=96",
    "--data.preprocess.width=128",
    "--data.batch_size=4",
    "--data.num_workers=0",
    "--data.cache_dir=null",
]
Train = Callable[..., int]


@pytest.fixture(scope="session")
def voc_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated set of 24 pictures, one of them with a wrong box; not to be written to."""
    root = make_voc_set(tmp_path_factory.mktemp("shapes"), 24)
    path = root / "annotations/shapes3.xml"
    path.write_text(path.read_text().replace("<xmax>", "<xmax>9", 1))
    return root


@pytest.fixture
def detect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, voc_set: Path) -> Train:
    """Train a small detector in an empty folder; returns the exit status."""
    monkeypatch.chdir(tmp_path)
    config = REPOSITORY / "configs/detect.yaml"

    def run(*overrides: str, root: Path = voc_set) -> int:
        return main(["--config", str(config), f"--data.root={root}", *SMALL, "--trainer.max_epochs=1", *overrides])

    return run


@pytest.mark.slow
def test_a_detector_is_trained_resumed_and_evaluated(
    detect: Train, voc_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect("--data.format=voc") == 0
    printed = capsys.readouterr().out
    assert printed.count("Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ]") == 2
    assert "disc: AP" in printed
    assert "Test mAP" in printed
    values = json.loads((RUN / "metrics.json").read_text())
    assert {f"{side}_{name}" for side in ("val", "test") for name in (*SUMMARY, "ap_disc", "ar_square")} <= set(values)
    assert (RUN / "test_boxes.png").is_file()
    assert (RUN / "test_worst.png").is_file()
    rows = list(csv.DictReader((RUN / "test_pictures.csv").open()))
    assert list(rows[0]) == ["path", "found", "missed", "false", "mean_iou"]
    problems = (RUN / "unusable.csv").read_text()
    assert 'images/shapes3.png,"box outside the picture: box 1, ' in problems
    events = EventAccumulator(str(RUN), size_guidance={"images": 0}).Reload()
    assert {"train/augmented_batch", "val/boxes", "val/worst"} <= set(events.Tags()["images"])
    facts = torch.load(RUN / "best.ckpt", weights_only=True)["flipdetect"]
    assert facts["kind"] == "detection"
    assert facts["classes"] == {"names": ["disc", "square"]}
    assert facts["arguments"]["classes"] == ["disc", "square"]
    assert (facts["preprocess"]["height"], facts["preprocess"]["fit"]) == (96, "letterbox")

    assert detect("--trainer.max_epochs=2", "--ckpt_path=last") == 0
    assert json.loads((RUN / "metrics.json").read_text())["epochs"] == 2
    assert not Path("logs/detect/version_1").exists()

    detector = load_checkpoint(RUN / "best.ckpt", "cpu")
    (found,) = detector.find([decode_frame(voc_set / "images/shapes0.png")])
    assert found.boxes.shape == (len(found.scores), 4)
    assert (found.boxes <= [160, 120, 160, 120]).all()

    arguments = ["evaluate", "--model", str(RUN / "best.ckpt"), "--data", str(voc_set), "--split", "test"]
    files = ["--json", "out.json", "--mistakes", "worst.png", "--report", "report", "--output", "pictures.csv"]
    assert flipdetect([*arguments, *files]) == 0
    assert "Average Precision" in capsys.readouterr().out
    (result,) = json.loads(Path("out.json").read_text())
    trained = json.loads((RUN / "metrics.json").read_text())
    for name in SUMMARY:
        expected = trained[f"test_{name}"]
        assert result[name] == (None if expected is None else pytest.approx(expected, abs=0.02)), name
    assert Path("worst.png").stat().st_size > 1000
    page = Path("report/index.html").read_text()
    assert page.count("<figure>") == result["pictures"]
    assert "data:image/jpeg;base64," in page
    assert len(Path("pictures.csv").read_text().splitlines()) == result["pictures"] + 1

    exported = str(RUN / "best.onnx")
    assert flipdetect(["export", "--model", str(RUN / "best.ckpt"), "--data", str(voc_set)]) == 0
    assert "the same detections on 24 pictures" in capsys.readouterr().out
    assert flipdetect(["evaluate", "--model", exported, *arguments[3:], "--json", "onnx.json"]) == 0
    (again,) = json.loads(Path("onnx.json").read_text())
    assert again["map"] == pytest.approx(result["map"], abs=0.01)
    assert flipdetect(["predict", str(voc_set), "--model", exported, "--threshold", "0.05"]) == 0
    tables = json.loads(Path("predictions.json").read_text())
    assert [each["name"] for each in tables["categories"]] == ["disc", "square"]
    assert [(each["width"], each["height"]) for each in tables["images"]] == [(160, 120)] * 24


def test_wrong_settings_are_refused_before_anything_is_trained(
    detect: Train, voc_set: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for arguments, message in (
        (["--data.pairs=true"], "no setting is called data.pairs"),
        (["--data.format=coco"], "there is no .json file below"),
        (["--model.weight=none"], "did you mean model.weights?"),
        (["--model=flipdetect.tasks.FCOSDetector"], "did you mean flipdetect.tasks.FCOSLiteDetector?"),
        (["--data.val_fraction=0.9", "--data.test_fraction=0.3"], "must leave something for each split"),
    ):
        assert detect(*arguments) != 0
        assert message in capsys.readouterr().err
    empty = tmp_path / "empty"
    empty.mkdir()
    assert detect(root=empty) != 0
    assert "no usable frames in" in capsys.readouterr().err
    assert not RUN.exists()


def test_commands_that_train_classifiers_refuse_a_detector(
    voc_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert flipdetect(["cross-validate", "--config", "detect", "--data", str(voc_set), "--output", str(tmp_path)]) != 0
    assert "train a detector with flipdetect train" in capsys.readouterr().err


def test_ssdlite_takes_the_place_of_the_other_detector(
    voc_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = str(REPOSITORY / "configs/ssdlite.yaml")
    quick = ["--model.weights=none", "--trainer.max_epochs=1", "--trainer.limit_train_batches=2"]
    small = [word for word in SMALL if word.startswith("--data")]
    assert main(["--config", config, f"--data.root={voc_set}", *small, *quick]) == 0
    settings = yaml.safe_load(Path("logs/ssdlite/version_0/config.yaml").read_text())["model"]
    assert settings["class_path"] == "flipdetect.tasks.SSDLiteDetector"
    detector = load_checkpoint(Path("logs/ssdlite/version_0/best.ckpt"), "cpu")
    assert type(detector.task).__name__ == "SSDLiteDetector"

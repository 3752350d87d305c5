"""Start-up: what prediction with an exported model imports, on each of its paths. Torch alone takes two seconds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.frame_sets import page_frame, write_frame
from tests.inference.looking import RATE, film
from tests.sources.films import write

TRAINING = {"torch", "torchvision", "pytorch_lightning", "lightning_fabric", "torchmetrics", "timm", "albumentations"}
"""What training needs, and prediction with an exported model does without."""
ELSEWHERE = {"onnx", "onnxscript", "scipy", "sympy", "tensorboard", "jsonargparse"}
PICTURES = {"numpy", "cv2", "PIL", "matplotlib", "av"}

RUN = """
import json, sys
from flipdetect.cli.predict import inference

try:
    status = inference(sys.argv[2:])
except SystemExit as stop:
    status = stop.code or 0
with open(sys.argv[1], "w") as file:
    json.dump(sorted({name.split(".")[0] for name in sys.modules}), file)
sys.exit(status)
"""


def imported(folder: Path, *args: object) -> set[str]:
    """Packages that a run of the command imported; the command must succeed."""
    report = folder / "imported.json"
    command = [sys.executable, "-c", RUN, str(report), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(report.read_text("utf-8")))


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("films") / "book.mp4", film((1, 2), rest_s=0.8), rate=RATE)


def test_frames_are_scored_without_what_training_needs(tmp_path: Path) -> None:
    write_frame(tmp_path / "frames" / "1.jpg", page_frame(True, 1))
    found = imported(tmp_path, "--folder-path", "frames", "--model", "mobilenet_v2")
    assert "onnxruntime" in found
    assert not found & (TRAINING | ELSEWHERE | {"matplotlib"})
    assert (tmp_path / "predictions.csv").is_file()


def test_videos_stills_and_reports_are_made_without_what_training_needs(book: Path, tmp_path: Path) -> None:
    wanted = ("--save-stills", "pages", "--pdf", "book.pdf", "--report", "book.html", "--preview", "book.gif")
    found = imported(tmp_path, "--video", book, "--model", "tiny_cnn", *wanted)
    assert {"onnxruntime", "av"} <= found
    assert not found & (TRAINING | ELSEWHERE)
    for name in ("flips.csv", "timeline.png", "book.pdf", "book.html", "book.gif"):
        assert (tmp_path / name).stat().st_size
    again = imported(tmp_path, "--scores", "predictions.csv", "--model", "tiny_cnn")
    assert not again & (TRAINING | ELSEWHERE | {"onnxruntime"})


def test_training_starts_without_metrics_of_images_and_networks_that_it_does_not_use() -> None:
    code = (
        "import sys; from flipdetect.start.lean_imports import defer_torchmetrics; defer_torchmetrics(); "
        "import flipdetect.cli.lightning_cli; from flipdetect.models import TinyCNN; TinyCNN(); "
        "print(*{'torch', 'torchvision', 'timm', 'scipy.signal', 'torchmetrics.functional'} & set(sys.modules)); "
        "import torchmetrics; from torchmetrics.classification import BinaryAccuracy; "
        "assert issubclass(BinaryAccuracy, torchmetrics.Metric); assert torchmetrics.functional"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["torch"]), done.stderr

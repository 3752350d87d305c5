"""What a wrong command line gives: one line that names key, value and remedy, and nothing on disk."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from flipdetect.cli.main import main
from tests.frame_sets import make_monreader_set, page_frame, write_frame

TRAIN = "train --data.root labelled --config tiny_cnn"
WRONG = [
    ("nonsense", 2, "No such command 'nonsense'"),
    ("--nonsense", 2, "No such option: --nonsense"),
    ("predict", 2, "give films, pictures or folders"),
    ("predict frames --folder-path frames", 2, "No such option: --folder-path"),
    ("predict frames --threshold 2", 2, "--threshold 2: 2.0 is not in the range 0<=x<=1"),
    ("predict frames --threshold high", 2, "--threshold high: 'high' is not a valid float"),
    ("predict frames --batch-size 0", 2, "--batch-size 0: 0 is not in the range 1<=x<="),
    ("predict frames --device tpu", 2, "--device tpu: 'tpu' is not one of 'auto', 'cpu', 'cuda'"),
    ("predict frames --engine tensorrt", 2, "--engine tensorrt"),
    ("predict frames --rate -1", 2, "--rate -1"),
    ("predict frames --stride 0", 2, "--stride 0"),
    ("predict frames --fps 0 --events", 2, "--fps 0"),
    ("predict nowhere.mp4", 1, "nowhere.mp4; it does not exist"),
    ("predict 'films/*.mp4'", 1, "films/*.mp4"),
    ("predict frames --model nothing", 1, "efficientnet_lite0, tiny_cnn, mobilenet_v2"),
    ("predict frames --model nowhere.ckpt", 1, "there is no model nowhere.ckpt"),
    ("predict frames --model last", 1, "no training run under logs/"),
    ("predict frames --stills pages", 2, "--stills needs films"),
    ("predict frames --timeline", 2, "--timeline needs films"),
    ("predict frames --events --stills notes.txt", 2, "--stills notes.txt is a file; give a folder"),
    ("predict frames --preview book.avi --events", 2, "--preview book.avi"),
    ("predict frames --resume --output -", 2, "give --output a name"),
    ("predict frames --event-settings nowhere.yaml", 2, "nowhere.yaml"),
    ("predict --scores nowhere.csv", 1, "nowhere.csv"),
    ("predict --scores old.csv --resume", 2, "no --scores"),
    ("predict empty", 1, "no frames"),
    ("audit", 2, "Missing option '--data'"),
    ("audit --data nowhere", 1, "nowhere does not exist"),
    ("audit --data empty", 1, "no usable frames in empty"),
    ("audit --data labelled --group scene", 2, "No such option: --group"),
    ("prepare", 2, "Missing argument"),
    ("evaluate", 2, "--data"),
    ("evaluate --data nowhere", 1, "nowhere"),
    ("evaluate --data empty --model tiny_cnn", 1, "no usable frames"),
    ("evaluate --data labelled --costs 5 1", 2, "--validation"),
    ("evaluate --data labelled --ensemble --model tiny_cnn", 2, "at least two"),
    ("evaluate --predictions old.csv", 2, "--threshold"),
    ("evaluate --predictions old.csv --threshold 0.5 --robustness basic", 2, "single models"),
    ("evaluate --events old.csv", 2, "--truth"),
    ("evaluate --data labelled --model tiny_cnn --split val --split-file no.csv", 1, "--split-file"),
    ("evaluate --data labelled --threshold 3", 2, "--threshold 3"),
    ("evaluate --data labelled --model nothing", 1, "efficientnet_lite0"),
    ("evaluate --data labelled --split dev", 2, "--split dev"),
    ("compare", 2, "--config to train"),
    ("compare --config mobilnet", 2, "no configuration of that name; there are"),
    ("compare --config tiny_cnn --override model.wdth=3 --data labelled", 2, "did you mean model.width?"),
    ("compare --config tiny_cnn --config finetune_tiny", 1, "data.root is no folder: my_frames"),
    ("compare --model tiny_cnn --data labelled --split-file no.csv", 1, "there is no split file"),
    ("compare --model tiny_cnn", 2, "--data and --split-file"),
    ("prepare nowhere out", 2, "nowhere does not exist"),
    ("prepare labelled out --label closed", 2, "--label takes a pair"),
    ("render --sheet x.png --clips-per-source 3", 2, "choose an even number"),
    ("render", 2, "give --output FOLDER"),
    ("render --output out --sources 0", 2, "sources is 0; choose at least 1"),
    ("render --output out --orientation round", 2, "choose portrait, landscape, mixed"),
    ("export", 2, "Missing option '--model'"),
    ("export --model tiny_cnn", 2, "Missing option '--output'"),
    ("export --model nothing --output out.onnx", 1, "efficientnet_lite0, tiny_cnn, mobilenet_v2"),
    ("export --model tiny_cnn --output out.onnx --format onnx-int4", 2, "--format onnx-int4"),
    ("export --model tiny_cnn --output out.onnx --format onnx-int8", 2, "give --data FOLDER"),
    ("cross-validate", 2, "Missing option '--config'"),
    ("cross-validate --config mobilnet", 2, "no configuration of that name; there are"),
    ("cross-validate --config tiny_cnn --folds 1", 2, "--folds 1"),
    ("cross-validate --config tiny_cnn --data nowhere", 1, "data.root is no folder: nowhere"),
    ("tune", 2, "Missing option '--config'"),
    ("tune --config tiny_cnn --space tiny", 2, "--space tiny: no such file, and no search space of that name"),
    ("tune --config tiny_cnn --trials 0", 2, "--trials 0"),
    ("configs --copy", 2, "Option '--copy' requires an argument"),
    ("train", 2, "--config is missing"),
    ("train tiny_cnn", 2, "unexpected argument 'tiny_cnn'"),
    ("train --config", 2, "--config needs a value"),
    ("train --config mobilnet", 2, "no configuration of that name; there are"),
    ("train --config notes.txt", 2, "notes.txt holds no settings"),
    ("train --config broken.yaml", 2, "broken.yaml cannot be read as YAML"),
    ("train --config outside.yaml", 2, "outside.yaml: no setting is called trainer.max_epoch; did you mean"),
    ("train --config tiny_cnn --data.root nowhere", 1, "data.root is no folder: nowhere"),
    (f"{TRAIN} --data.rot x", 2, "no setting is called data.rot; did you mean data.root?"),
    (f"{TRAIN} --data.preprocess.heigt=64", 2, "did you mean data.preprocess.height?"),
    (f"{TRAIN} --trainer.max_epochs many", 2, "trainer.max_epochs must be int or null, got 'many'"),
    (f"{TRAIN} --trainer.enable_checkpointing false", 2, "enable_checkpointing=False"),
    (f"{TRAIN} --data.pairs 3", 2, "data.pairs must be bool, got 3"),
    (f"{TRAIN} --model.lr fast", 2, "model.lr must be float, got 'fast'"),
    (f"{TRAIN} --model.wdth 3", 2, "did you mean model.width?"),
    (f"{TRAIN} --model flipdetect.tasks.Foo", 2, "MobileNetV2Classifier"),
    (f"{TRAIN} --trainer.callbacks+=flipdetect.callbacks.WorstMistake", 2, "callbacks.WorstMistakes?"),
    (f"{TRAIN} --data.shards shards/", 2, "data.shards is no setting any more"),
    (f"{TRAIN} --data.split_file nowhere.csv", 1, "data.split_file nowhere.csv: no such file"),
    (f"{TRAIN} --model.weights nowhere.ckpt", 1, "model.weights nowhere.ckpt: no such file"),
    (f"{TRAIN} --ckpt_path nowhere.ckpt", 1, "ckpt_path nowhere.ckpt: no such file"),
    (f"{TRAIN} --seed_everything -1", 2, "seed_everything must be in [0, 4294967295], got -1"),
    (f"{TRAIN} --trainer.devices 0", 2, "trainer.devices must be in -1 or [1, inf), got 0"),
    (f"{TRAIN} --trainer.max_epochs -5", 2, "trainer.max_epochs must be in"),
    (f"{TRAIN} --trainer.max_epochs 0", 2, "trainer.max_epochs must be in"),
    (f"{TRAIN} --trainer.limit_train_batches 2.5", 2, "trainer.limit_train_batches must be in"),
    (f"{TRAIN} --trainer.gradient_clip_val -1", 2, "trainer.gradient_clip_val must be in [0, inf), got -1"),
    (f"{TRAIN} --trainer.logger false", 2, "trainer.logger is false"),
    (f"{TRAIN} --config frames/1.jpg", 2, "frames/1.jpg cannot be read as YAML"),
    (f"{TRAIN} --model.lr .inf", 2, "model.lr must be in (0, inf), got inf"),
    (f"{TRAIN} --model.dropout 1.0", 2, "model.dropout must be in [0, 1), got 1.0"),
    (f"{TRAIN} --model.dropout .nan", 2, "model.dropout must be in [0, 1), got nan"),
    (f"{TRAIN} --model.warmup_epochs -1", 2, "model.warmup_epochs must be in [0, inf), got -1"),
    (f"{TRAIN} --data.cache_gb -1", 2, "data.cache_gb must be in (0, inf), got -1"),
    (f"{TRAIN} --data.preprocess.mean [.nan,0,0]", 2, "data.preprocess.mean must be in"),
    ("train --config finetune_tiny", 1, "Give the folder of your labelled frames with --data.root"),
    ("tune --config tiny_cnn --space rat.yaml --data labelled", 2, "model.learning_rat"),
    (f"{TRAIN} --nonsense 3", 2, "no setting is called nonsense"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wrong")
    write_frame(folder / "frames" / "1.jpg", page_frame(True, 1))
    make_monreader_set(folder / "labelled", videos=2, frames=2)
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("notes")
    (folder / "broken.yaml").write_text("trainer: [")
    (folder / "outside.yaml").write_text("trainer: {max_epoch: 3}")
    (folder / "old.csv").write_text("a,b\n")
    (folder / "rat.yaml").write_text("model.learning_rat: {kind: log, low: 0.001, high: 0.01}\n")
    return folder


@pytest.mark.parametrize(("line", "status", "words"), WRONG, ids=[line for line, _, _ in WRONG])
def test_a_wrong_command_line_is_explained_in_one_line(
    line: str, status: int, words: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    assert main(shlex.split(line)) == status
    printed = capfd.readouterr()
    assert words in printed.err
    assert printed.err.startswith("error: ")
    assert len(printed.err.splitlines()) == 1
    assert not printed.out
    assert sorted(place.rglob("*")) == before


QUICK = """
import json, sys
from flipdetect.cli.main import main
status = main(sys.argv[1:])
print(json.dumps([status, sorted({name.split(".")[0] for name in sys.modules})]), file=sys.stderr)
"""


@pytest.mark.parametrize("line", ["--help", "train --help", "train --config tiny_cnn --data.rot x", "predict --help"])
def test_help_and_mistakes_import_nothing_heavy(line: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", QUICK, *line.split()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    status, modules = json.loads(done.stderr.splitlines()[-1])
    assert status == (0 if "--help" in line else 2)
    assert not {"torch", "numpy", "cv2", "onnxruntime", "jsonargparse", "pytorch_lightning"} & set(modules)

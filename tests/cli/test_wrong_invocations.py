"""What a wrong command line gives: one line that names key, value and remedy, and nothing on disk."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from flipdetect.cli.check_config import check_arguments
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
    ("predict nowhere.mp4", 2, "nowhere.mp4; it does not exist"),
    ("predict 'films/*.mp4'", 2, "films/*.mp4"),
    ("predict frames --model nothing", 2, "efficientnet_lite0, tiny_cnn, mobilenet_v2"),
    ("predict frames --model nowhere.ckpt", 2, "--model nowhere.ckpt: there is no model nowhere.ckpt"),
    ("predict frames --model last", 2, "no training run under logs/"),
    ("predict frames --stills pages", 2, "--stills needs films"),
    ("predict frames --timeline", 2, "--timeline needs films"),
    ("predict frames --events --stills notes.txt", 2, "--stills notes.txt is a file; give a folder"),
    ("predict frames --preview book.avi --events", 2, "--preview book.avi"),
    ("predict frames --resume --output -", 2, "give --output a name"),
    ("predict frames --event-settings nowhere.yaml", 2, "--event-settings nowhere.yaml: no such file; correct"),
    ("predict frames --event-settings frames", 2, "--event-settings frames is a folder; give a file"),
    ("predict --scores nowhere.csv", 2, "--scores nowhere.csv: no such file; correct the path"),
    ("predict --scores=nowhere.csv", 2, "--scores nowhere.csv: no such file; correct the path"),
    ("predict --scores old.csv --resume", 2, "no --scores"),
    ("predict empty", 1, "no frames"),
    ("audit", 2, "Missing option '--data'"),
    ("audit --data nowhere", 2, "--data nowhere: no such folder; correct the path"),
    ("audit --data labelled --split-file no.csv", 2, "--split-file no.csv: no such file"),
    ("audit --data empty", 1, "no usable frames in empty"),
    ("audit --data labelled --group scene", 2, "No such option: --group"),
    ("prepare", 2, "Missing argument"),
    ("evaluate", 2, "--data"),
    ("evaluate --data nowhere", 2, "--data nowhere: no such folder"),
    ("evaluate --data labelled --data nowhere", 2, "--data nowhere: no such folder"),
    ("evaluate --data empty --model tiny_cnn", 1, "no usable frames"),
    ("evaluate --data labelled --costs 5 1", 2, "--costs chooses thresholds on the validation split"),
    ("evaluate --events old.csv", 2, "--truth"),
    (
        "evaluate --data labelled --model tiny_cnn --split val --split-file no.csv",
        2,
        "--split-file no.csv: no such file",
    ),
    ("evaluate --data labelled --threshold 3", 2, "--threshold 3"),
    ("evaluate --data labelled --model nothing", 2, "efficientnet_lite0"),
    ("evaluate --data labelled --split dev", 2, "--split dev"),
    ("compare", 2, "Missing option '--config'"),
    ("compare --config mobilnet", 2, "no configuration of that name; there are"),
    ("compare --config tiny_cnn --override model.wdth=3 --data labelled", 2, "did you mean model.width?"),
    ("compare --config tiny_cnn --config finetune_tiny", 2, "data.root is no folder: my_frames"),
    ("prepare nowhere out", 2, "source nowhere: no such file or folder"),
    ("prepare labelled out --label closed", 2, "--label takes a pair"),
    ("render --sheet x.png --clips-per-source 3", 2, "choose an even number"),
    ("render", 2, "give --output FOLDER"),
    ("render --output out --sources 0", 2, "sources is 0; choose at least 1"),
    ("render --output out --orientation round", 2, "choose portrait, landscape, mixed"),
    ("export", 2, "Missing option '--model'"),
    ("export --model tiny_cnn", 2, "name the file to write"),
    ("export --model notes.txt --format onnx-float16", 2, "name the file to write"),
    ("export --model nothing --output out.onnx", 2, "efficientnet_lite0, tiny_cnn, mobilenet_v2"),
    ("export --model tiny_cnn --output out.onnx --format onnx-int4", 2, "--format onnx-int4"),
    ("export --model tiny_cnn --output out.onnx --format onnx-int8", 2, "give --data FOLDER"),
    ("cross-validate", 2, "Missing option '--config'"),
    ("cross-validate --config mobilnet", 2, "no configuration of that name; there are"),
    ("cross-validate --config tiny_cnn --folds 1", 2, "--folds 1"),
    ("cross-validate --config tiny_cnn --data nowhere", 2, "--data nowhere: no such folder"),
    ("tune", 2, "Missing option '--config'"),
    ("tune --config tiny_cnn --space tiny", 2, "there are tune/mobilenet, tune/tiny_cnn"),
    ("tune --config tiny_cnn --trials 0", 2, "--trials 0"),
    ("configs --copy", 2, "Option '--copy' requires an argument"),
    ("train", 2, "--config is missing"),
    (f"{TRAIN} --data.root empty", 1, "no usable frames in empty"),
    (f"{TRAIN} --model.weights text.ckpt", 1, "text.ckpt is no checkpoint"),
    (f"{TRAIN} --ckpt_path text.ckpt", 1, "text.ckpt is no checkpoint"),
    ("train tiny_cnn", 2, "unexpected argument 'tiny_cnn'"),
    ("train --config", 2, "--config needs a value"),
    ("train --config mobilnet", 2, "no configuration of that name; there are"),
    ("train --config notes.txt", 2, "notes.txt holds no settings"),
    ("train --config broken.yaml", 2, "broken.yaml cannot be read as YAML"),
    ("train --config outside.yaml", 2, "outside.yaml: no setting is called trainer.max_epoch; did you mean"),
    ("train --config tiny_cnn --data.root nowhere", 2, "data.root is no folder: nowhere"),
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
    (f"{TRAIN} --data.split_file nowhere.csv", 2, "data.split_file nowhere.csv: no such file"),
    (f"{TRAIN} --model.weights nowhere.ckpt", 2, "model.weights nowhere.ckpt: no such file"),
    (f"{TRAIN} --ckpt_path nowhere.ckpt", 2, "ckpt_path nowhere.ckpt: no such file"),
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
    ("train --config finetune_tiny", 2, "Give the folder of your labelled frames with --data.root"),
    ("tune --config tiny_cnn --space rat.yaml --data labelled", 2, "model.learning_rat"),
    (f"{TRAIN} --nonsense 3", 2, "no setting is called nonsense"),
    ("predict frames --start -5", 2, "--start -5: '-5' is no time; give seconds"),
    ("predict frames --start soon", 2, "--start soon: 'soon' is no time"),
    ("predict frames --end 1:99", 2, "--end 1:99: '1:99' is no time"),
    ("predict frames --start 10 --end 5", 2, "--end must be later than --start, got 5 s and 10 s"),
    ("predict frames --start 10", 2, "--start needs films"),
    ("predict frames --quality 0", 2, "--quality 0: 0 is not in the range 1<=x<=100"),
    ("predict frames --quality best", 2, "--quality best: 'best' is not a valid int"),
    ("predict frames --still-format gif", 2, "--still-format gif: 'gif' is not one of 'jpg', 'png', 'webp'"),
    ("predict frames --events --stills pages --still-name '{nmber}'", 2, "without folders; got '{nmber}'"),
    ("predict frames --events --stills pages --still-name same", 2, "stills would all have one name: 'same' needs"),
    ("predict frames --events --stills pages --still-name '{number'", 2, "without folders; got '{number'"),
    ("predict frames --ocr deu", 2, "--ocr needs --pdf"),
    ("predict frames --events --page-mode bw", 2, "--page-mode needs --pages"),
    ("predict frames --events --still-name x", 2, "--still-name needs --stills or --pages"),
    ("predict frames --events --pages p --still-format png", 2, "--still-format needs --stills, without"),
    ("predict frames --events --quality 50", 2, "--quality needs --stills or --pages or --pdf"),
    ("predict frames --rate 5", 2, "--rate has a meaning for videos alone"),
    ("predict frames --stride 2", 2, "--stride has a meaning for videos alone"),
    ("predict frames --every-frame", 2, "--every-frame has a meaning for videos alone"),
    ("predict frames --hwaccel auto", 2, "--hwaccel has a meaning for videos alone"),
    ("predict frames --events --rate 5", 2, "--rate has a meaning for videos alone"),
    ("predict frames --fps 5", 2, "--fps is of pictures that are frames of films: add --events"),
    ("predict frames --end 5", 2, "--end needs films"),
    ("predict frames --pages pages", 2, "--pages needs films"),
    ("predict frames --report r.html", 2, "--report needs films"),
    ("predict --scores old.csv --rate 5", 2, "--rate has no meaning with --scores"),
    ("predict --scores old.csv --engine onnx", 2, "--engine has no meaning with --scores"),
    ("predict frames --pdf book.pdf", 2, "--pdf needs films"),
    ("predict frames --preview p.mp4", 2, "--preview needs films"),
    ("predict frames --one-film --preview p", 2, "a preview is written as .mp4 or .gif, got --preview p"),
    ("predict --from nowhere.csv", 2, "--from nowhere.csv: no such file"),
    ("predict --from old.csv", 2, "--from old.csv needs the predictions.csv of the same run"),
    ("predict --from old.csv --scores nowhere.csv", 2, "--scores nowhere.csv: no such file"),
    ("predict --from old.csv --scores old.csv", 1, "old.csv, row 1: there is no column 'start_s'"),
    ("predict frames --scores old.csv", 1, "old.csv, line 1: there is no column 'path', only 'a,b'"),
    ("predict frames --rate 1e9", 2, "--rate 1e9"),
    ("predict frames --rate nan", 2, "--rate nan: nan is no number"),
    ("predict frames --events --fps nan", 2, "--fps nan: nan is no number"),
    ("predict frames --fps inf", 2, "--fps inf"),
    ("predict frames --threshold nan", 2, "--threshold nan: nan is no number"),
    ("predict frames --stride 1.5", 2, "--stride 1.5: '1.5' is not a valid int"),
    ("predict frames --batch-size 100000", 2, "--batch-size 100000"),
    ("predict frames --model frames", 2, "the folder frames holds no best.ckpt"),
    ("predict frames --model", 2, "'--model' requires an argument"),
    ("predict frames --engine onnx --model nothing", 2, "--model nothing: no pretrained model is called 'nothing'"),
    ("predict frames --event-settings notes.txt", 2, "notes.txt: expected a table with keys among threshold"),
    ("predict frames --event-settings broken.yaml", 2, "event settings broken.yaml cannot be read"),
    ("predict frames --event-settings outside.yaml", 2, "outside.yaml: expected a table with keys among threshold"),
    ("predict notes.txt", 1, "notes.txt: it cannot be opened as a video"),
    ("predict frames nowhere", 2, "no file or folder nowhere"),
    ("serve --port 70000", 2, "--port 70000: 70000 is not in the range 0<=x<=65535"),
    ("serve --port http", 2, "--port http: 'http' is not a valid int"),
    ("serve --host 256.1.1.1", 2, "cannot listen on 256.1.1.1, port 8000"),
    ("serve --api-key short", 2, "an API key needs 8 characters at least, got 5; try: openssl rand"),
    ("serve --queue 3", 2, "--queue 3 is less than --max-pictures 64"),
    ("serve --queue 0", 2, "--queue 0"),
    ("serve --max-pictures 0", 2, "--max-pictures 0"),
    ("serve --max-jobs 0", 2, "--max-jobs 0"),
    ("serve --max-request-mb 0", 2, "--max-request-mb 0: 0.0 is not in the range x>=0.001"),
    ("serve --max-film-mb nan", 2, "--max-film-mb nan: nan is no number"),
    ("serve --timeout 0", 2, "--timeout 0: 0.0 is not in the range x>=0.1"),
    ("serve --job-timeout nan", 2, "--job-timeout nan: nan is no number"),
    ("serve --keep-days -1", 2, "--keep-days -1"),
    ("serve --grace -1", 2, "--grace -1"),
    ("serve --threshold 2", 2, "--threshold 2"),
    ("serve --model nothing", 2, "no pretrained model is called 'nothing'"),
    ("serve --jobs notes.txt", 1, "a part of the path is a file, not a folder: choose another path"),
    ("serve --engine tpu", 2, "--engine tpu"),
    ("serve --film 3", 2, "No such option: --film"),
    ("serve extra", 2, "unexpected extra argument(s) (extra)"),
    ("demo --port 70000", 2, "--port 70000"),
    ("demo --threshold nan", 2, "--threshold nan: nan is no number"),
    ("demo --page --model tiny_cnn", 2, "the page has models of its own; leave out --model"),
    ("demo --share", 2, "No such option: --share"),
    ("demo extra", 2, "unexpected extra argument(s) (extra)"),
    ("batch", 2, "Missing argument"),
    ("batch frames --workers 0", 2, "--workers 0: 0 is not in the range x>=1"),
    ("batch frames --format json", 2, "--format json: 'json' is not one of 'parquet', 'csv'"),
    ("batch frames --threshold nan", 2, "--threshold nan: nan is no number"),
    ("batch frames --device tpu", 2, "--device tpu: 'tpu' is not one of 'auto', 'cpu', 'cuda'"),
    ("batch frames --resume", 2, "No such option: --resume"),
    ("export --model tiny_cnn --output out.tflite --format onnx-portable", 2, "has to end in .onnx, got out.tflite"),
    ("register --report nowhere", 2, "--report nowhere: no such folder"),
    ("register --model nothing", 2, "--model nothing: no pretrained model"),
    ("demo --model nothing", 2, "--model nothing: no pretrained model"),
    ("batch frames --model nothing", 2, "--model nothing: no pretrained model"),
    ("batch nowhere", 2, "no file or folder nowhere"),
    ("register --store", 2, "'--store' requires an argument"),
    ("register --version 3", 2, "No such option: --version"),
    ("register extra", 2, "unexpected extra argument(s) (extra)"),
    ("configs extra", 2, "unexpected extra argument(s) (extra)"),
    ("configs --copy notes.txt/x", 1, "a part of the path is a file, not a folder: choose another path"),
    ("audit --data labelled --val-fraction 2", 2, "--val-fraction 2: 2.0 is not in the range 0<=x<=1"),
    ("audit --data labelled --test-fraction nan", 2, "--test-fraction nan: nan is no number"),
    ("audit --data labelled --workers 0", 2, "--workers 0"),
    ("audit --data labelled --group-by book", 2, "--group-by book: 'book' is not one of 'auto', 'video', 'source'"),
    ("audit --data labelled --manifest nowhere.csv", 2, "--manifest nowhere.csv: no such file"),
    ("audit --data labelled --manifest old.csv", 1, "old.csv has no column 'path'"),
    ("audit --data labelled --name-pattern '('", 2, "the name pattern '(' is no regular expression"),
    ("audit --data labelled --name-pattern x", 2, "the name pattern 'x' captures nothing"),
    ("audit --data labelled --one-film --name-pattern '(?P<video>x)'", 2, "lacks (?P<frame>...), which one_film needs"),
    ("audit --data notes.txt", 2, "--data notes.txt is a file; give a folder"),
    ("prepare labelled out --rate 0", 2, "the rate must be above 0 frames per second, got 0.0"),
    ("prepare labelled out --rate nan", 2, "--rate nan: nan is no number"),
    ("prepare labelled out --positive a --negative a", 2, "two different, non-empty class names are needed"),
    ("prepare labelled out --label 0=flip", 2, "--label needs --name-pattern"),
    ("prepare labelled out --name-pattern '(?P<label>.)' --label 0=shut", 2, "the class 'shut'; the classes are flip"),
    ("prepare labelled labelled", 2, "the target labelled and the source labelled overlap"),
    ("prepare labelled frames", 2, "the target frames is not empty"),
    ("prepare labelled notes.txt", 2, "the target notes.txt is a file; choose a folder"),
    ("prepare notes.txt out", 2, "notes.txt is neither a folder nor a zip or tar archive"),
    ("prepare empty out", 1, "no usable frames in empty"),
    ("render --output out --frames-per-clip 0", 2, "synth.frames_per_clip is 0; choose 1 to 12"),
    ("render --output out --height 4", 2, "synth.height is 4; choose 64 to 1920 pixels"),
    ("render --output out --aspect nan", 2, "--aspect nan: nan is no number"),
    ("render --output out --margin -1", 2, "synth.margin is -1.0; choose 0.16 to 0.6"),
    ("render --output out --seed -1", 2, "--seed -1"),
    ("render --output notes.txt", 1, "notes.txt is a file; choose a folder"),
    ("render --output labelled", 1, "labelled holds files that were not rendered here"),
    ("render --recording out --seconds 0", 2, "recording.seconds is 0.0; choose more than 1"),
    ("render --recording out --turns 1000 --seconds 10", 2, "recording.turns is 1000; choose at most 6 in 10 seconds"),
    ("render --recording out --fps inf", 2, "recording.fps is inf; choose more than 0 and at most 240"),
    ("render --recording out --visits -1", 2, "recording.visits is -1"),
    ("render --recording out --index -1", 2, "recording.index is -1; choose 0 to 9999"),
    ("render --sheet x.pdf", 2, "a contact sheet is written as .png, got x.pdf"),
    ("render --sheet x.png --count 0", 2, "--count 0"),
    ("evaluate --data labelled --model tiny_cnn --manifest nowhere.csv", 2, "--manifest nowhere.csv: no such file"),
    ("evaluate --data labelled --model tiny_cnn --by shape", 1, "no frame has a value of 'shape' to group by"),
    ("evaluate --data labelled --resamples -1", 2, "--resamples -1"),
    ("evaluate --data labelled --spot-check 0", 2, "--spot-check 0"),
    ("evaluate --data labelled --robustness hard", 2, "--robustness hard: 'hard' is not one of 'basic', 'full'"),
    ("evaluate --data labelled --split val --costs -1 1", 2, "got missed_flip -1.0"),
    ("evaluate --data labelled --split val --costs nan 1", 2, "got missed_flip nan"),
    ("evaluate --events nowhere.csv --truth old.csv", 2, "--events nowhere.csv: no such file"),
    ("evaluate --events old.csv --truth nowhere.csv", 2, "--truth nowhere.csv: no such file"),
    ("evaluate --events old.csv --truth old.csv", 1, "old.csv has no column start_s; its first line must name"),
    ("export --model tiny_cnn --output notes.txt/x.onnx", 1, "a part of the path is a file, not a folder"),
    ("export --model tiny_cnn --output out.pt", 2, "the file's name has to end in .onnx, got out.pt"),
    ("export --model notes.txt --output out.onnx", 1, "notes.txt is no checkpoint, or is damaged"),
    ("export --model old.csv --output out.onnx", 1, "old.csv is no checkpoint, or is damaged"),
    (
        "export --model tiny_cnn --output out.onnx --format onnx-int8 --data nowhere",
        2,
        "--data nowhere: no such folder",
    ),
    ("compare --config tiny_cnn --data nowhere", 2, "--data nowhere: no such folder"),
    ("compare --config tiny_cnn --data labelled --resamples 1", 2, "--resamples 1"),
    ("compare --config tiny_cnn --data labelled --override nonsense", 2, "an override is written KEY=VALUE"),
    ("compare --config tiny_cnn --data labelled --max-megabytes -1", 2, "--max-megabytes -1"),
    ("compare --config tiny_cnn --data labelled --margin nan", 2, "--margin nan: nan is no number"),
    ("cross-validate --config tiny_cnn --data labelled --group-by book", 2, "'book' is not one of 'source', 'video'"),
    ("cross-validate --config tiny_cnn --data labelled --override model.lr=fast", 2, "must be float, got 'fast'"),
    ("tune --config tiny_cnn --space broken.yaml --data labelled", 2, "broken.yaml cannot be read as YAML"),
    ("tune --config tiny_cnn --space notes.txt --data labelled", 2, "notes.txt must map names of values"),
    ("tune --config tiny_cnn --space tune/tiny_cnn --timeout -1 --data labelled", 2, "--timeout -1"),
    (f"{TRAIN} --data.batch_size 0", 2, "data.batch_size must be in [1, inf), got 0"),
    (f"{TRAIN} --data.num_workers -1", 2, "data.num_workers must be in [0, inf), got -1"),
    (f"{TRAIN} --data.val_fraction 1.5", 2, "data.val_fraction must be in (0, 1), got 1.5"),
    (f"{TRAIN} --data.preprocess.channels 2", 2, "preprocess.channels must be 1 (grey) or 3 (RGB), got 2"),
    (f"{TRAIN} --data.manifest nowhere.csv", 2, "data.manifest nowhere.csv: no such file"),
    (f"{TRAIN} --model.label_smoothing 2", 2, "model.label_smoothing must be in [0, 1), got 2"),
    (f"{TRAIN} --model.weights notes.txt", 1, "notes.txt must end in .safetensors"),
    (f"{TRAIN} --model os.system", 2, "the class os.system is of none of"),
    (f"{TRAIN} --trainer.accelerator tpux", 2, "invalid accelerator name: `accelerator='tpux'`"),
    (f"{TRAIN} --trainer.precision 3", 2, 'key "trainer.precision"'),
    (f"{TRAIN} --trainer.strategy ddpx", 2, "invalid strategy name: `strategy='ddpx'`"),
    (f"{TRAIN} --trainer.val_check_interval 0", 2, "trainer.val_check_interval must be in (0, 1] or whole [1, inf)"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wrong")
    write_frame(folder / "frames" / "1.jpg", page_frame(True, 1))
    make_monreader_set(folder / "labelled", videos=2, frames=2)
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("notes")
    (folder / "text.ckpt").write_text("notes")
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
    found = main(shlex.split(line))
    printed = capfd.readouterr()
    if "not installed: run pip install" in printed.err:
        pytest.skip(printed.err)
    assert found == status
    assert words in printed.err
    assert printed.err.startswith("error: ")
    assert len(printed.err.splitlines()) == 1
    assert not printed.out
    assert sorted(place.rglob("*")) == before


def test_names_that_other_packages_may_register_are_left_to_lightning() -> None:
    line = "--config tiny_cnn --trainer.strategy of_a_package --trainer.accelerator of_a_package"
    trainer = check_arguments(shlex.split(line)).settings["trainer"]
    assert trainer["strategy"] == trainer["accelerator"] == "of_a_package"


QUICK = """
import json, sys
from flipdetect.cli.check_config import check_arguments
from flipdetect.cli.main import main
status = main(sys.argv[1:])
print(json.dumps([status, sorted({name.split(".")[0] for name in sys.modules})]), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "line",
    [
        "--help", "train --help", "predict --help",
        "train --config tiny_cnn --data.rot x", "train --config tiny_cnn --data.root nowhere",
        "train --config tiny_cnn --model flipdetect.tasks.Foo", "compare --config tiny_cnn --override model.widht=4",
        "cross-validate --config tiny_cnn --override model.widht=4",
        "tune --config tiny_cnn --space absent.yaml --override model.widht=4",
        "export --model no --output out.onnx", "evaluate --data nowhere", "evaluate --data . --model no",
        "evaluate --data . --split val --split-file no.csv",
        "evaluate --events here.csv", "predict nowhere.mp4", "predict . --model no", "predict --scores no.csv",
    ],
)  # fmt: skip
def test_help_and_mistakes_import_nothing_heavy(line: str, tmp_path: Path) -> None:
    (tmp_path / "here.csv").touch()
    (tmp_path / "1.jpg").touch()
    (tmp_path / "text.ckpt").write_text("text")
    (tmp_path / "empty").mkdir()
    command = [sys.executable, "-c", QUICK, *line.split()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    status, modules = json.loads(done.stderr.splitlines()[-1])
    assert (status == 0) == ("--help" in line), done.stderr
    heavy = {"torch", "numpy", "cv2", "onnxruntime", "scipy", "matplotlib", "jsonargparse", "pytorch_lightning"}
    assert not heavy & set(modules)

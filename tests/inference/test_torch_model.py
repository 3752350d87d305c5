"""A checkpoint becomes a predictor: complete, equal to training, and refused if it is not ours."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from flipdetect.data.datamodule import FrameDataModule
from flipdetect.errors import ModelError
from flipdetect.inference.torch_model import load_torch_model
from flipdetect.models.weights import read_facts, read_tensors, write_packed
from flipdetect.zoo import pretrained_path


def test_bundle_knows_classes_preprocessing_and_threshold(trained: Path) -> None:
    bundle = load_torch_model(trained, "cpu")
    stored = torch.load(trained, weights_only=True)
    assert bundle.classes.names == ("notflip", "flip")
    assert (bundle.preprocess.height, bundle.preprocess.width) == (64, 36)
    assert bundle.threshold == stored["flipdetect"]["threshold"] == float(stored["state_dict"]["threshold"])
    assert bundle.temperature == stored["flipdetect"]["temperature"] == float(stored["state_dict"]["temperature"]) != 1
    assert not bundle.task.training


def test_a_model_from_before_temperatures_is_taken_as_it_is(trained: Path, tmp_path: Path) -> None:
    content = torch.load(trained, weights_only=True)
    del content["flipdetect"]["temperature"], content["state_dict"]["temperature"]
    torch.save(content, tmp_path / "old.ckpt")
    old, new = load_torch_model(tmp_path / "old.ckpt", "cpu"), load_torch_model(trained, "cpu")
    assert old.temperature == 1.0
    frames = np.random.default_rng(0).normal(size=(3, 3, 64, 36)).astype(np.float32)
    as_it_is, tempered = (np.log(p / (1 - p)) for p in (old.probabilities(frames), new.probabilities(frames)))
    np.testing.assert_allclose(as_it_is, tempered * new.temperature, rtol=1e-6)
    np.testing.assert_allclose(old.predict_with_maps(frames)[0], old.probabilities(frames), rtol=1e-12)


def test_input_and_score_equal_those_of_training_time_evaluation(trained: Path, monreader_set: Path) -> None:
    bundle = load_torch_model(trained, "cpu")
    data = FrameDataModule(
        root=str(monreader_set), preprocess=bundle.preprocess, batch_size=4, num_workers=0, cache_dir=None
    )
    data.setup("test")
    batch = next(iter(data.test_dataloader()))
    fresh = np.stack([bundle.preprocess.load(data.split.test[i].path) for i in batch["index"]])
    np.testing.assert_array_equal(fresh, batch["image"].numpy())
    with torch.no_grad():
        expected = (bundle.task(batch["image"]) / bundle.temperature).sigmoid()
    assert bundle.probabilities(fresh) == pytest.approx(expected.numpy(), abs=1e-6)


def test_absent_foreign_and_malicious_files_are_refused(tmp_path: Path) -> None:
    class Boom:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    with pytest.raises(ModelError, match="there is no checkpoint"):
        load_torch_model(tmp_path / "absent.ckpt")
    (tmp_path / "evil.ckpt").write_bytes(pickle.dumps({"flipdetect": Boom()}))
    torch.save({"flipdetect": Boom()}, tmp_path / "evil2.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    for name, words in (
        ("evil", "refused"),
        ("evil2", "refused"),
        ("foreign", "no checkpoint that"),
        ("text", "is no checkpoint"),
    ):
        with pytest.raises(ModelError, match=words):
            load_torch_model(tmp_path / f"{name}.ckpt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 99}, "version 99"),
        ({"task": "subprocess.Popen"}, "not known"),
        ({"task": "flipdetect.tasks.base.nothing"}, "not known"),
        ({"arguments": {"colour": 1}}, "damaged"),
        ({"classes": {"negative": "a", "positive": "a"}}, "cannot be used"),
        ({"preprocess": {"version": 7}}, "cannot be used"),
        ({"temperature": 0.0}, "temperature is 0"),
        ({"temperature": -1.0}, "temperature is -1"),
        ({"threshold": 2.0}, "threshold is 2.0"),  # situation F6
        ({"threshold": float("nan")}, "threshold is nan"),
    ],
)
def test_changed_checkpoints_are_refused(trained: Path, tmp_path: Path, change: dict, words: str) -> None:
    content = torch.load(trained, weights_only=True)
    content["flipdetect"].update(change)
    torch.save(content, tmp_path / "changed.ckpt")
    with pytest.raises(ModelError, match=words):
        load_torch_model(tmp_path / "changed.ckpt")


def test_a_model_of_nan_is_refused(trained: Path, tmp_path: Path) -> None:
    """Case 04 and situation F6: it would say `notflip` of everything."""
    content = torch.load(trained, weights_only=True)
    for tensor in content["state_dict"].values():
        if tensor.is_floating_point() and tensor.ndim == 4:
            tensor[0] = float("nan")
    torch.save(content, tmp_path / "diverged.ckpt")
    with pytest.raises(ModelError, match=r"no numbers \(NaN\)"):
        load_torch_model(tmp_path / "diverged.ckpt")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_absent_gpu_is_an_error(trained: Path) -> None:
    with pytest.raises(ModelError, match="--device cpu"):
        load_torch_model(trained, "cuda")


def test_foreign_incomplete_and_damaged_safetensors_are_refused(tmp_path: Path) -> None:
    whole = pretrained_path("tiny_cnn")
    tensors, facts = read_tensors(whole), read_facts(whole)
    assert facts is not None
    save_file(tensors, tmp_path / "foreign.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(whole.read_bytes()[:-100])
    (tmp_path / "text.safetensors").write_text("hello")
    save_file(tensors, tmp_path / "mangled.safetensors", metadata={"flipdetect": "{"})
    write_packed(tmp_path / "other.safetensors", {"weight": tensors["model.evidence.head.weight"]}, facts)
    write_packed(tmp_path / "without.safetensors", tensors, {"version": facts["version"]})
    for name, words in (
        ("absent", "there is no checkpoint"),
        ("foreign", "nothing of flipdetect"),
        ("cut", "not a readable"),
        ("text", "not a readable"),
        ("mangled", "damaged"),
        ("other", "damaged"),
        ("without", "damaged"),
    ):
        with pytest.raises(ModelError, match=words):
            load_torch_model(tmp_path / f"{name}.safetensors")

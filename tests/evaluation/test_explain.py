"""What raises the logit: found where it is, whatever the logit is made of, and the model is left as it was."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import MissingExtraError
from flipdetect.evaluation.explain import explain, layer_to_look_at
from flipdetect.inference.torch_model import TorchModel, load_torch_model
from flipdetect.models.tiny_cnn import TinyCNN
from flipdetect.outputs.plots.frames import heat_over
from flipdetect.records import ClassNames
from flipdetect.tasks import TinyCNNClassifier

pytest.importorskip("pytorch_grad_cam")


def bundle_of(evidence: str) -> TorchModel:
    torch.manual_seed(0)
    task = TinyCNNClassifier(width=4, evidence=evidence, mirrored=True).eval()  # type: ignore[arg-type]
    task.setup("predict")
    return TorchModel(
        task=task,
        classes=ClassNames(),
        preprocess=PreprocessSpec(64, 36),
        threshold=0.5,
        naming=None,
        path=Path("best.ckpt"),
    )


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    picture = np.full((128, 72, 3), 90, np.uint8)
    picture[8:40, 40:64] = (250, 240, 200)
    cv2.imwrite(str(tmp_path / "0001_1.png"), picture)
    return tmp_path / "0001_1.png"


@pytest.mark.parametrize("evidence", ["none", "maps", "both"])
def test_any_model_is_explained_and_left_as_it_was(evidence: str, frame: Path) -> None:
    bundle = bundle_of(evidence)
    state = {name: each.clone() for name, each in bundle.task.state_dict().items()}
    before = bundle.probabilities(bundle.preprocess.load(frame)[np.newaxis])
    (found,) = explain(bundle, [frame])
    assert found.frame.shape == (64, 36, 3)
    assert found.heat.shape == (64, 36)
    assert found.heat.dtype == np.float32
    assert 0 <= found.heat.min() <= found.heat.max() <= 1
    assert (found.maps is None) == (evidence == "none")
    assert bundle.task.model.mirrored
    assert all(each.requires_grad for each in bundle.task.model.parameters())
    assert all(each.grad is None for each in bundle.task.model.parameters())
    assert all(torch.equal(each, state[name]) for name, each in bundle.task.state_dict().items())
    np.testing.assert_array_equal(bundle.probabilities(bundle.preprocess.load(frame)[np.newaxis]), before)


def test_heat_lies_where_the_evidence_is(frame: Path) -> None:
    """A model whose logit is the area of its sheet map, and whose sheet map is brightness."""
    bundle = bundle_of("maps")
    branch = bundle.task.model.evidence
    assert branch is not None
    taken: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        branch.maps.weight[0] = 1.0
        branch.head.weight[:] = torch.tensor([[0.0, 0.0, 1.0, 0.0]])
    hook = branch.norm.register_forward_hook(lambda _m, _i, output: taken.update(features=output.detach()))
    (found,) = explain(bundle, [frame])
    hook.remove()
    strongest = torch.relu(taken["features"]).sum(dim=1)[0].numpy()
    expected = cv2.resize(strongest, (36, 64))
    correlation = np.corrcoef(expected.ravel(), found.heat.ravel())[0, 1]
    assert correlation > 0.6


def test_the_layer_has_places() -> None:
    assert layer_to_look_at(TinyCNN(width=4, evidence="maps")) is not None
    layer = layer_to_look_at(TinyCNN(width=4, evidence="none"))
    assert isinstance(layer, torch.nn.Conv2d)


def test_without_the_library_the_remedy_is_named(frame: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pytorch_grad_cam", None)
    with pytest.raises(MissingExtraError, match=r"flipdetect\[explain\]"):
        explain(bundle_of("none"), [frame])


def test_a_trained_checkpoint(trained: Path, frame: Path) -> None:
    bundle = load_torch_model(trained, "cpu")
    (found,) = explain(replace(bundle), [frame])
    picture = heat_over(found.frame, found.heat)
    assert picture.shape == found.frame.shape
    np.testing.assert_array_equal(heat_over(found.frame, np.zeros_like(found.heat)), found.frame)
    assert (picture != found.frame).any() == (found.heat.max() > 0.15)

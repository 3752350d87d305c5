"""What all classifiers share: loss, threshold, settings."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from flipdetect.errors import ModelError
from flipdetect.models.evidence_maps import Evidence
from flipdetect.tasks import MobileNetV2Classifier, TimmClassifier, TinyCNNClassifier


def tiny(**settings) -> TinyCNNClassifier:
    return TinyCNNClassifier(width=4, **settings)


def test_one_logit_per_frame() -> None:
    logits = tiny(channels_last=True)(torch.rand(3, 3, 64, 36))
    assert logits.shape == (3,)
    assert logits.dtype == torch.float32


def test_loss_is_weighted_and_smoothed_cross_entropy() -> None:
    logits, targets = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0])
    plain = F.binary_cross_entropy_with_logits(logits, targets)
    assert tiny().loss(logits, targets) == pytest.approx(plain.item())
    positive, negative = (-F.logsigmoid(logits[0]), -F.logsigmoid(-logits[1]))
    weighted = tiny(positive_weight=3.0).loss(logits, targets)
    assert weighted == pytest.approx(((3 * positive + negative) / 2).item())
    smoothed = tiny(label_smoothing=0.2).loss(logits, targets)
    expected = F.binary_cross_entropy_with_logits(logits, torch.tensor([0.9, 0.1]))
    assert smoothed == pytest.approx(expected.item())


def test_threshold_travels_in_the_state_dict() -> None:
    task = tiny()
    task.threshold.fill_(0.123456789)
    other = tiny()
    other.load_state_dict(task.state_dict())
    assert other.threshold.item() == 0.123456789


def test_hyperparameters_rebuild_the_task() -> None:
    task = MobileNetV2Classifier(in_channels=1, dropout=0.3, lr=2e-4, threshold_costs={"missed_flip": 5.0})
    again = MobileNetV2Classifier(**task.hparams)
    again.load_state_dict(task.state_dict())
    assert dict(again.hparams) == dict(task.hparams)


def test_training_can_start_from_another_runs_weights(trained: Path) -> None:
    stored = torch.load(trained, weights_only=True)["state_dict"]
    task = TinyCNNClassifier(weights=str(trained), evidence="maps")
    for name, value in task.model.state_dict().items():
        torch.testing.assert_close(value, stored[f"model.{name}"])


def test_any_timm_backbone_can_be_named() -> None:
    task = TimmClassifier(name="lcnet_050", in_channels=1)
    assert task.eval()(torch.rand(2, 1, 64, 36)).shape == (2,)
    with pytest.raises(ModelError, match="no_such_net"):
        TimmClassifier(name="no_such_net")


@pytest.mark.parametrize("evidence", ["maps", "none"])
def test_a_mirrored_classifier_judges_a_frame_and_its_mirror_image_alike(evidence: Evidence) -> None:
    torch.manual_seed(0)
    task = tiny(evidence=evidence, mirrored=True).eval()
    plain = tiny(evidence=evidence).eval()
    plain.load_state_dict(task.state_dict())
    for each in (task, plain):
        each.setup("predict")
    frames = torch.randn(3, 3, 64, 48)
    torch.testing.assert_close(task(frames), (plain(frames) + plain(frames.flip(-1))) / 2)
    torch.testing.assert_close(task(frames), task(frames.flip(-1)))
    if evidence == "maps":
        logits, maps = task.forward_maps(frames)
        torch.testing.assert_close(logits, task(frames))
        own, mirror = plain.forward_maps(frames)[1], plain.forward_maps(frames.flip(-1))[1].flip(-1)
        torch.testing.assert_close(maps, (own + mirror) / 2)
    assert task.train()(frames).shape == (3,)

"""Clips: what the part that looks along time makes of frames."""

import pytest
import torch

from flipdetect.errors import ModelError
from flipdetect.models import SequenceHead, TinyCNN
from flipdetect.models.sequence import even_light, look_at_frames, neighbour_differences

CHANNELS = 24


def seen(frames: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    shapes = ((frames,), (frames, 3, 6, 4), (frames, CHANNELS, 3, 2))
    logits, maps, coarse = (torch.randn(shape, generator=rng) for shape in shapes)
    return logits, maps, coarse


def trained_head(**settings) -> SequenceHead:
    """A head as after some training: all of its weights play a part."""
    torch.manual_seed(0)
    head = SequenceHead(CHANNELS, **settings).eval()
    for layer in (head.frame_head, head.clip_head):
        torch.nn.init.normal_(layer.weight, std=0.5)
    return head


BOTH = pytest.mark.parametrize("temporal", ["tcn", "gru"])


@BOTH
@pytest.mark.parametrize("motion", [True, False])
def test_a_logit_per_clip_and_per_frame_whatever_the_lengths(temporal: str, motion: bool) -> None:
    head = trained_head(temporal=temporal, motion=motion)
    images = torch.randn(2, 5, 3, 48, 32)
    present = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    logits, frame_logits = head(images, present, seen(7))
    assert (logits.shape, frame_logits.shape) == ((2,), (2, 5))
    assert not frame_logits[1, 2:].any()
    assert logits.isfinite().all()


@BOTH
def test_padding_and_the_other_clips_of_a_batch_change_nothing(temporal: str) -> None:
    head = trained_head(temporal=temporal)
    images = torch.randn(2, 5, 3, 48, 32)
    present = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    logits, maps, coarse = seen(7)
    together = head(images, present, (logits, maps, coarse))
    alone = head(images[1:, :2], present[1:, :2], (logits[5:], maps[5:], coarse[5:]))
    torch.testing.assert_close(together[0][1:], alone[0])
    torch.testing.assert_close(together[1][1:, :2], alone[1])


@BOTH
def test_a_head_starts_as_a_soft_maximum_of_the_frame_model(temporal: str) -> None:
    head = SequenceHead(CHANNELS, temporal=temporal).eval()
    frames = seen(4)
    clip, per_frame = head(torch.randn(1, 4, 3, 48, 32), torch.ones(1, 4, dtype=torch.bool), frames)
    torch.testing.assert_close(per_frame[0], frames[0])
    assert frames[0].mean() < clip[0] < frames[0].max()


def test_the_order_of_frames_counts() -> None:
    head = trained_head(motion=False)
    logits, maps, coarse = seen(4)
    present = torch.ones(1, 4, dtype=torch.bool)
    images = torch.zeros(1, 4, 3, 48, 32)
    order = torch.tensor([2, 0, 3, 1])
    straight = head(images, present, (logits, maps, coarse))[0]
    mixed = head(images[:, order], present, (logits[order], maps[order], coarse[order]))[0]
    assert not torch.isclose(straight, mixed)


def test_motion_is_seen_by_the_motion_branch_alone() -> None:
    still = torch.randn(1, 1, 3, 48, 32).expand(1, 4, 3, 48, 32)
    moving = torch.stack([still[:, i].roll(6 * i, dims=3) for i in range(4)], dim=1)
    present, frames = torch.ones(1, 4, dtype=torch.bool), seen(4)
    for motion in (True, False):
        head = trained_head(motion=motion)
        same = torch.isclose(head(still, present, frames)[0], head(moving, present, frames)[0])
        assert bool(same) != motion


def test_differences_are_of_neighbours_that_are_there() -> None:
    values = torch.tensor([1.0, 4.0, 9.0, 0.0]).reshape(1, 4, 1, 1, 1)
    present = torch.tensor([[True, True, True, False]])
    found = neighbour_differences(values, present)[0, :, :, 0, 0]
    assert found[:3].tolist() == [[0, 3], [3, 5], [5, 0]]


def test_light_that_changes_is_no_motion() -> None:
    rng = torch.Generator().manual_seed(0)
    scene = torch.nn.functional.avg_pool2d(torch.randn(1, 3, 96, 64, generator=rng), 9, stride=1, padding=4) * 5
    brighter = even_light(1.4 * scene + 0.5)
    shifted = even_light(scene.roll(8, dims=3))
    still = even_light(scene)
    assert still.shape == (1, 1, 24, 16)
    assert (brighter - still).abs().mean() < 0.3 * (shifted - still).abs().mean()


def test_it_is_small_and_fits_the_frame_model() -> None:
    model = TinyCNN(evidence="maps").eval()
    head = SequenceHead(model.level_channels[-1])
    assert sum(parameter.numel() for parameter in head.parameters()) < 200_000
    images = torch.randn(1, 3, 3, 50, 30)  # sides that no stride divides
    logits, _ = head(images, torch.ones(1, 3, dtype=torch.bool), look_at_frames(model, images[0]))
    assert logits.shape == (1,)


@pytest.mark.parametrize("wrong", [{"temporal": "lstm"}, {"hidden": 7}, {"dropout": 1.0}])
def test_settings_that_cannot_work_are_refused(wrong: dict) -> None:
    with pytest.raises(ModelError, match=next(iter(wrong))):
        SequenceHead(CHANNELS, **wrong)
    with pytest.raises(ModelError, match="no maps"):
        look_at_frames(TinyCNN(evidence="none"), torch.rand(1, 3, 32, 32))

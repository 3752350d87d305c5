"""Maps are learnt where there are some, and pictures of them lie over the right places."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from flipdetect.outputs.plots.frames import OPACITY, maps_over
from tests.rendered_sets import make_rendered_set

Train = Callable[..., int]


def logged(version: int = 0) -> EventAccumulator:
    return EventAccumulator(str(Path("logs") / "tiny_cnn" / f"version_{version}")).Reload()


def test_maps_of_a_rendered_set_are_learnt(train: Train, tmp_path: Path) -> None:
    root = make_rendered_set(tmp_path / "set")
    assert train("tiny_cnn.yaml", "--data.pairs=true", "--trainer.max_epochs=3", root=root) == 0
    log = logged()
    losses = {tag: [event.value for event in log.Scalars(tag)] for tag in ("train_map_loss", "train_rank_loss")}
    assert losses["train_map_loss"][-1] < losses["train_map_loss"][0]
    assert len(losses["train_rank_loss"]) == 3


@pytest.mark.parametrize("override", ["--model.evidence=none", "--model.evidence=both"])
def test_without_maps_none_are_learnt(train: Train, tmp_path: Path, override: str) -> None:
    root = make_rendered_set(tmp_path / "set", masks=override.endswith("none"))
    assert train("tiny_cnn.yaml", override, root=root) == 0
    assert "train_map_loss" not in logged().Tags()["scalars"]


@pytest.mark.parametrize(("rows", "columns"), [(3, 3), (3, 2), (2, 2)])
def test_a_map_lies_over_its_own_cells(rows: int, columns: int) -> None:
    frame = np.full((24, 20, 3), 100, np.uint8)
    maps = np.zeros((3, rows, columns), np.float32)
    maps[0, 1, 0] = 1
    maps[2, 0, 1] = 0.5
    picture = maps_over(frame, maps)
    cell = -(-24 // rows)
    assert picture.shape == frame.shape
    assert picture[cell + 1, 1].tolist() == [round(100 * (1 - OPACITY) + 255 * OPACITY)] + 2 * [
        round(100 * (1 - OPACITY))
    ]
    assert picture[1, cell + 1, 2] == round(100 * (1 - OPACITY / 2) + 255 * OPACITY / 2)
    assert (picture[1, 1] == 100).all()
    assert maps_over(frame[:, :, :1], maps).shape == frame.shape

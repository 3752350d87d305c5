"""A configuration trains on shards as on the folder that they were made of."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rendered_sets import make_rendered_set
from tests.scripts.test_scripts import script


@pytest.mark.slow
def test_shards_train_as_well_as_their_folder(train: Callable[..., int], tmp_path: Path) -> None:
    root = make_rendered_set(tmp_path / "rendered", books=12, frames=3)
    shards = tmp_path / "shards"
    assert script("make_shards")(["--folder-path", str(root), "--output", str(shards), "--shard-frames", "16"]) == 0
    same = ["--trainer.max_epochs=3", "--data.augment=null", "--model.lr=0.003", "--data.pairs=false"]
    assert train("tiny_cnn.yaml", *same, root=root) == 0
    assert train("tiny_cnn.yaml", *same, f"--data.shards={shards}", root=tmp_path / "absent") == 0
    folder, streamed = (
        json.loads(Path(f"logs/tiny_cnn/version_{version}/metrics.json").read_text()) for version in (0, 1)
    )
    for name in ("val_loss", "test_loss"):
        assert streamed[name] == pytest.approx(folder[name], abs=0.15), name
    splits = [Path(f"logs/tiny_cnn/version_{version}/splits.csv").read_text() for version in (0, 1)]
    assert sorted(splits[0].splitlines()) == sorted(splits[1].splitlines())
    assert Path("logs/tiny_cnn/version_1/test_mistakes.png").exists()

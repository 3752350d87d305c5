"""Where runs lie, and which one is meant."""

import os
from pathlib import Path

from flipdetect.runs import best_checkpoints, run_to_resume, version_for


def make_run(folder: Path, version: int, *files: str) -> Path:
    run = folder / f"version_{version}"
    run.mkdir(parents=True)
    for name in files:
        (run / name).touch()
    return run


def test_versions_count_up_numerically_from_zero(tmp_path: Path) -> None:
    assert version_for(tmp_path / "absent", None) == 0
    for version in (2, 9, 10):
        make_run(tmp_path, version)
    (tmp_path / "version_x").mkdir()
    (tmp_path / "version_99").touch()
    assert version_for(tmp_path, None) == 11


def test_the_best_of_each_run_is_found_the_one_written_last_first(tmp_path: Path) -> None:
    older = make_run(tmp_path / "a", 5, "best.ckpt") / "best.ckpt"
    newer = make_run(tmp_path / "b", 0, "best.ckpt") / "best.ckpt"
    os.utime(older, (1, 1))
    os.utime(newer, (2, 2))
    make_run(tmp_path / "b", 1, "last.ckpt")
    assert best_checkpoints(tmp_path) == [newer, older]
    assert best_checkpoints(tmp_path / "c") == []


def test_last_means_the_newest_run_that_has_one(tmp_path: Path) -> None:
    make_run(tmp_path, 2, "last.ckpt")
    make_run(tmp_path, 10, "last.ckpt")
    make_run(tmp_path, 11)
    found = run_to_resume(tmp_path, "last")
    assert found == str(tmp_path / "version_10" / "last.ckpt")
    assert version_for(tmp_path, found) == 10
    assert run_to_resume(tmp_path, None) is None
    assert version_for(tmp_path, None) == 12


def test_resuming_a_foreign_checkpoint_makes_a_new_run(tmp_path: Path) -> None:
    foreign = make_run(tmp_path / "other", 3, "last.ckpt") / "last.ckpt"
    assert version_for(tmp_path / "mine", run_to_resume(tmp_path / "mine", str(foreign))) == 0

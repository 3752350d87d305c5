"""Whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from flipdetect.atomic import explained, replacing, write_csv, write_text


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.txt"
    with replacing(target) as part:
        part.write_text("half")
        assert not target.exists()
    assert target.read_text() == "half"
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    write_text(target, "old")

    def interrupted() -> None:
        with replacing(target) as part:
            part.write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_names_in_a_table_that_are_not_utf8_survive(tmp_path: Path) -> None:
    write_csv(tmp_path / "table.csv", ["path"], [[os.fsdecode(b"caf\xe9.jpg")]])
    assert (tmp_path / "table.csv").read_bytes() == b"path\ncaf\xe9.jpg\n"


def test_errors_of_disk_and_permissions_name_the_file_that_was_meant() -> None:
    denied = PermissionError(errno.EACCES, "", "out/.predictions.csv.part.123.part")
    assert str(explained(denied)).startswith("out/predictions.csv: permission denied; ")
    assert explained(FileNotFoundError(errno.ENOENT, "", "x")) is None
    assert explained(OSError("no space")) is None

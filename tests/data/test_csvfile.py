import os

import pytest

from flipdetect.data.csvfile import write_csv


def test_an_interruption_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    write_csv(path, ["a"], [[1]])

    def rows():
        yield [2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_csv(path, ["a"], rows())
    assert path.read_text() == "a\n1\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.csv"]


def test_names_that_are_not_utf8_survive(tmp_path):
    write_csv(tmp_path / "table.csv", ["path"], [[os.fsdecode(b"caf\xe9.jpg")]])
    assert (tmp_path / "table.csv").read_bytes() == b"path\ncaf\xe9.jpg\n"

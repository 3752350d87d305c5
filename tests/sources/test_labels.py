import pickle

import pytest

from flipdetect.errors import DataError
from flipdetect.sources.labels import read_manifest


def write(folder, text, name="labels.csv", encoding="utf-8"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding=encoding)
    return path


def test_all_columns_and_extra_ones(tmp_path):
    path = write(tmp_path, "label,path,note,frame,video,source\nflip,a/1.jpg,hello,7,v1,A\nnotflip,b.jpg,,,,\n")
    first, second = read_manifest(path)[0]
    assert (first.path, first.relative, first.line) == (tmp_path / "a/1.jpg", "a/1.jpg", 2)
    assert (first.label, first.video, first.frame, first.source) == ("flip", "v1", 7, "A")
    assert (second.label, second.video, second.frame, second.source) == ("notflip", None, None, None)
    assert (first.extra, second.extra) == ({"note": "hello"}, {"note": ""})


def test_a_byte_order_mark_and_windows_line_ends_and_paths(tmp_path):
    path = write(tmp_path, "Path, Label\r\na\\1.jpg,flip\r\n\r\n", encoding="utf-8-sig")
    rows, problems = read_manifest(path)
    assert [row.relative for row in rows] == ["a/1.jpg"]
    assert not problems


def test_bad_rows_are_reported_with_their_line(tmp_path):
    path = write(tmp_path, "path,label,frame\n,flip,1\na.jpg,,1\nb.jpg,flip,1.5\nc.jpg,flip,1\n")
    rows, problems = read_manifest(path)
    assert [row.path.name for row in rows] == ["c.jpg"]
    assert [problem.reason.split(":")[0] for problem in problems] == [
        "line 2 of labels.csv",
        "line 3 of labels.csv",
        "line 4 of labels.csv",
    ]


@pytest.mark.parametrize("escape", ["../secret.jpg", "/etc/secret.jpg", "a/../../secret.jpg", "..\\secret.jpg"])
def test_paths_out_of_the_folder_are_refused(tmp_path, escape):
    path = write(tmp_path / "set", f"path,label\n{escape},flip\n")
    rows, problems = read_manifest(path)
    assert not rows
    assert "leads out of" in problems[0].reason


def test_a_given_root_widens_what_is_allowed(tmp_path):
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "1.jpg").touch()
    rows = f"../frames/1.jpg,flip\n{tmp_path}/frames/1.jpg,flip\nframes/1.jpg,flip\n../../1.jpg,flip\n"
    path = write(tmp_path / "lists", "path,label\n" + rows)
    rows, problems = read_manifest(path, tmp_path)
    assert [row.path for row in rows] == [tmp_path / "frames/1.jpg"] * 3
    assert {row.relative for row in rows} == {"frames/1.jpg"}
    assert [problem.reason[:6] for problem in problems] == ["line 5"]


def test_inner_dots_that_stay_inside_are_fine(tmp_path):
    path = write(tmp_path, "path,label\na/../b.jpg,flip\n")
    assert read_manifest(path)[0][0].relative == "b.jpg"


@pytest.mark.parametrize("text", ["", "pfad;klasse\n"])
def test_a_file_without_the_columns_is_refused(tmp_path, text):
    with pytest.raises(DataError, match="no column 'path'"):
        read_manifest(write(tmp_path, text))


def test_an_absent_manifest_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_manifest(tmp_path / "absent.csv")


def test_further_columns_are_as_a_dictionary_but_smaller(tmp_path):
    text = "path,label,a,b\n1.jpg,flip,x\x1fy,2\n2.jpg,flip,,\n"
    first, second = (row.extra for row in read_manifest(write(tmp_path, text))[0])
    assert dict(first) == {"a": "x y", "b": "2"}
    assert (second.get("b"), second.get("absent"), len(second), "a" in second) == ("", None, 2, True)
    with pytest.raises(KeyError):
        first["absent"]
    assert pickle.loads(pickle.dumps(first)) == first

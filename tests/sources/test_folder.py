import os

import pytest

from flipdetect.errors import ConfigError, DataError
from flipdetect.sources.folder import find_files, find_inputs, walk_files


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(root):
    return [path.relative_to(root).as_posix() for path in find_files(root).files]


def test_natural_order_at_every_level(tmp_path):
    touch(tmp_path, "clip10/f1.jpg", "clip2/f10.jpg", "clip2/f9.jpg", "b.jpg", "clip2/deep/f1.jpg")
    expected = ["b.jpg", "clip2/f9.jpg", "clip2/f10.jpg", "clip2/deep/f1.jpg", "clip10/f1.jpg"]
    assert found(tmp_path) == expected


def test_natural_order_whether_or_not_digits_stand_at_the_same_places(tmp_path):
    same, other = ["a_09.jpg", "a_10.jpg", "a_11.jpg"], ["b_9.jpg", "b_10.jpg", "c_2.jpg"]
    touch(tmp_path, *(f"same/{name}" for name in same), *(f"other/{name}" for name in other))
    assert found(tmp_path) == [f"other/{name}" for name in other] + [f"same/{name}" for name in same]
    folders, problems = walk_files(tmp_path)
    assert [(each.folder.rsplit(os.sep, 1)[-1], each.names) for each in folders] == [
        ("other", tuple(other)),
        ("same", tuple(same)),
    ]
    assert not problems


def test_only_images_in_any_case_and_no_junk(tmp_path):
    touch(tmp_path, "a.JPG", "b.jpeg", "c.Png", "d.webp", "e.BMP", "f.gif", "notes.txt", "jpg")
    touch(tmp_path, ".hidden.jpg", "._a.jpg", ".cache/x.jpg", "__MACOSX/a.jpg", "Thumbs.db")
    assert found(tmp_path) == ["a.JPG", "b.jpeg", "c.Png", "d.webp", "e.BMP"]


def test_a_folder_called_like_an_image_is_a_folder(tmp_path):
    touch(tmp_path, "x.jpg/inner.jpg")
    assert found(tmp_path) == ["x.jpg/inner.jpg"]


def test_link_loops_end_and_nothing_is_found_twice(tmp_path):
    touch(tmp_path, "b/a.jpg")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "a_link").symlink_to(tmp_path / "b")
    assert found(tmp_path) == ["b/a.jpg"]


def test_what_is_no_regular_file_is_reported(tmp_path):
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    result = find_files(tmp_path)
    assert not result.files
    reasons = {problem.path.name: problem.reason for problem in result.problems}
    assert reasons == {"gone.jpg": "is a link to nothing", "pipe.jpg": "is not a regular file"}


def test_an_unreadable_folder_is_reported_and_the_rest_is_found(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    scan = os.scandir

    def refuse(folder):
        if str(folder).endswith("a"):
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    result = find_files(tmp_path)
    assert [path.name for path in result.files] == ["2.jpg"]
    assert result.problems[0].path == tmp_path / "a"
    assert "Permission denied" in result.problems[0].reason


def test_the_root_must_be_a_folder(tmp_path):
    touch(tmp_path, "a.jpg")
    with pytest.raises(DataError, match="does not exist"):
        find_files(tmp_path / "absent")
    with pytest.raises(DataError, match="is a file"):
        find_files(tmp_path / "a.jpg")


def test_files_folders_and_patterns_in_natural_order(tmp_path):
    for name in ("clip10.mp4", "clip2.MP4", "clip1.mkv", "notes.txt", "deep/clip3.mov", ".hidden.mp4", "a[1].mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def names(where):
        return [path.relative_to(tmp_path).as_posix() for path in find_inputs([where]).videos]

    assert names(tmp_path) == ["a[1].mp4", "clip1.mkv", "clip2.MP4", "clip10.mp4", "deep/clip3.mov"]
    assert names(str(tmp_path / "clip*")) == ["clip1.mkv", "clip2.MP4", "clip10.mp4"]
    assert names(str(tmp_path / "**" / "clip?.m*")) == ["clip1.mkv", "deep/clip3.mov"]
    assert names(tmp_path / "a[1].mp4") == ["a[1].mp4"]
    assert names(str(tmp_path / "d*")) == ["deep/clip3.mov"]
    for absent in ("none.mp4", "none*.mp4"):
        with pytest.raises(ConfigError, match="none"):
            find_inputs([tmp_path / absent])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no frames"):
        find_inputs([tmp_path / "empty"])

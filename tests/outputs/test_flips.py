"""Turns and spreads as CSV and JSON: the text, its schema, and complaints."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from flipdetect.errors import DataError
from flipdetect.outputs.flips import write_flips_csv, write_flips_json
from flipdetect.records import Still, VideoResult
from tests.outputs.made_up import made_up_result

RESULT = made_up_result()
DOUBT = "may show the pages of spread 2"
RESULT = replace(
    RESULT, stills=tuple(replace(still, doubt=DOUBT if still.spread == 3 else "") for still in RESULT.stills)
)
PATHS = {("book", 2): "stills/002_00m07.50s.jpg", ("book", 3): "stills/003_00m12.50s.jpg"}
GOLDEN_CSV = (
    "video,event,kind,start_frame,peak_frame,end_frame,start_s,peak_s,end_s,duration_s,mean_probability,"
    "peak_probability,still,still_time_s,still_quality,still_flaw,still_doubt,rotate\n"
    "book,1,turn,46,50,54,4.600000,5.000000,5.400000,0.800000,0.750000,0.980000,"
    "stills/002_00m07.50s.jpg,7.500000,0.400000,a hand covers the page,,\n"
    "book,2,turn,96,100,104,9.600000,10.000000,10.400000,0.800000,0.750000,0.980000,"
    "stills/003_00m12.50s.jpg,12.500000,0.920000,,may show the pages of spread 2,\n"
    "book,3,turn,146,150,154,14.600000,15.000000,15.400000,0.800000,0.750000,0.980000,,17.700000,0.920000,,,\n"
)


def schema() -> dict[str, Any]:
    text = resources.files("flipdetect.outputs").joinpath("flips.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def written(folder: Path, results: list[VideoResult]) -> dict[str, Any]:
    write_flips_json(folder / "flips.json", results, PATHS)
    document: dict[str, Any] = json.loads((folder / "flips.json").read_text(encoding="utf-8"))
    return document


def test_golden_csv(tmp_path: Path) -> None:
    write_flips_csv(tmp_path / "flips.csv", [RESULT], PATHS)
    assert (tmp_path / "flips.csv").read_text(encoding="utf-8") == GOLDEN_CSV


def test_without_stills_frames_and_turns_cells_are_empty(tmp_path: Path) -> None:
    events = tuple(replace(event, start_frame=None, peak_frame=None, end_frame=None) for event in RESULT.events[:1])
    write_flips_csv(tmp_path / "flips.csv", [replace(RESULT, events=events, stills=()), replace(RESULT, events=())])
    lines = (tmp_path / "flips.csv").read_text(encoding="utf-8").splitlines()
    assert lines[1:] == ["book,1,turn,,,,4.600000,5.000000,5.400000,0.800000,0.750000,0.980000,,,,,,"]


def test_golden_json(tmp_path: Path) -> None:
    (video,) = written(tmp_path, [replace(RESULT, problems=("frame 7 is damaged",), complete=False)])["videos"]
    assert {name: value for name, value in video.items() if name not in ("events", "spreads")} == {
        "video": "book",
        "source": "films/book.mp4",
        "duration_s": 20.0,
        "frames": 201,
        "model": "tiny_cnn",
        "threshold": 0.5,
        "complete": False,
        "decoding": "",
        "doubtful": 1,
        "problems": ["frame 7 is damaged"],
        "numbering": [],
    }
    assert video["events"][0] == {
        "event": 1, "kind": "turn", "start_frame": 46, "peak_frame": 50, "end_frame": 54, "start_s": 4.6,
        "peak_s": 5.0, "end_s": 5.4, "mean_probability": 0.75, "peak_probability": 0.98,
    }  # fmt: skip
    assert video["spreads"][2] == {
        "spread": 3, "start_s": 10.4, "end_s": 14.6, "time_s": 12.5, "frame": 125, "quality": 0.92, "flaw": "",
        "same_as": 1, "doubt": DOUBT, "file": "stills/003_00m12.50s.jpg",
        "measured": {
            "sharpness": 120.5, "exposure": 0.97, "coverage": 0.1, "motion": 0.002, "fingerprint": "0000000000000003",
        },
        "rotate": 0, "page_numbers": [], "pages": [],
    }  # fmt: skip
    assert video["spreads"][3]["file"] is None


AWKWARD = [
    replace(RESULT, threshold=None, model="", stills=(Still(1, "book", 0.0, 4.0, None, None, None, "no frame"),)),
    replace(made_up_result('本 "x"\n<b>'), events=(), stills=(), frames=0, duration_s=0.0, complete=False),
    replace(made_up_result(b"caf\xe9".decode("utf-8", "surrogateescape")), problems=("a", "b")),
]


def test_the_file_is_as_its_schema_says(tmp_path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    validator = jsonschema.Draft202012Validator(schema())
    document = written(tmp_path, [RESULT, *AWKWARD])
    validator.validate(document)
    document["videos"][0]["events"][0]["start_s"] = "4.6"
    assert not validator.is_valid(document)


def test_the_schema_describes_every_field_that_is_written(tmp_path: Path) -> None:
    parts = schema()["$defs"]
    (video,) = written(tmp_path, [RESULT])["videos"]
    for fields, part in (
        (video, parts["video"]),
        (video["events"][0], parts["event"]),
        (video["spreads"][0], parts["spread"]),
        (video["spreads"][0]["measured"], parts["spread"]["properties"]["measured"]),
    ):
        assert list(fields) == part["required"] == list(part["properties"])


def test_files_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for write in (write_flips_csv, write_flips_json):
        with pytest.raises(DataError, match=r"cannot be written: .*a part of the path is a file"):
            write(tmp_path / "file" / "flips", [RESULT])
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_flips_json(tmp_path / "flips.json", [replace(RESULT, duration_s=float("nan"))])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

"""Damaged films: bytes changed and cut, starts without a key frame, odd stamps, turned pictures; predictions."""

import csv
import os
import struct
from fractions import Fraction
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.stream import Disposition

from flipdetect.cli.main import main
from flipdetect.errors import FrameError
from flipdetect.sources.video import open_video
from flipdetect.sources.video_decoder import estimated_length
from flipdetect.sources.video_seek import frame_at
from tests.faults import frames
from tests.faults.runner import REFUSED, SURVIVED, Fault, check_words
from tests.inference.exported import write_exported
from tests.sources.films import SIZE, add_sound, number_of, numbered, write

COUNT = 24
OPTIONS = {
    "libx264": {"preset": "ultrafast", "g": "8"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:frame-threads=1:keyint=8"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "g": "8"},
    "mjpeg": {},
}
KINDS = [
    *((suffix, "libx264") for suffix in (".mp4", ".mkv", ".avi", ".ts")),
    *((suffix, "libx265") for suffix in (".mp4", ".mkv", ".ts")),
    *((suffix, "libvpx-vp9") for suffix in (".mp4", ".mkv", ".webm")),
    *((suffix, "mjpeg") for suffix in (".mp4", ".mkv", ".avi")),
]


def film(path: Path, codec: str, stamps: list[int] | None = None) -> Path:
    """A film whose frames say their number, 25 a second."""
    count, unit = len(stamps or range(COUNT)), 25 if path.suffix == ".avi" else 1000
    form = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    options = OPTIONS[codec]
    pictures = [numbered(number) for number in range(count)]
    return write(path, pictures, codec=codec, pix_fmt=form, options=options, unit=unit, stamps=stamps)


@cache
def original(suffix: str, codec: str) -> bytes:
    with TemporaryDirectory() as folder:
        return film(Path(folder) / f"film{suffix}", codec).read_bytes()


def watched(path: Path, data: bytes | None = None) -> tuple[list[float], list[np.ndarray]]:
    """Times and pictures of a film, both none if it is refused; some of them looked for again by their time."""
    if data is not None:
        path.write_bytes(data)
    times, pictures = [], []
    try:
        estimated_length(path)
        with open_video(path, min_size=(48, 64)) as video:
            for frame in video:
                assert not times or frame.time_s > times[-1], (frame.time_s, times[-1])
                assert np.isfinite(frame.time_s), frame.time_s
                assert frame.image.dtype == np.uint8, frame.image.dtype
                assert frame.image.shape[2:] == (3,), frame.image.shape
                times.append(frame.time_s)
                pictures.append(frame.image)
                assert len(times) < 20 * COUNT, "frames without end"
            assert isinstance(video.lost, str)
    except FrameError as error:
        check_words(error, path)
        return [], []
    try:
        for found in frame_at(path, [max(time, 0) for time in times[:: max(1, len(times) // 3)]]):
            assert np.isfinite(found.time_s), found.time_s
    except FrameError as error:
        check_words(error, path)
    return times, pictures


def outcome(times: list[float]) -> str:
    return SURVIVED if times else REFUSED


def changed(rng: Random, data: bytes) -> bytes:
    """Bytes changed, set to 0 or 255, left out, put in, twice, or moved; often near the start or the end."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16, 64))):
        size = len(made)
        place = rng.choice(
            (rng.randrange(size), rng.randrange(min(size, 600)), size - 1 - rng.randrange(min(size, 900)))
        )
        length = rng.choice((1, 1, 2, 4, 8, 188, 1000))
        what = rng.randrange(8)
        if what < 4:
            made[place] = rng.randrange(256) if what < 3 else made[place] ^ 1 << rng.randrange(8)
        elif what == 4:
            made[place : place + length] = bytes([rng.choice((0, 255))]) * len(made[place : place + length])
        elif what == 5 and size > 2000:
            del made[place : place + length]
        elif what == 6:
            made[place:place] = rng.randbytes(length)
        else:
            made[place:place] = made[(other := rng.randrange(size)) : other + length]
    return bytes(made)


def mutated(rng: Random, number: int, place: Path) -> str:
    suffix, codec = KINDS[number % len(KINDS)]
    return outcome(watched(place / f"film{suffix}", changed(rng, original(suffix, codec)))[0])


def cut(rng: Random, number: int, place: Path) -> str:
    """What is left of a film that was cut short shows what it showed."""
    suffix, codec = KINDS[number // 100]
    data = original(suffix, codec)
    whole, _ = watched(place / f"whole{suffix}", data)
    times, pictures = watched(place / f"film{suffix}", data[: len(data) * (number % 100) // 100])
    for time, picture in list(zip(times, pictures, strict=True))[:-1]:  # of the last one a part may be concealed
        assert abs(whole[number_of(picture)] - time) < 0.002, (number_of(picture), time, whole)
    return outcome(times)


def headless(rng: Random, number: int, place: Path) -> str:
    """A start without a key frame: a recording that was joined midway."""
    suffix, codec = ((".ts", "libx264"), (".ts", "libx265"))[number % 2]
    data = original(suffix, codec)
    head = data.index(b"G", 188) if number % 4 < 2 else 188 * 3
    start = head + 188 * rng.randrange((len(data) - head) // 188 // 2)
    times, pictures = watched(place / f"film{suffix}", data[: 188 * 3] * (number % 8 < 4) + data[start:])
    numbers = [number_of(picture) for picture in pictures]
    assert numbers == list(range(COUNT - len(numbers), COUNT)), numbers
    return outcome(times)


def joined(rng: Random, number: int, place: Path) -> str:
    """Films of different sizes, one after the other in a file: every frame is there, with its own pixels."""
    data = original(".ts", "libx264")
    size = (rng.randrange(48, 208, 16), rng.randrange(64, 208, 16))  # its bars stay clear
    other = write(place / "other.ts", [numbered(n, size) for n in range(12)], options=OPTIONS["libx264"])
    times, pictures = watched(place / "film.ts", data + other.read_bytes())
    numbers = [number_of(picture) for picture in pictures]
    assert numbers == [*range(COUNT), *range(12)], numbers
    return outcome(times)


def stamps(rng: Random, number: int, place: Path) -> str:
    """Stamps that pause for years, begin late or run over: every frame is there, in order, and found again."""
    suffix, codec = ((".mp4", "libx264"), (".mkv", "libvpx-vp9"), (".ts", "libx264"))[number % 3]
    late = rng.choice((0, 0, 40, 5000, 95_443_717 - rng.randrange(600)))  # 2**33 units of MPEG-TS, in ms
    longest = 10 ** rng.choice((1, 3, 5, 7 if suffix != ".ts" else 4))
    gaps = [
        rng.choice((1 if suffix != ".ts" else 2, 33, 40, 40, 40, rng.randint(2, longest + 2))) for _ in range(COUNT)
    ]
    times, pictures = watched(film(place / f"film{suffix}", codec, [late + sum(gaps[:n]) for n in range(COUNT)]))
    assert [number_of(picture) for picture in pictures] == list(range(COUNT)), ([number_of(p) for p in pictures], gaps)
    again = [number_of(found.image) for found in frame_at(place / f"film{suffix}", times)]
    assert again == list(range(COUNT)), (again, times, gaps, late)
    return outcome(times)


def stamp_table(rng: Random, number: int, place: Path) -> str:
    """Durations of an MP4 replaced by others: 0, a millisecond, years, negative."""
    data = bytearray(original(".mp4", "libx264"))
    if number % 2:  # no edit list, which trims what it does not name
        data = data.replace(b"edts", b"free")
    begin = data.index(b"stts") + 8
    entries = struct.unpack_from(">I", data, begin)[0]
    for entry in range(entries):
        wrong = rng.choice((0, 1, 40, rng.randrange(2**16), 2**31 - 1, 2**31, 2**32 - 1, rng.randrange(2**32)))
        struct.pack_into(">I", data, begin + 8 + 8 * entry, wrong)
    times, pictures = watched(place / "film.mp4", bytes(data))
    numbers = [number_of(picture) for picture in pictures]
    assert numbers == list(range(COUNT if number % 2 else len(numbers))), numbers
    return outcome(times)


TURNS = {0: (1, 0, 0, 1), 1: (0, 1, -1, 0), 2: (-1, 0, 0, -1), 3: (0, -1, 1, 0)}


def turned(rng: Random, number: int, place: Path) -> str:
    """The rotation that a phone writes; and matrices that are none."""
    data = bytearray(original(".mp4", "libx264"))
    begin = data.index(b"tkhd") + 44
    a, b, c, d = TURNS[number % 4] if number % 8 < 4 else [rng.choice((0, 1, -1, rng.randint(-9, 9))) for _ in range(4)]
    struct.pack_into(">9i", data, begin, a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    times, pictures = watched(place / "film.mp4", bytes(data))
    if number % 8 < 4:
        upright = [np.rot90(picture, number % 4) for picture in pictures]  # quarters clockwise, undone
        assert [number_of(picture) for picture in upright] == list(range(COUNT))
    assert len(times) == COUNT
    return outcome(times)


def no_pictures(rng: Random, number: int, place: Path) -> str:
    """Sound alone, bytes alone, text, zeros: refused."""
    suffix = rng.choice((".mp4", ".mkv", ".ts", ".avi", ".webm", ".mov"))
    path = place / f"film{suffix}"
    if number % 4 == 0:
        with av.open(str(path), "w", format="matroska" if suffix == ".webm" else None) as container:
            add_sound(container, container.add_stream("aac", rate=8000, layout="mono"), 1)
        data = path.read_bytes()
    else:
        lists = (b"#EXTM3U\n/etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n", b"<MPD></MPD>")
        data = (rng.randbytes(rng.randrange(1, 9000)), bytes(rng.randrange(1, 9000)), rng.choice(lists))[number % 4 - 1]
    times, _ = watched(path, data)
    assert not times, "pictures from nothing"
    return REFUSED


def several_streams(rng: Random, number: int, place: Path) -> str:
    """Two films in a file, sound, a cover picture, pictures that begin late: all frames of one film, at their times."""
    path = place / f"film{(suffix := ('.mp4', '.mkv', '.ts', '.mov')[number % 4])}"
    films = [0, 100][: rng.choice((1, 2))]
    sounds, cover, late_s = rng.randrange(3), suffix != ".ts" and rng.random() < 0.5, rng.choice((0, 0.4, 3.0))
    if number % 8 == 7:  # music with a cover
        films, sounds, cover = [], 1, True
    order = rng.sample([*films, *["sound"] * sounds, *["cover"] * cover], len(films) + sounds + cover)
    with av.open(str(path), "w") as container:
        if cover and suffix == ".mkv":
            container.add_attachment("cover.png", "image/png", frames.original("plain.png", frames.LARGE)[0])
        made = [(what, _add_stream(container, what)) for what in order if (what, suffix) != ("cover", ".mkv")]
        for what, stream in made:
            if what == "sound":
                add_sound(container, stream, 1)
                continue
            for count in range(1 if what == "cover" else COUNT):
                image = frames.picture(frames.LARGE) if what == "cover" else numbered(count + what)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts = 0 if what == "cover" else round(1000 * late_s) + 40 * count
                frame.time_base = Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    times, pictures = watched(path)
    if not films:
        assert not times, "pictures from a cover"
        return REFUSED
    numbers = [number_of(picture) for picture in pictures]
    assert numbers in [list(range(first, first + COUNT)) for first in films], (numbers, order, late_s)
    begin = late_s if sounds else 0
    assert abs(times[0] - begin) < 0.2, (times[0], order, late_s)  # sound begins a little before 0
    again = [number_of(found.image) for found in frame_at(path, times)]
    assert again == numbers, (again, numbers, order, late_s)
    return outcome(times)


def _add_stream(container: OutputContainer, what: object) -> Any:
    if what == "sound":
        return container.add_stream("aac", rate=8000, layout="mono")
    stream = container.add_stream("png" if what == "cover" else "libx264", rate=25)
    stream.height, stream.width = frames.LARGE if what == "cover" else SIZE
    stream.pix_fmt = "rgb24" if what == "cover" else "yuv420p"
    stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
    if what == "cover":
        stream.disposition = Disposition.attached_pic
    else:
        stream.options = OPTIONS["libx264"]
    return stream


def odd_files(rng: Random, number: int, place: Path) -> str:
    """Films under every odd name, and what is no regular file."""
    raw = frames.NAMES[number % len(frames.NAMES)]
    suffix, codec = KINDS[number // len(frames.NAMES) % len(KINDS)]
    path = Path(os.fsdecode(os.fsencode(place) + b"/" + raw + suffix.encode()))
    if number % 3 == 0:
        os.mkfifo(path)
    elif number % 3 == 1:
        path.symlink_to(rng.choice(("/dev/zero", "/dev/null", "nowhere", path.name, "/proc/self/mem")))
    else:
        times, _ = watched(path, original(suffix, codec))
        assert len(times) in (0, COUNT), len(times)
        assert times or b"\xff" in raw, "refused for its name"
        return outcome(times)
    assert not watched(path)[0], "pictures from nothing"
    return REFUSED


def predicted(rng: Random, number: int, place: Path) -> str:
    """One prediction over damaged films and frames with odd names: whole ones have their rows, each under its name."""
    model = write_exported(place / "model.onnx")
    inputs = place / "in"
    inputs.mkdir()
    whole = set()
    for count in range(12):
        suffix, codec = rng.choice(KINDS)
        path = Path(
            os.fsdecode(os.fsencode(inputs) + b"/%d " % count + rng.choice(frames.NAMES)[:200] + suffix.encode())
        )
        path.write_bytes(original(suffix, codec) if count % 3 == 0 else changed(rng, original(suffix, codec)))
        picture = path.with_suffix(".jpg")
        kind = frames.original("baseline.jpg", frames.SMALL)[0]
        picture.write_bytes(kind if count % 3 else frames.damaged(rng, kind))
        whole |= {path.name} if count % 3 == 0 and "\udcff" not in path.name else set()
        whole |= {picture.name} if count % 3 else set()
    out = place / "out" / "predictions.csv"
    status = main(
        ["predict", str(inputs), "--model", str(model), "--output", str(out), "--device", "cpu", "--stride", "1"]
    )
    assert status in (0, 1), status
    rows: dict[str, list[dict[str, str]]] = {}
    with out.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        for row in csv.DictReader(file):
            rows.setdefault(Path(row["path"].removeprefix("'")).name, []).append(row)
    for name in whole:
        found = rows.get(name, [])
        assert len(found) == (1 if name.endswith(".jpg") else COUNT), (name, len(found), sorted(rows))
        assert all(0 <= float(row["probability"]) <= 1 for row in found), name
    return SURVIVED


FAULTS = [
    Fault("bytes of a film changed", mutated, 2600, 130),
    Fault("film cut at every 1%", cut, 100 * len(KINDS), 52),
    Fault("film without a key frame at its start", headless, 160, 16),
    Fault("films joined, with another size", joined, 40, 4),
    Fault("stamps of a film", stamps, 150, 15),
    Fault("table of durations", stamp_table, 150, 15),
    Fault("turned films", turned, 64, 8),
    Fault("several streams, covers, a late start", several_streams, 160, 16),
    Fault("no pictures", no_pictures, 80, 12),
    Fault("names and kinds of film files", odd_files, len(frames.NAMES) * len(KINDS), 24),
    Fault("predictions on damaged files", predicted, 40, 2, warm=True),
]

"""Frames: several samples in time and over the pixel, averaged as a sensor does, then developed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.errors import ConfigError, DataError
from flipdetect.synth.compose import draw_sample, set_stage
from flipdetect.synth.config import FRAME_RATE, SynthConfig
from flipdetect.synth.develop import develop
from flipdetect.synth.scene import sample_source
from flipdetect.synth.script import CLASSES, Clip, displacements, frame_numbers, sample_clip, sheet_at
from flipdetect.synth.surface import Picture

NOISE_STREAM = 7

FEW_SAMPLES, MANY_SAMPLES = 6, 18
SAMPLE_STEP = 1.6
"""Pixels (of a 384 px frame) that a sheet or hand may move from sample to sample before the samples show as
separate ghosts."""

STRIP_FRAMES = 12
GOLDEN = (0.7548776662466927, 0.5698402909980532)
"""Steps of the R2 sequence (Roberts, 2018): sub-pixel places that cover the pixel evenly at any count."""


@dataclass(frozen=True)
class FrameTruth:
    """What is known of a frame without looking at it.

    Attributes:
        label: "flip" or "notflip": what the frame itself shows.
        phase: share of the turn done, 0 to 1; nan in a clip without a turn.
        displacement: distance of the top sheet's free edge from where it lay, in page widths of the picture.
        source: "book-000" and so on: what must not stand on two sides of a split.
        video: "flip/0001" and so on: label of the clip and video id.
        frame: number within the clip, from 1, at 30 frames per second.
    """

    label: str
    phase: float
    displacement: float
    source: str
    video: str
    frame: int

    @property
    def path(self) -> str:
        """Where the frame belongs in a data set: flip/0001_000000010.jpg."""
        return f"{self.video}_{self.frame:09d}.jpg"


@dataclass(frozen=True)
class RenderedFrame:
    """A frame and the truth about it.

    Attributes:
        image: (H, W, 3) uint8 RGB, before JPEG.
        truth: about the frame.
        quality: of the JPEG file that the phone writes.
    """

    image: NDArray[np.uint8]
    truth: FrameTruth
    quality: int


def frame_truth(config: SynthConfig, clip_index: int, frame_index: int) -> FrameTruth:
    """The truth about one frame of the data set, without rendering it.

    Args:
        config: of the data set.
        clip_index: 0 to config.clips - 1.
        frame_index: 0 to config.frames_per_clip - 1.

    Raises:
        ConfigError: if the data set has no such clip or frame.
    """
    clip, number = _frame_of(config, clip_index, frame_index)
    return _truth(config, clip, (number - 1) / FRAME_RATE, number)


def render_frame(config: SynthConfig, clip_index: int, frame_index: int) -> RenderedFrame:
    """One frame of the data set, the same whether others were rendered before it or not.

    Args:
        config: of the data set.
        clip_index: 0 to config.clips - 1.
        frame_index: 0 to config.frames_per_clip - 1.

    Raises:
        ConfigError: if the data set has no such clip or frame.
    """
    clip, number = _frame_of(config, clip_index, frame_index)
    return _render(config, clip, (number - 1) / FRAME_RATE, number)


def render_clip(config: SynthConfig, clip_index: int, times: Sequence[float] | None = None) -> list[RenderedFrame]:
    """A clip in order, from before the turn until after it.

    Frames of a flip clip are labelled by what they show, so its first and last are "notflip".

    Args:
        config: of the data set.
        clip_index: 0 to config.clips - 1; even clips are flips.
        times: shares of the clip's duration, 0 to 1; twelve evenly spaced ones if None.

    Raises:
        ConfigError: if the data set has no such clip, or a time is outside 0 to 1.
    """
    _check_index(config.clips, "clip_index", clip_index)
    chosen = np.linspace(0, 1, STRIP_FRAMES).tolist() if times is None else list(times)
    if any(not 0 <= share <= 1 for share in chosen):
        raise ConfigError(f"times {chosen} of a clip must be shares of its duration; choose values from 0 to 1")
    clip = sample_clip(config, clip_index)
    seconds = [share * clip.duration for share in chosen]
    return [_render(config, clip, time, round(time * FRAME_RATE) + 1) for time in seconds]


def encode_frame(frame: RenderedFrame) -> bytes:
    """The frame as the JPEG file that a data set holds.

    Raises:
        DataError: if OpenCV cannot encode JPEG.
    """
    flags = [cv2.IMWRITE_JPEG_QUALITY, frame.quality]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR), flags)
    if not done:
        raise DataError(f"{frame.truth.path} could not be encoded; install an OpenCV that writes JPEG")
    return bytes(data.tobytes())


def _render(config: SynthConfig, clip: Clip, time: float, number: int) -> RenderedFrame:
    phone = sample_source(config, clip.source).phone
    light = _expose(config, clip, time) * np.float32(clip.exposure)
    # Milliseconds tell the frames of a dense clip apart as well as those of the data set.
    image = develop(light, phone, config.stream(NOISE_STREAM, clip.index, round(time * 1000)))
    return RenderedFrame(image, _truth(config, clip, time, number), phone.quality)


def _truth(config: SynthConfig, clip: Clip, time: float, number: int) -> FrameTruth:
    source = sample_source(config, clip.source)
    away = displacements(source, clip.camera, clip.style, np.array([clip.progress(time)]))[0]
    moving = clip.is_flip and clip.shows_motion(away)
    return FrameTruth(
        label=CLASSES.positive if moving else CLASSES.negative,
        phase=clip.phase(time) if clip.is_flip else float("nan"),
        displacement=float(away[0 if clip.to_left else 1]),
        source=f"book-{clip.source:03d}",
        video=clip.video,
        frame=number,
    )


def _expose(config: SynthConfig, clip: Clip, time: float) -> Picture:
    """Mean (H, W, 3) of the samples taken while the shutter is open."""
    stage = set_stage(config, clip)
    count = int(np.clip(np.ceil(_fastest(config, clip, time) / SAMPLE_STEP), FEW_SAMPLES, MANY_SAMPLES))
    total = np.zeros((config.height, config.width, 3), np.float32)
    for index in range(count):
        moment = time + clip.shutter * ((index + 0.5) / count - 0.5)
        jitter = ((index * GOLDEN[0]) % 1 - 0.5, (index * GOLDEN[1]) % 1 - 0.5)
        total += draw_sample(stage, moment, jitter, index)
    return total / np.float32(count)


def _fastest(config: SynthConfig, clip: Clip, time: float) -> float:
    """Pixels of a 384 px frame that the sheet's edge or a hand crosses while the shutter is open."""
    source = sample_source(config, clip.source)
    ends = []
    for moment in (time - clip.shutter / 2, time + clip.shutter / 2):
        sheet = sheet_at(source, clip.style, clip.imagined_progress(moment))
        grip, corner = sheet.edge_point(clip.grip_y), sheet.edge_point(clip.style.side * 0.49 * source.book.height)
        points = [grip, corner, *(hand.anchor(moment, clip.turn, grip) for hand in clip.hands)]
        ends.append(clip.camera.project(np.array(points)))
    return float(np.linalg.norm(ends[1] - ends[0], axis=1).max()) * 384 / config.height


def _frame_of(config: SynthConfig, clip_index: int, frame_index: int) -> tuple[Clip, int]:
    """The clip and the frame number of a frame of the data set."""
    _check_index(config.clips, "clip_index", clip_index)
    _check_index(config.frames_per_clip, "frame_index", frame_index)
    return sample_clip(config, clip_index), frame_numbers(config, clip_index)[frame_index]


def _check_index(count: int, name: str, index: int) -> None:
    if not 0 <= index < count:
        raise ConfigError(f"{name} is {index}; choose 0 to {count - 1}")

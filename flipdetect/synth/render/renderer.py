"""Frames: several samples in time and over the pixel, averaged as a sensor does, then developed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.errors import ConfigError, DataError
from flipdetect.synth.camera import develop
from flipdetect.synth.clip import Clip, sheet_at
from flipdetect.synth.config import FRAME_RATE, SynthConfig
from flipdetect.synth.render.compose import draw_sample, open_shutter, set_stage
from flipdetect.synth.scenario import frame_numbers, sample_clip
from flipdetect.synth.scene.scene import sample_source
from flipdetect.synth.truth.frame_truth import FrameTruth, clip_truth
from flipdetect.synth.truth.maps import draw_map

NOISE_STREAM = 7

FEW_SAMPLES, MANY_SAMPLES = 4, 18
SAMPLE_STEP = 1.6
"""Pixels (of a 384 px frame) that a sheet or hand may move from sample to sample before the samples show as
separate ghosts."""

STRIP_FRAMES = 12
GOLDEN = (0.7548776662466927, 0.5698402909980532)
"""Steps of the R2 sequence (Roberts, 2018): sub-pixel places that cover the pixel evenly at any count. With their mean
in the pixel's middle, four are closer to the mean of 72 than six were that began in its corner."""


@dataclass(frozen=True)
class RenderedFrame:
    """A frame and the truth about it.

    Attributes:
        image: (H, W, 3) uint8 RGB, before JPEG.
    """

    image: NDArray[np.uint8]
    quality: int
    truth: FrameTruth


def frame_truth(config: SynthConfig, clip_index: int, frame_index: int) -> FrameTruth:
    """The truth about one frame of the data set, without rendering it; see `render_frame`."""
    clip, number = _frame_of(config, clip_index, frame_index)
    return clip_truth(config, clip, (number - 1) / FRAME_RATE, number)


def frame_map(config: SynthConfig, clip_index: int, frame_index: int) -> NDArray[np.uint8]:
    """The map (h, w, 3) uint8 of one frame of the data set, as `maps.draw_map` draws it; see `render_frame`."""
    clip, number = _frame_of(config, clip_index, frame_index)
    return draw_map(config, clip, (number - 1) / FRAME_RATE)


def render_frame(config: SynthConfig, clip_index: int, frame_index: int) -> RenderedFrame:
    """One frame of the data set, the same whether others were rendered before it or not.

    Args:
        clip_index: 0 to config.clips - 1; even clips are flips.
        frame_index: 0 to config.frames_per_clip - 1.

    Raises:
        ConfigError: if the data set has no such clip or frame.
    """
    clip, number = _frame_of(config, clip_index, frame_index)
    time = (number - 1) / FRAME_RATE
    return RenderedFrame(*expose_clip(config, clip, time), truth=clip_truth(config, clip, time, number))


def render_clip(config: SynthConfig, clip_index: int, times: Sequence[float] | None = None) -> list[RenderedFrame]:
    """A clip in order, from before the turn until after it.

    Frames of a flip clip are labelled by what they show, so its first and last are "notflip".

    Args:
        clip_index: 0 to config.clips - 1; even clips are flips.
        times: shares of the clip's duration, 0 to 1; twelve evenly spaced ones if None.

    Raises:
        ConfigError: if the data set has no such clip, or a time is outside 0 to 1.
    """
    clip, _ = _frame_of(config, clip_index, 0)
    chosen = np.linspace(0, 1, STRIP_FRAMES).tolist() if times is None else list(times)
    if any(not 0 <= share <= 1 for share in chosen):
        raise ConfigError(f"times {chosen} of a clip must be shares of its duration; choose values from 0 to 1")
    frames = []
    for time in (share * clip.duration for share in chosen):
        truth = clip_truth(config, clip, time, round(time * FRAME_RATE) + 1)
        frames.append(RenderedFrame(*expose_clip(config, clip, time), truth=truth))
    return frames


def _frame_of(config: SynthConfig, clip_index: int, frame_index: int) -> tuple[Clip, int]:
    """The clip and the frame number of a frame of the data set."""
    places = (("clip_index", clip_index, config.clips), ("frame_index", frame_index, config.frames_per_clip))
    for name, index, count in places:
        if not 0 <= index < count:
            raise ConfigError(f"{name} is {index}; choose 0 to {count - 1}")
    return sample_clip(config, clip_index), frame_numbers(config, clip_index)[frame_index]


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


def expose_clip(config: SynthConfig, clip: Clip, time: float) -> tuple[NDArray[np.uint8], int]:
    """A clip's picture (H, W, 3) uint8 RGB at `time` seconds, and the quality of its JPEG file.

    It is the mean of samples taken while the shutter is open: more of them the farther things move in that time.
    """
    source, stage = sample_source(config, clip.source), set_stage(config, clip)
    ends = []
    for moment in (time - clip.capture.shutter / 2, time + clip.capture.shutter / 2):
        sheet = sheet_at(source, clip.style, clip.imagined_progress(moment))
        grip, corner = sheet.edge_point(clip.grip_y), sheet.edge_point(clip.style.side * 0.49 * source.book.height)
        points = [grip, corner, *(hand.anchor(moment, clip.turn, grip) for hand in clip.hands)]
        ends.append(clip.capture.camera.project(np.array(points)))
    fastest = float(np.linalg.norm(ends[1] - ends[0], axis=1).max()) * 384 / config.height
    count = int(np.clip(np.ceil(fastest / SAMPLE_STEP), FEW_SAMPLES, MANY_SAMPLES))
    places = np.outer(np.arange(count), GOLDEN) % 1
    places -= places.mean(axis=0)
    exposure = open_shutter(stage, time)
    total = np.zeros((stage.size[1], stage.size[0], 3), np.float32)
    for index, (x, y) in enumerate(places.tolist()):
        moment = time + clip.capture.shutter * ((index + 0.5) / count - 0.5)
        total += draw_sample(exposure, moment, (x, y), index)
    total *= clip.capture.brightness(time) / count
    phone = replace(source.phone, defocus=float(np.hypot(source.phone.defocus, clip.capture.blur(time))))
    # Milliseconds distinguish the frames of a dense clip as well as those of the data set.
    image = develop(total, phone, config.stream(NOISE_STREAM, clip.index, round(time * 1000)))
    return image, phone.quality

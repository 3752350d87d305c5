"""The embedded data set: rendered clips of a book whose page is being turned, or not; and long recordings.

Nothing but the moving sheet reveals the label: both classes share books, desks, light, phones, people, and the
chances of everything that hands do. No torch is needed.
"""

from flipdetect.synth.config import RENDER_VERSION, RecordingConfig, SynthConfig
from flipdetect.synth.output_folder import RenderReport
from flipdetect.synth.recording import (
    RecordingTruth,
    TurnEvent,
    recording_events,
    recording_map,
    recording_truth,
    render_recording_frame,
)
from flipdetect.synth.render.renderer import RenderedFrame, encode_frame, frame_truth, render_clip, render_frame
from flipdetect.synth.truth.frame_truth import FrameTruth
from flipdetect.synth.truth.silhouette import Box
from flipdetect.synth.writers import is_current, render_dataset, render_recording, sample_frames

__all__ = [
    "RENDER_VERSION",
    "Box",
    "FrameTruth",
    "RecordingConfig",
    "RecordingTruth",
    "RenderReport",
    "RenderedFrame",
    "SynthConfig",
    "TurnEvent",
    "encode_frame",
    "frame_truth",
    "is_current",
    "recording_events",
    "recording_map",
    "recording_truth",
    "render_clip",
    "render_dataset",
    "render_frame",
    "render_recording",
    "render_recording_frame",
    "sample_frames",
]

"""The embedded data set: rendered clips of a book whose page is being turned, or not.

Nothing but the moving sheet tells the label: both classes share books, desks, light, phones, people, and the
chances of everything that hands do. No torch is needed.
"""

from flipdetect.synth.config import RENDER_VERSION, SynthConfig
from flipdetect.synth.contact import contact_sheet
from flipdetect.synth.dataset import RenderReport, is_current, render_dataset
from flipdetect.synth.render import (
    FrameTruth,
    RenderedFrame,
    encode_frame,
    frame_truth,
    render_clip,
    render_frame,
)

__all__ = [
    "RENDER_VERSION",
    "FrameTruth",
    "RenderReport",
    "RenderedFrame",
    "SynthConfig",
    "contact_sheet",
    "encode_frame",
    "frame_truth",
    "is_current",
    "render_clip",
    "render_dataset",
    "render_frame",
]

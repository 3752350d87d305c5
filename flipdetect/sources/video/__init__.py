"""Frames of videos with exact times, by FFmpeg through PyAV.

`open_video` reads from the first frame to the last, `frame_at` reads single frames, `estimated_frames` the header.
Times are seconds from the start of playback, as a player shows them.
"""

from flipdetect.sources.video.container import estimated_frames
from flipdetect.sources.video.reader import VideoReader, open_video
from flipdetect.sources.video.seek import frame_at
from flipdetect.sources.video.timestamps import VideoFrame

__all__ = [
    "VideoFrame",
    "VideoReader",
    "estimated_frames",
    "frame_at",
    "open_video",
]

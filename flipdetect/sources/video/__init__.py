"""Frames of videos with exact times, by FFmpeg through PyAV.

`open_video` reads from the first frame to the last, `frame_at` picks single frames, `probe_video` looks at the
header. Times are seconds from the start of playback, as a player shows them.
"""

from flipdetect.sources.video.container import VideoInfo, probe_video
from flipdetect.sources.video.reader import VideoReader, open_video
from flipdetect.sources.video.seek import frame_at
from flipdetect.sources.video.timestamps import VideoFrame

__all__ = [
    "VideoFrame",
    "VideoInfo",
    "VideoReader",
    "frame_at",
    "open_video",
    "probe_video",
]

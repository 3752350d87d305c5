"""Times as people read them."""

from __future__ import annotations


def clock(seconds: float, decimals: int = 0) -> str:
    """`m:ss`, or `h:mm:ss` from an hour on, with as many decimals of the second; `0:07`, `12:05.25`, `1:02:03`."""
    unit = 10**decimals
    ticks = round(abs(seconds) * unit)
    whole, part = divmod(ticks, unit)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    sign = "-" if seconds < 0 and ticks else ""
    return sign + text + (f".{part:0{decimals}d}" if decimals else "")

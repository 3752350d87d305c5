"""Which frame of each spread of a book to keep: measured frame by frame, chosen once the turns are known.

    meter = FrameMeter()
    for picture, hands, score in scored_frames:
        scores.append(replace(score, quality=meter(picture, hands)))
    stills = choose_stills(scores, events, parameters, video)
    stills = confirm_repeats(stills, lambda still: picture_at(still.time_s))
    for still in kept(stills):
        ...

`FrameMeter` measures, `choose_stills` decides, and finds spreads that were seen twice; `confirm_repeats` looks at
their pictures again at full resolution, and `kept` gives one still for each pair of pages. No torch is needed.
"""

from flipdetect.stills.confirm import compare_pictures, confirm_repeats
from flipdetect.stills.parameters import StillParameters
from flipdetect.stills.quality import FrameMeter
from flipdetect.stills.repeats import kept
from flipdetect.stills.select import choose_stills

__all__ = ["FrameMeter", "StillParameters", "choose_stills", "compare_pictures", "confirm_repeats", "kept"]

"""`python inference.py`: `flipdetect predict` with the options of the first release."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from flipdetect.cli.main import main as run

RENAMED = {"--save-stills": "--stills", "--checkpoint-path": "--model"}
INPUTS = ("--folder-path", "--video")
FINDS_TURNS = ("--video", "--events", "--scores")


def main(args: Sequence[str] | None = None) -> int:
    """Run `flipdetect predict`; returns the exit status.

    `--folder-path` and `--video` name inputs, which are positional now; where turns are found, timeline.png is drawn.
    """
    words = [part for word in (sys.argv[1:] if args is None else args) for part in _split(word)]
    translated = [RENAMED.get(word, word) for word in words if word not in INPUTS]
    if set(words) & set(FINDS_TURNS):
        translated.append("--timeline")
    return run(["predict", *translated])


def _split(word: str) -> list[str]:
    """`--folder-path=frames/` as two words; anything else as it is."""
    name, equals, value = word.partition("=")
    return [name, value] if equals and name in (*INPUTS, *RENAMED, *FINDS_TURNS) else [word]


if __name__ == "__main__":
    sys.exit(main())

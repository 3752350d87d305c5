"""Part `startup`: from the command to the result of one image."""

from __future__ import annotations

from flipdetect.benchmark.figure import Figure, Findings, Table
from flipdetect.benchmark.footage import one_frame
from flipdetect.benchmark.running import Workplace, in_turns, median, spread

REPEATS = 5


def measure(work: Workplace) -> Findings:
    """See the module."""
    frame = one_frame(work)
    output = work.folder / "one.csv"
    inference = work.module("cli.inference")
    ours = ("--folder-path", frame, "--model", "mobilenet_v2", "--output", output)
    plain = ("predict", "--folder", frame, "--model", "mobilenet_v2", "--output", output)
    found = in_turns(
        {
            "inference.py": lambda: work.run(inference, *ours),
            "inference.py --engine torch": lambda: work.run(inference, *ours, "--engine", "torch"),
            "plain loop": lambda: work.run(work.script("plain_baseline"), *plain),
            "inference.py --help": lambda: work.run(inference, "--help"),
        },
        work.choose(REPEATS, 1),
    )
    seconds = {name: [run.wall_s for run in runs] for name, runs in found.items()}
    cold, torch, plainly = (
        median(seconds[name]) for name in ("inference.py", "inference.py --engine torch", "plain loop")
    )
    note = "mobilenet_v2, a process of its own, files in the system's cache"
    figures = [
        Figure("one image, from the command to its result", cold, "s", "below", 1.0, note),
        Figure(
            "the same: times as fast as through torch",
            min(torch, plainly) / cold,
            "x",
            "at least",
            4.0,
            f"{cold:.2f} s against the quicker of inference.py --engine torch, {torch:.2f} s, and the plain loop, "
            f"{plainly:.2f} s",
        ),
        Figure("inference.py --help", median(seconds["inference.py --help"]), "s"),
    ]
    rows = [
        (name, spread(values, 3), f"{median([run.peak_mb for run in found[name]]):.0f}")
        for name, values in seconds.items()
    ]
    table = Table("Start to result of one image", ("command", "seconds: median (from, to)", "peak memory, MB"), rows)
    return Findings(figures, (table,), {"seconds": seconds})

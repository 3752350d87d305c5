"""Measure speed and size against a plain PyTorch baseline, and write docs/research/benchmarks.md.

Parts: training, prediction, size, startup, scale. Without --only all are measured, in about 20 minutes on two quiet
cores; parts that an interrupted run has finished are not repeated. With --only, these parts are measured and the others
stay as they were. --quick runs every line on next to nothing: its figures mean nothing.

    python scripts/benchmark.py
    python scripts/benchmark.py --only prediction startup
    python scripts/benchmark.py --only size --labelled data/mine ../shared/realdev
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from flipdetect.benchmark import prediction, scale, size, startup, training
from flipdetect.benchmark.figure import Findings
from flipdetect.benchmark.machine import describe_machine
from flipdetect.benchmark.report import TITLES, Measured, Results, figure_text, write_page
from flipdetect.benchmark.running import Workplace
from flipdetect.cli.messages import INTERRUPTED, set_up_logging
from flipdetect.errors import FlipdetectError

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE, JSON = Path("docs/research/benchmarks.md"), Path("docs/research/benchmarks.json")
WORK = Path("data/benchmark")
UNFINISHED = "unfinished.json"

logger = logging.getLogger("flipdetect.benchmark")


def main(args: Sequence[str] | None = None) -> int:
    """Measure as the command line says; returns the exit status."""
    set_up_logging()
    options = _parser().parse_args(args)
    work = Workplace(options.work_dir.resolve() / ("quick" if options.quick else "full"), REPOSITORY, options.quick)
    try:
        _measure(options, work)
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    except KeyboardInterrupt:
        logger.warning("Interrupted; the same command goes on with the parts that are left")
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=tuple(TITLES), help="measure these parts")
    parser.add_argument("--quick", action="store_true", help="the smallest work that runs every line")
    parser.add_argument("--again", action="store_true", help="repeat what an interrupted run has finished")
    parser.add_argument(
        "--labelled", type=Path, nargs="+", default=[], help="sets to measure F1 on beside the rendered one"
    )
    parser.add_argument("--output", type=Path, default=PAGE, help="page to write (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=JSON, help="all figures (default: %(default)s)")
    parser.add_argument("--work-dir", type=Path, default=WORK, help="for frames and runs (default: %(default)s)")
    return parser


def _measure(options: argparse.Namespace, work: Workplace) -> None:
    results = Results.read(options.json)
    unfinished = work.folder / UNFINISHED
    if options.again:
        unfinished.unlink(missing_ok=True)
    done = Results.read(unfinished)
    parts = _parts(work, [folder.resolve() for folder in options.labelled])
    for name in options.only or parts:
        if name not in parts:
            logger.warning("scale is left out: there is no scripts/%s.py", scale.SCRIPT)
            continue
        if name in done.parts:
            logger.info("%s was measured before the interruption; --again repeats it", name)
            continue
        logger.info("Measuring %s", name)
        machine, begun = describe_machine(), time.perf_counter()
        findings = parts[name]()
        done.parts[name] = Measured(findings, machine, time.perf_counter() - begun, work.quick)
        done.write(unfinished)
        print(f"\n{figure_text(findings.figures)}\n", flush=True)
    results.parts.update(done.parts)
    results.write(options.json)
    write_page(results, options.output)
    unfinished.unlink(missing_ok=True)
    logger.info("Written: %s and %s", options.output, options.json)


def _parts(work: Workplace, labelled: Sequence[Path]) -> dict[str, Callable[[], Findings]]:
    parts: dict[str, Callable[[], Findings]] = {
        "training": lambda: training.measure(work),
        "prediction": lambda: prediction.measure(work),
        "size": lambda: size.measure(work, labelled),
        "startup": lambda: startup.measure(work),
    }
    if scale.is_there(work.repository):
        parts["scale"] = lambda: scale.measure(work)
    return parts


if __name__ == "__main__":
    sys.exit(main())

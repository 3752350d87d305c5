"""`make faults`: try every fault, print a table; exits with status 1 if anything was lost.

`ARGS="--hours 3"`: rounds with other seeds for so long; `--share 0.5`: half of the tries of each fault;
`--ended 8`: of each command that is ended, so many; `--quick`: a sample, as in `make test`; `--only NAME`, `--seed N`
and `--number N` repeat a try. `--long`: long runs instead, 20 minutes.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from tabulate import tabulate

from tests.faults import films, frames, interruptions, long_runs
from tests.faults.runner import Counts, run

FAULTS = [*frames.FAULTS, *films.FAULTS, *interruptions.FAULTS]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=0.0)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--ended", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--number", type=int)
    args = parser.parse_args()
    counts: dict[str, Counts] = defaultdict(Counts)
    begin, seed = time.monotonic(), args.seed
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
        if args.long:
            return long_runs.main(Path(folder), args.only)
        while True:
            for fault in FAULTS:
                if args.only in fault.name:
                    tries = fault.quick if args.quick else round(args.share * fault.total) or 1
                    if args.ended and fault in interruptions.FAULTS:
                        tries = args.ended
                    numbers = [number * fault.total // tries for number in range(tries)]
                    numbers = numbers if args.number is None else [args.number]
                    run(fault, seed, numbers, Path(folder), counts[fault.name])
                    print(f"{time.monotonic() - begin:6.0f} s: {fault.name}, seed {seed}", file=sys.stderr)
                    if args.hours or args.ended:  # it may be ended before its end
                        print(table(counts), file=sys.stderr)
            if time.monotonic() - begin >= 3600 * args.hours:
                break
            seed += 1
    print(table(counts))
    print(f"\nSeeds {args.seed} to {seed}, {time.monotonic() - begin:.0f} s.")
    return int(any(count.lost for count in counts.values()))


def table(counts: dict[str, Counts]) -> str:
    """The tries so far, and what was lost in them."""
    rows = [(n, c.survived + c.refused + len(c.lost), c.survived, c.refused, len(c.lost)) for n, c in counts.items()]
    rows.append(("all", *(sum(row[place] for row in rows) for place in range(1, 5))))
    lines = [tabulate(rows, headers=("fault", "tries", "survived", "refused", "lost"), tablefmt="github", intfmt=",")]
    for fault, count in counts.items():
        lines += [f"lost: {fault}, seed:number {n}: {words}" for n, words in list(count.lost.items())[:20]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

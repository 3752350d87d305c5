"""`make faults`: try every fault, print a table; exits with status 1 if anything was lost.

`ARGS="--hours 3"`: rounds with other seeds for so long; `--quick`: a sample, as in `make test`; `--only NAME`,
`--seed N` and `--number N` repeat a try.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from tabulate import tabulate

from tests.faults import films, frames, interruptions
from tests.faults.runner import Counts, run

FAULTS = [*frames.FAULTS, *films.FAULTS, *interruptions.FAULTS]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=0.0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--number", type=int)
    args = parser.parse_args()
    counts: dict[str, Counts] = defaultdict(Counts)
    begin, seed = time.monotonic(), args.seed
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
        while True:
            for fault in FAULTS:
                if args.only in fault.name:
                    tries = fault.quick if args.quick else fault.total
                    numbers = [number * fault.total // tries for number in range(tries)]
                    numbers = numbers if args.number is None else [args.number]
                    run(fault, seed, numbers, Path(folder), counts[fault.name])
                    print(f"{time.monotonic() - begin:6.0f} s: {fault.name}, seed {seed}", file=sys.stderr)
            if time.monotonic() - begin >= 3600 * args.hours:
                break
            seed += 1
    table = [(n, c.survived + c.refused + len(c.lost), c.survived, c.refused, len(c.lost)) for n, c in counts.items()]
    table.append(("all", *(sum(row[place] for row in table) for place in range(1, 5))))
    print(tabulate(table, headers=("fault", "tries", "survived", "refused", "lost"), tablefmt="github", intfmt=","))
    print(f"\nSeeds {args.seed} to {seed}, {time.monotonic() - begin:.0f} s.")
    for fault, count in counts.items():
        for number, words in list(count.lost.items())[:20]:
            print(f"lost: {fault}, seed:number {number}: {words}")
    return int(any(count.lost for count in counts.values()))


if __name__ == "__main__":
    sys.exit(main())

"""Fuzz every class of inputs for some seconds: `python -m tests.fuzz --seconds 300 [--seed N] [CLASS]...`.

A case that fails is stored in the corpus, where `tests/fuzz/test_corpus.py` repeats it; the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.corpus import read_corpus, store_failed
from tests.fuzz.engine import Tally, explore, is_available
from tests.fuzz.readers import INPUT_CLASSES


def main() -> int:
    """Fuzz, print a table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("classes", nargs="*", metavar="CLASS", help=f"default: {', '.join(INPUT_CLASSES)}")
    parser.add_argument("--seconds", type=float, default=300.0, help="for all classes together")
    parser.add_argument(
        "--cases", type=int, default=None, help="at most, of each class: the same ones for a seed"
    )
    parser.add_argument("--seed", type=int, default=None, help="of the first case; default: the time")
    options = parser.parse_args()
    names = options.classes or list(INPUT_CLASSES)
    if unknown := set(names) - set(INPUT_CLASSES):
        parser.error(f"unknown class {min(unknown)}")
    # A new seed each time: the same cases again would find nothing new.
    first_seed = int(time.time()) if options.seed is None else options.seed
    print(f"seed {first_seed}", flush=True)  # noqa: T201 - a program for the terminal
    print(_line("class", "tried", "held", "accepted", "slowest s", "peak MiB"), flush=True)  # noqa: T201
    missing = [name for name in names if not is_available(name)]
    names = [name for name in names if name not in missing]
    failed = False
    until = time.monotonic() + options.seconds
    for index, name in enumerate(names):
        # What a class did not use is divided among the next ones.
        seconds = (until - time.monotonic()) / (len(names) - index)
        tally = explore(
            name, read_corpus(name), seconds=seconds, first_seed=first_seed, most_cases=options.cases
        )
        _report(name, tally)
        failed = failed or bool(tally.failures)
    for name in missing:
        print(_line(name, "-", "-", f"needs {INPUT_CLASSES[name].needs}"), flush=True)  # noqa: T201
    return 1 if failed else 0


def _report(name: str, tally: Tally) -> None:
    """Print the line of a class, and each failure with the path of its case."""
    numbers = (
        tally.tried,
        tally.held,
        tally.accepted,
        f"{tally.slowest_seconds:.2f}",
        tally.peak_bytes >> 20,
    )
    print(_line(name, *numbers), flush=True)  # noqa: T201 - a program for the terminal
    for problem, (case, outcome) in tally.failures.items():
        path = store_failed(name, case)
        print(f"  FAILED {problem}: {path}\n{outcome.detail}", flush=True)  # noqa: T201


def _line(*cells: object) -> str:
    first, *others = map(str, cells)
    return f"{first:<10}" + "".join(f"{cell:>12}" for cell in others)


if __name__ == "__main__":
    sys.exit(main())

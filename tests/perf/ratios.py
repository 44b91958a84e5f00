"""Show the ratios of the newest stored bench beside those of the one before it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ABSOLUTE = ("_ms", "_seconds", "_per_second")  # of this machine at this hour: stored, not compared
SAME_MACHINE = ("node", "machine", "cpu", "python_version")


def main() -> None:
    """Files of the folder that is named are named by their time: the last two are compared."""
    last_two = sorted(Path(sys.argv[1]).glob("*.json"))[-2:]
    *before, now = (json.loads(path.read_text(encoding="utf-8")) for path in last_two)
    sys.stdout.write("".join(f"{line}\n" for line in lines(now, *before)))


def lines(now: dict[str, Any], before: dict[str, Any] | None = None) -> Iterator[str]:
    """One line a ratio; ratios of another machine are of other processors, and stay out."""
    if before and machine(now) != machine(before):
        yield "the bench before ran on another machine or Python: nothing to compare with"
        before = None
    old = ratios(before) if before else {}
    for name, value in ratios(now).items():
        yield f"{value:8.2f}  {f'was {old[name]:.2f}' if name in old else 'new':<12}  {name}"


def ratios(bench: dict[str, Any]) -> dict[str, float]:
    """What the tests of tests/perf measured as ratios, by test and name."""
    return {
        f"{one['name'].removeprefix('test_')}: {name}": float(value)
        for one in bench["benchmarks"]
        for name, value in one["extra_info"].items()
        if isinstance(value, int | float) and not name.endswith(ABSOLUTE)
    }


def machine(bench: dict[str, Any]) -> list[str]:
    info = bench["machine_info"]
    cpu = {name: info.get("cpu", {}).get(name) for name in ("brand_raw", "count")}
    return [str(cpu if name == "cpu" else info.get(name)) for name in SAME_MACHINE]


if __name__ == "__main__":
    main()

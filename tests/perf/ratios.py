"""Print the ratios of the newest stored benchmark next to those of the one before it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ABSOLUTE = (
    "_ms",
    "_seconds",
    "_per_second",
)  # times depend on the machine and its load: stored, not compared
SAME_MACHINE = ("node", "machine", "cpu", "python_version")


def main() -> None:
    """Compare the last two files of a folder, whose names begin with their times."""
    last_two = sorted(Path(sys.argv[1]).glob("*.json"))[-2:]
    *before, current = (json.loads(path.read_text(encoding="utf-8")) for path in last_two)
    sys.stdout.write("".join(f"{line}\n" for line in lines(current, *before)))


def lines(current: dict[str, Any], before: dict[str, Any] | None = None) -> Iterator[str]:
    """Yield a line for each ratio; those of another machine are not compared."""
    if before and machine(current) != machine(before):
        yield "the previous benchmark ran on another machine or Python: not compared"
        before = None
    old = ratios(before) if before else {}
    for name, value in ratios(current).items():
        yield f"{value:8.2f}  {f'was {old[name]:.2f}' if name in old else 'new':<12}  {name}"


def ratios(bench: dict[str, Any]) -> dict[str, float]:
    """Return the ratios that the tests in tests/perf measured, by test and name."""
    return {
        f"{test['name'].removeprefix('test_')}: {name}": float(value)
        for test in bench["benchmarks"]
        for name, value in test["extra_info"].items()
        if isinstance(value, int | float) and not name.endswith(ABSOLUTE)
    }


def machine(bench: dict[str, Any]) -> list[str]:
    info = bench["machine_info"]
    cpu = {name: info.get("cpu", {}).get(name) for name in ("brand_raw", "count")}
    return [str(cpu if name == "cpu" else info.get(name)) for name in SAME_MACHINE]


if __name__ == "__main__":
    main()

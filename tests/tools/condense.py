"""Make a report small enough to commit: `python -m tests.tools.condense REPORT.json > NAME.json`.

Values that cannot be checked without the pictures, and values that identify a machine, are left out. No
figure changes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

LEFT_OUT = frozenset(
    {
        *("pictures", "group", "truth", "predicted", "flips"),  # one entry per picture
        *("rounds_ms", "curve", "history", "slices", "ece_bins"),  # long, and not the source of any figure
        *("features", "kernel", "memory"),  # of the machine; its processor and load stay
        *("export", "run", "root", "picture", "detail"),  # paths
    }
)


def main() -> None:
    """Print the condensed report."""
    report = json.loads(Path(sys.argv[1]).read_bytes())
    sys.stdout.write(json.dumps(condensed(report), indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def condensed(part: Any) -> Any:
    """Return a record without the keys LEFT_OUT: `{"n": 2, "truth": [0, 1]}` → `{"n": 2}`."""
    if isinstance(part, dict):
        return {name: condensed(value) for name, value in part.items() if name not in LEFT_OUT}
    return [condensed(each) for each in part] if isinstance(part, list) else part


if __name__ == "__main__":
    main()

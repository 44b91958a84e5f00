"""Make a report small enough to commit: `python -m tests.tools.condense REPORT.json > NAME.json`.

What nobody can check without the pictures, and what tells of the machine's owner, is left out; no figure
changes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

LEFT_OUT = frozenset(
    {
        *("pictures", "group", "truth", "predicted", "flips"),  # one entry a picture
        *("rounds_ms", "curve", "history", "slices", "ece_bins"),  # long, and no figure is taken from them
        *("features", "kernel", "memory"),  # of the machine; its processor and load stay
        *("export", "run", "root", "picture", "detail"),  # paths
    }
)


def main() -> None:
    """Print the condensed report."""
    report = json.loads(Path(sys.argv[1]).read_bytes())
    sys.stdout.write(json.dumps(condensed(report), indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def condensed(part: Any) -> Any:
    """`{"n": 2, "truth": [0, 1]}` → `{"n": 2}`."""
    if isinstance(part, dict):
        return {name: condensed(value) for name, value in part.items() if name not in LEFT_OUT}
    return [condensed(each) for each in part] if isinstance(part, list) else part


if __name__ == "__main__":
    main()

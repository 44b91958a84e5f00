"""Run the commands of the walkthrough in a new folder.

Usage: `python -m tests.tools.figures.record FOLDER > docs/results/walk.json`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import REPOSITORY
from tests.support.readme_commands import Step, steps

COLUMNS = "200"


def main() -> None:
    """Print one record for each command."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    recorded = [_run(step, folder) for step in steps(REPOSITORY / "docs/walkthrough.md")]
    sys.stdout.write(json.dumps(recorded, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _run(step: Step, folder: Path) -> dict[str, object]:
    environment = {**os.environ, "COLUMNS": COLUMNS, "NO_COLOR": "1"}
    arguments = [sys.executable, "-m", "dermpack", *step.arguments]
    ran = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return {"command": step.command, "printed": (ran.stderr + ran.stdout).splitlines()}


if __name__ == "__main__":
    main()

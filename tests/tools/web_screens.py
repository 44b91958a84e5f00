"""Write docs/pictures/web.png, screens of the web page with generated pictures.

Run `make web` first, then `python -m tests.tools.web_screens`.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

WORK = Path("build/web")
PICTURE = Path("docs/pictures/web.png")
NAMES = ("start", "answer", "unsure")
GAP, BACKGROUND, COLOURS = 16, "#8a8f98", 96


def main() -> None:
    """Take the screens, and draw them next to each other."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["node", "screens.mjs", folder]
        subprocess.run(
            command, check=True, cwd=WORK / "tests", env={**os.environ, "WEB_WORK": str(WORK.resolve())}
        )
        screens = [Image.open(Path(folder) / f"{name}.png").convert("RGB") for name in NAMES]
        width, height = sum(screen.width + GAP for screen in screens) + GAP, screens[0].height + 2 * GAP
        sheet = Image.new("RGB", (width, height), BACKGROUND)
        x = GAP
        for screen in screens:
            sheet.paste(screen, (x, GAP))
            x += screen.width + GAP
        sheet.quantize(COLOURS).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()

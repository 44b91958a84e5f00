"""Draw the screens of the page about collecting, with generated pictures and the small reference model.

    python -m tests.tools.collection_screens NODE_MODULES docs/pictures

NODE_MODULES has playwright-core and axe-core, as `npm ci` in a copy of tests/web leaves them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from dermpack.errors import PictureError
from dermpack.imaging.preprocessing import prepare
from dermpack.synthetic.demo_folder import render_demo
from tests.support.collecting import Collecting, collecting
from tests.support.paths import REPOSITORY

SCRIPT = REPOSITORY / "tests/web/review.mjs"
MODEL = REPOSITORY / "models/lesions7-small"
SHOWN = {"submit": 800, "review-answered": 800, "decision": 800, "statistics": 800}  # → width
SECONDS = 300


def review_in_chromium(
    place: Collecting,
    *,
    pictures: Sequence[Path],
    answers: Mapping[str, str],
    decision: str,
    modules: Path,
    work: Path,
    shots: Path | None = None,
) -> dict[str, Any]:
    """Let people submit, review, decide and withdraw in Chromium; return what the statistics page showed."""
    plan = {
        "url": place.server.url,
        "pictures": [str(path) for path in pictures],
        "people": dict(place.tokens),
        "answers": {name: list(keys) for name, keys in answers.items()},
        "decision": decision,
        "modules": str(modules),
        "shots": str(shots) if shots else None,
    }
    file = work / "plan.json"
    file.write_text(json.dumps(plan), encoding="utf-8")
    done = subprocess.run(
        ["node", str(SCRIPT), str(file)], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def is_whole(picture: Path) -> bool:
    """Return whether the picture can be decoded: the demo pictures include broken ones."""
    try:
        prepare(picture, 32)
    except PictureError:
        return False
    return True


def main(modules: Path, output: Path) -> None:
    """Write the screens as small files."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        render_demo(work / "demo", classes=7, pictures=14, size=640, seed=3)
        pictures = [path for path in sorted((work / "demo").rglob("demo_*.jpg")) if is_whole(path)][:6]
        shots = work / "shots"
        shots.mkdir()
        with collecting(MODEL, work / "data") as place:
            review_in_chromium(
                place,
                pictures=pictures,
                answers={"ann": "666552", "ben": "665352"},
                decision="5",
                modules=modules,
                work=work,
                shots=shots,
            )
        for screen, width in SHOWN.items():
            image = Image.open(shots / f"{screen}.png").convert("RGB")
            image = image.resize((width, image.height * width // image.width), Image.Resampling.LANCZOS)
            image.save(output / f"collect-{screen}.jpg", quality=85, subsampling=0, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""Chromium shows the probabilities of `dermpack predict`, whether the browser or the server computes them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from dermpack.cli import main
from dermpack.synthetic.scenes import render
from tests.support.live_server import live_server
from tests.support.paths import REPOSITORY

MODEL = REPOSITORY / "models/lesions7-small"
SCRIPT = REPOSITORY / "tests/web/served_page.mjs"
MODULES, CACHE = os.environ.get("DERMPACK_NODE_MODULES"), os.environ.get("DERMPACK_WEB_CACHE")
SAME = 1e-15  # two mathematical libraries round logarithms differently in the last digit
SECONDS = 180


@pytest.mark.slow
@pytest.mark.parametrize("answers", ["browser", "server"])
def test_the_page_shows_the_probabilities_of_predict(
    answers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not MODULES or not CACHE:
        pytest.skip("no playwright-core or LiteRT.js: make serve installs both")
    if answers == "browser":
        monkeypatch.setenv("DERMPACK_CACHE", CACHE)
    pictures = [write_scene(tmp_path / f"{number}.png", number) for number in range(3)]
    command = ["predict", str(MODEL), *map(str, pictures), "--top", "7", "--json", "--quiet"]
    assert main(command) == 0
    expected = [
        {guess["label"]: guess["probability"] for guess in picture["top"]}
        for picture in json.loads(capsys.readouterr().out)["pictures"]
    ]
    with live_server(MODEL) as server:
        plan = {"url": server.url, "pictures": [str(path) for path in pictures], "modules": MODULES}
        (tmp_path / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
        ran = subprocess.run(
            ["node", str(SCRIPT), str(tmp_path / "plan.json")],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr[-3000:]
    shown = json.loads(ran.stdout)
    assert (shown["state"], shown["errors"], shown["foreign"], shown["workers"]) == ("ready", [], [], 0)
    assert shown["sent"] == (["POST /api/v1/predictions"] * 3 if answers == "server" else [])
    for found, wanted in zip(shown["answers"], expected, strict=True):
        assert list(found) == list(wanted)
        assert all(abs(found[label] - value) <= SAME for label, value in wanted.items())


def write_scene(path: Path, seed: int) -> Path:
    """Write a generated photograph."""
    Image.fromarray(render(seed, classes=7, size=300)).save(path)
    return path

"""Two reviewers and a curator in Chromium, and a network that is trained on what they accepted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dermpack.cli import main
from tests.conftest import TINY
from tests.support.collecting import collecting, photograph
from tests.support.colour_model import LABELS, picture, write_export
from tests.tools.collection_screens import review_in_chromium


@pytest.mark.slow
def test_a_review_by_two_people_and_a_curator_in_chromium(tmp_path: Path) -> None:
    modules = os.environ.get("DERMPACK_NODE_MODULES")
    if not modules:
        pytest.skip("no playwright-core: make serve installs it, and sets DERMPACK_NODE_MODULES")
    given = [tmp_path / f"{number}.jpg" for number in range(5)]
    for number, path in enumerate(given):
        path.write_bytes(photograph(number, size=(320, 240)))
    with collecting(write_export(tmp_path / "export"), tmp_path / "data") as place:
        shown = review_in_chromium(
            place,
            pictures=given,
            answers={"ann": "1233u", "ben": "1221u"},
            decision="2",
            modules=Path(modules),
            work=tmp_path,
        )
        assert place.stored(shown["withdrawn"]) is None
    assert shown["counts"] == {"waiting": 0, "disputed": 0, "undecided": 0, "accepted": 4, "refused": 1}
    assert shown["first"][:3] == ["First two reviews", "5", "0.60"]
    assert len(shown["pages"]) == 10


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_network_is_trained_on_an_export(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    with collecting(write_export(tmp_path / "export"), tmp_path / "data", submissions_per_hour=None) as place:
        for index in range(24):
            label = LABELS[index % 3]
            submitted = place.submit(picture(label, size=(48 + index, 40)), lesion=f"L{index}").json["id"]
            for who in ("ann", "ben"):
                assert place.review(who, submitted, label).status == 200
    accepted, dataset, run = tmp_path / "accepted", tmp_path / "dataset", tmp_path / "run"
    assert main(["serve", "export", "--data", str(tmp_path / "data"), "-o", str(accepted), "-q"]) == 0
    importing = ["data", "import", str(accepted), "-o", str(dataset), "--group", "group", "--jobs", "1"]
    assert main([*importing, "--duplicates", "off", "--split", "70/30/0", "-q"]) == 0
    assert main(["train", str(dataset), "-o", str(run), *TINY, "--epochs", "1", "-q"]) == 0
    assert (run / "training.json").is_file()

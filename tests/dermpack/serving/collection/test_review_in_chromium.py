"""Two reviewers and a curator in Chromium, and a network that is trained on what they accepted."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from textwrap import dedent

import pytest

from dermpack.cli import main
from dermpack.dataset.manifest import Split, read_dataset
from tests.conftest import TINY
from tests.support.collecting import collecting, photograph
from tests.support.colour_model import LABELS, picture, write_export
from tests.support.paths import REPOSITORY
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
def test_the_loop_of_the_documentation_trains_on_what_was_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorflow")
    monkeypatch.chdir(tmp_path)
    # The dataset of the model in use; its last test picture is also submitted.
    rows = []
    Path("pictures").mkdir()
    for index in range(30):
        label, split = LABELS[index % 3], ("train", "validation", "test")[index // 3 % 3]
        Path(f"pictures/{index}.jpg").write_bytes(picture(label, size=(100 + index, 40)))
        rows.append(f"{index}.jpg,{label},{split},g{index}\n")
    Path("pictures/table.csv").write_text("picture,label,split,group\n" + "".join(rows), encoding="utf-8")
    assert (
        main(["data", "import", "pictures", "-o", "dataset", "--jobs", "1", "--duplicates", "off", "-q"]) == 0
    )
    with collecting(write_export(tmp_path / "export"), tmp_path / "submissions") as place:
        for index in range(13):
            label = LABELS[index % 3]
            size = (48 + index, 40) if index < 12 else (124, 40)
            submitted = place.submit(picture(label, size=size), lesion=f"L{index}").json["id"]
            for who in ("ann", "ben"):
                assert place.review(who, submitted, label).status == 200
    assert main(["serve", "export", "--data", "submissions", "-o", "accepted", "-q"]) == 0
    shutil.copytree("pictures", "joined/old")
    Path("joined/old/table.csv").unlink()
    shutil.copytree("accepted", "joined/new")
    page = (REPOSITORY / "docs/collect-pictures-and-labels.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(dedent(script), {})
    importing = ["data", "import", "joined", "-o", "both", "--keep-splits", "--mend", "--jobs", "1"]
    assert main([*importing, "--duplicates", "off", "-q"]) == 0
    manifest = read_dataset(Path("both")).manifest
    tests = {split.path for split in manifest.of(Split.TEST)}
    assert tests == {f"old/{index}.jpg" for index in range(30) if index // 3 % 3 == 2}
    collected = [picture for picture in manifest.of(Split.TRAIN) if picture.path.startswith("new/")]
    assert len(collected) == 12  # without the one that is in the test split
    assert main(["train", "both", "-o", "new-run", *TINY, "--epochs", "1", "-q"]) == 0
    assert main(["evaluate", "new-run", "both", "--split", "test", "-q"]) == 0

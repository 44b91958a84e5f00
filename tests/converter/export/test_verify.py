"""`dermpack verify` accepts what `dermpack convert` writes, compared with the run and its dataset."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dermpack.cli import main

pytestmark = pytest.mark.tensorflow


def test_an_export_passes_verification_with_its_run(
    run: Path, export: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dataset = run.parent / "dataset"
    arguments = ["verify", str(export), str(dataset), "--run", str(run), "--split", "validation"]
    assert main([*arguments, "--pictures", "4", "--json", "--quiet"]) == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    (answer,) = json.loads(captured.out)["exports"]
    results = {check["proof"]: check["result"] for check in answer["proofs"]}
    assert results["parent"] == "holds"
    assert results["labels on validation"] == "holds"
    assert results["balanced_accuracy on validation"] == "holds"
    assert results["network"] == "noted"  # integers differ as they must

"""The code of a web bundle answers in Node as Python does, with the real runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermpack.bundle.read_bundle import read_bundle
from dermpack.bundle.web.checks import check_site
from dermpack.cli import main
from dermpack.verification.check_result import CheckOutcome
from tests.support.bundle_exports import write_export
from tests.support.web_sites import RUNTIME, needs_runtime

pytestmark = needs_runtime


@pytest.mark.parametrize("recipe", ["int8", pytest.param("float32", marks=pytest.mark.slow)])
def test_a_packaged_model_gives_the_bytes_of_python_in_node(
    tmp_path: Path, recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    export, bundle = write_export(tmp_path / "export", recipe), tmp_path / "skin-web.zip"
    command = ["package", str(export), "-o", str(bundle), "--format", "web", "--litert", str(RUNTIME)]
    assert main([*command, "--name", "skin"]) == 0
    assert "http.server" in capsys.readouterr().err
    *checks, answers = check_site(read_bundle(bundle), is_known_code=True)
    assert {check.outcome for check in (*checks, answers)} == {CheckOutcome.HOLDS}, answers.detail
    assert "19 checks pass, 19 of them with the same bytes" in answers.detail

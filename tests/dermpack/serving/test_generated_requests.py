"""schemathesis sends requests that it generates from the OpenAPI document; `make serve` installs it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.bundle_exports import write_export
from tests.support.collecting import collecting

PROGRAM = os.environ.get("DERMPACK_SCHEMATHESIS", "")
# A generated body is no picture, and a generated id is no submission: what is checked is that every answer
# is one that the document describes, and none is an error of the server.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method"
)
EXAMPLES = "40"  # for each route


@pytest.mark.slow
@pytest.mark.skipif(not PROGRAM, reason="no schemathesis (make serve)")
@pytest.mark.parametrize("who", ["", "cleo"])
def test_no_generated_request_is_an_error_of_the_server(tmp_path: Path, who: str) -> None:
    with collecting(write_export(tmp_path / "export"), tmp_path / "data") as place:
        command = [PROGRAM, "run", f"{place.server.url}openapi.json", "--checks", CHECKS]
        command += ["--max-examples", EXAMPLES, "--seed", "1", "--no-color"]
        command += ["--header", f"Authorization: Bearer {place.tokens[who]}"] if who else []
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]

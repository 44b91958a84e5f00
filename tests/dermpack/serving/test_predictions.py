"""A server answers pictures as `dermpack predict` does, and survives what a picture does to its processes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dermpack.cli import main
from dermpack.serving.app import describe_api, make_api
from dermpack.serving.predictor import NOTICE
from dermpack.serving.settings import CollectionSettings, ServerSettings
from tests.support.bundle_exports import write_export
from tests.support.colour_model import LABELS
from tests.support.hostile_pictures import CASES
from tests.support.live_server import LiveServer, live_server, picture
from tests.support.paths import REPOSITORY

PREDICTIONS = "/api/v1/predictions"
PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_export(tmp_path_factory.mktemp("server") / "export")


@pytest.fixture(scope="module")
def server(export: Path) -> Iterator[LiveServer]:
    with live_server(export, lanes=2) as running:
        yield running


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_the_answer_is_that_of_the_command(
    server: LiveServer, export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    data = picture("mel", form, (300, 200))
    (tmp_path / "picture").write_bytes(data)
    top = ["--top", str(len(LABELS))]
    assert main(["predict", str(export), str(tmp_path / "picture"), "--json", *top]) == 0
    expected = json.loads(capsys.readouterr().out)
    expected["pictures"][0]["picture"] = "picture"
    answer = server.ask("POST", PREDICTIONS, data)
    assert answer.status == 200
    assert answer.json == {**expected, "notice": NOTICE}
    assert answer.json["pictures"][0]["label"] == "mel"


def test_a_bundle_is_served_like_its_export(export: Path, tmp_path: Path, server: LiveServer) -> None:
    assert main(["package", str(export), "-o", str(tmp_path / "skin.zip"), "--name", "skin", "--quiet"]) == 0
    with live_server(tmp_path / "skin.zip") as other:
        answers = [one.ask("POST", PREDICTIONS, picture("nv")).json for one in (server, other)]
    assert answers[0] == answers[1]


def test_the_routes_return_the_model_and_the_health(server: LiveServer, export: Path) -> None:
    described = server.ask("GET", "/api/v1/model")
    assert described.body == (export / "model.json").read_bytes()
    health = server.ask("GET", "/healthz").json
    assert health == {"status": "ok", "model": described.json["sha256"]}


def test_the_page_is_sent_once(server: LiveServer) -> None:
    page = server.ask("GET", "/")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    again = server.ask("GET", "/index.html", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


def test_the_page_asks_the_server_where_the_runtime_is_missing(server: LiveServer) -> None:
    settings = server.ask("GET", "/site.json").json
    assert (settings["answers"], settings["offline"]) == ("server", False)
    assert server.ask("GET", "/js/remote.js").headers["content-type"].startswith("text/javascript")
    assert server.ask("GET", "/model/model.tflite").refusal == (404, "not-found")


def test_metadata_is_refused_by_a_model_that_takes_none(server: LiveServer) -> None:
    refused = server.ask("POST", f"{PREDICTIONS}?age=34", picture())
    assert refused.refusal == (422, "option-not-applicable")


def test_each_hostile_picture_costs_one_answer(server: LiveServer, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        for case in CASES:
            case.plant(tmp_path / case.name)
            if (tmp_path / case.name).is_symlink() or not (tmp_path / case.name).is_file():
                continue
            data = (tmp_path / case.name).read_bytes()
            good = pool.submit(server.ask, "POST", PREDICTIONS, picture("nv"))
            answer = server.ask("POST", PREDICTIONS, data)
            if case.reason is None:
                assert answer.status == 200, case.name
            else:
                assert answer.status in (413, 422), case.name
                assert answer.refusal[1].startswith("picture-"), case.name
            assert good.result().json["pictures"][0]["label"] == "nv"


def test_a_killed_process_is_replaced(server: LiveServer) -> None:
    for child in children_of_this_process():
        os.kill(child, signal.SIGKILL)
    statuses = [server.ask("POST", PREDICTIONS, picture("nv")).status for _ in range(6)]
    assert set(statuses) <= {200, 422, 503}
    assert statuses[-2:] == [200, 200]


def test_requests_at_the_same_time_wait_for_their_turn(server: LiveServer) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda label: server.ask("POST", PREDICTIONS, picture(label)), LABELS * 16))
    assert [answer.json["pictures"][0]["label"] for answer in answers] == [*LABELS] * 16


def test_the_documented_api_is_that_of_the_server() -> None:
    """`python -m tests.tools.openapi_document` writes the document."""
    settings = ServerSettings(collection=CollectionSettings(data=Path("data")))
    committed = json.loads((REPOSITORY / "docs/openapi.json").read_text(encoding="utf-8"))
    assert describe_api(make_api(settings)) == committed


def children_of_this_process() -> list[int]:
    """Return the ids of the child processes, whichever thread has started them."""
    tasks = Path("/proc/self/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]

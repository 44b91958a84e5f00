"""A server that is killed while people submit and withdraw keeps what it answered; the rest is repaired."""

from __future__ import annotations

import json
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Thread

import pytest

from dermpack.serving.collection.database import Submission
from dermpack.serving.collection.picture_folder import check_collection
from dermpack.serving.collection.store import open_store
from dermpack.serving.collection.submissions import DEFAULT_CONSENT, read_consent
from tests.support.collecting import multipart, photograph
from tests.support.colour_model import write_export
from tests.support.live_server import started_server

ROUNDS, CLIENTS = 6, 3
SUBMISSIONS = "/api/v1/submissions"


class Client(Thread):
    """Submits pictures and withdraws every third one, until the server is gone."""

    def __init__(self, port: int, seed: int) -> None:
        super().__init__()
        self.port, self.seed = port, seed
        self.kept, self.withdrawn = set[str](), set[str]()
        self.unanswered = set[str]()  # withdrawals that the server may or may not have finished

    def run(self) -> None:
        consent = read_consent(DEFAULT_CONSENT).version
        try:
            for number in range(10_000):
                body, kind = multipart({"consent": consent}, photograph(self.seed + number))
                status, answer = self.send("POST", SUBMISSIONS, body, kind)
                assert status == 201, answer
                receipt = json.loads(answer)
                self.kept.add(receipt["id"])
                if number % 3 == 2:
                    self.kept.discard(receipt["id"])
                    self.unanswered.add(receipt["id"])
                    code = json.dumps({"withdrawal_code": receipt["withdrawal_code"]}).encode()
                    path = f"{SUBMISSIONS}/{receipt['id']}"
                    assert self.send("DELETE", path, code, "application/json")[0] == 204
                    self.unanswered.discard(receipt["id"])
                    self.withdrawn.add(receipt["id"])
        except (OSError, HTTPException):
            return

    def send(self, method: str, path: str, body: bytes, kind: str) -> tuple[int, bytes]:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, body, {"Content-Type": kind})
            response = connection.getresponse()
            return response.status, response.read()


@pytest.mark.slow
def test_a_kill_loses_no_accepted_submission_and_leaves_nothing_unreported(tmp_path: Path) -> None:
    export, data = write_export(tmp_path / "export"), tmp_path / "data"
    options = ("--collect", "--data", str(data), "--submission-rate", "100000", "-q")
    kept, withdrawn, unanswered = set[str](), set[str](), set[str]()
    for round_ in range(ROUNDS):
        with started_server(str(export), *options) as (process, port):
            clients = [Client(port, 1_000_000 * round_ + 100_000 * index) for index in range(CLIENTS)]
            for client in clients:
                client.start()
            deadline = time.monotonic() + 60
            wanted = 5 + 7 * round_  # so that the kills come at different moments
            while sum(len(client.kept) for client in clients) < wanted and time.monotonic() < deadline:
                clients[0].join(0.01)
            process.kill()
            process.wait()
            for client in clients:
                client.join()
                kept |= client.kept
                withdrawn |= client.withdrawn
                unanswered |= client.unanswered
        with open_store(data) as store:
            with store.database.reading() as session:
                there = {row.id for row in session.query(Submission)}
            faults = check_collection(store.database, store.pictures, is_repairing=True)
            assert kept <= there
            assert not withdrawn & there
            # A submission may be stored although its answer was lost.
            assert len(there - kept - unanswered) <= CLIENTS * (round_ + 1)
            assert {fault.kind for fault in faults} <= {"orphan", "unfinished-removal"}
            assert all(fault.is_repaired for fault in faults)
            assert check_collection(store.database, store.pictures, is_repairing=False) == ()
    assert len(kept) >= 5 * ROUNDS
    assert withdrawn

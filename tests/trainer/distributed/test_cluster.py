"""TF_CONFIG is checked before any work; parts of a batch make the whole."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermpack.cli import main
from dermpack.errors import InputError, WorkerError
from tests.support.errors import assert_stderr_code, raises_code
from trainer.distributed.cluster import Cluster, Shard, read_cluster, wait_for_workers

TWO = ["host-a:2222", "host-b:2222"]


def config(workers: Any = TWO, index: Any = 1, **others: Any) -> Mapping[str, str]:
    values = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}, **others}
    return {"TF_CONFIG": json.dumps(values)}


def test_the_first_worker_is_the_chief() -> None:
    assert read_cluster(config(index=0)).is_chief
    assert not read_cluster(config(index=1)).is_chief


def test_a_worker_is_named_as_in_its_configuration() -> None:
    assert read_cluster(config()).name(1) == "worker 1 of 0 to 1 (host-b:2222)"


@pytest.mark.parametrize(
    ("environment", "value"),
    [
        ({}, "--strategy multiworker"),
        ({"TF_CONFIG": "{"}, "line 1 column 2"),
        ({"TF_CONFIG": "[" * 100_000}, "JSON"),
        ({"TF_CONFIG": "[]"}, "JSON"),
        ({"TF_CONFIG": "{}"}, "object 'cluster'"),
        ({"TF_CONFIG": '{"cluster": {}}'}, "object 'task'"),
        (config(cluster={}), "workers"),
        (config(cluster={"worker": TWO, "ps": TWO}), "job 'ps'"),
        (config([]), "workers"),
        (config("host-a:2222"), "workers"),
        (config(["host-a", "host-b:2222"]), "worker 'host-a' is not HOST:PORT"),
        (config(["host-a:0", "host-b:2222"]), "worker 'host-a:0' is not HOST:PORT"),
        (config(["host-a:65536", "host-b:2222"]), "worker 'host-a:65536' is not HOST:PORT"),
        (config(["host-a:0000222222", "host-b:2222"]), "worker 'host-a:0000222222' is not HOST:PORT"),
        (config(["host\na:1", "host-b:2222"]), "HOST:PORT"),
        (config([7, "host-b:2222"]), "worker 7"),
        (config(["host-a:2222"] * 2), "host-a:2222"),
        (config(["host-a:2222"], 0), "--strategy single"),
        (config(index=2), "task index 2"),
        (config(index=-1), "task index -1"),
        (config(index="1"), "task index '1'"),
        (config(index=True), "task index True"),
        (config(task={"type": "chief", "index": 0}), "'chief'"),
    ],
)
def test_an_invalid_configuration_is_refused(environment: Mapping[str, str], value: str) -> None:
    with raises_code("invalid-tf-config", value) as raised:
        read_cluster(environment)
    assert isinstance(raised.value, InputError)
    assert raised.value.where == "TF_CONFIG"
    assert raised.value.hint


def test_a_wrong_configuration_is_one_line_before_any_work(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_CONFIG", config(index=5)["TF_CONFIG"])
    assert main(["train", str(coloured), "-o", str(tmp_path / "run"), "--strategy", "multiworker"]) == 1
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert_stderr_code(stderr, "invalid-tf-config", "TF_CONFIG", "task index 5", "0 to 1")
    assert not list(tmp_path.iterdir())


def test_folds_are_not_trained_by_workers(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_CONFIG", config()["TF_CONFIG"])
    asked = ["train", str(coloured), "-o", str(tmp_path / "folds"), "--folds", "2"]
    assert main([*asked, "--strategy", "multiworker"]) == 1
    assert_stderr_code(capsys.readouterr().err, "option-not-applicable", "--strategy multiworker")


@pytest.mark.parametrize("command", ["study", "tune"])
def test_a_table_of_trainings_is_not_shared_by_workers(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    if command == "tune":
        pytest.importorskip("optuna")
    option = 'strategy = "multiworker"\n'
    (tmp_path / "study.toml").write_text(f'base = "a"\n[recipes.a]\n{option}[recipes.b]\n')
    (tmp_path / "tune.toml").write_text(option)
    given = {"study": [str(tmp_path / "study.toml")], "tune": ["--recipe", str(tmp_path / "tune.toml")]}
    assert main([command, str(coloured), *given[command], "-o", str(tmp_path / "out"), "--quiet"]) == 1
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert_stderr_code(stderr, "option-not-applicable", "--strategy multiworker", "--strategy mirrored")


def test_a_worker_that_does_not_come_is_named_in_time() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens at it
        absent = f"127.0.0.1:{taken.getsockname()[1]}"
        cluster = Cluster(workers=(f"127.0.0.1:{free_port()}", absent), index=0)
        with raises_code("worker-timeout", "worker 1 of 0 to 1", absent) as raised:
            wait_for_workers(cluster, limit_s=0)
        assert isinstance(raised.value, WorkerError)


def test_workers_that_have_come_meet() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        workers = (f"127.0.0.1:{free_port()}", f"127.0.0.1:{other.getsockname()[1]}")
        wait_for_workers(Cluster(workers=workers, index=0), limit_s=30)


def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.create_server(("", 0)) as taken:
        workers = (f"127.0.0.1:{taken.getsockname()[1]}", "127.0.0.1:1")
        with raises_code("cannot-bind", taken.getsockname()[1]) as raised:
            wait_for_workers(Cluster(workers=workers, index=0), limit_s=0)
        assert isinstance(raised.value, InputError)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize(("n", "count"), [(8, 1), (8, 2), (12, 2), (12, 3), (7, 1), (6, 2)])
def test_parts_of_a_batch_are_the_whole_batch(n: int, count: int) -> None:
    rows = np.concatenate([Shard(index=index, count=count).rows(n) for index in range(count)])
    assert sorted(rows.tolist()) == list(range(n))


@pytest.mark.parametrize(("n", "count"), [(8, 2), (12, 3), (16, 4)])
def test_the_mirror_of_a_row_is_in_its_part(n: int, count: int) -> None:
    for index in range(count):
        rows = Shard(index=index, count=count).rows(n)
        assert (rows + rows[::-1] == n - 1).all()


def test_one_part_is_the_batch_in_its_order() -> None:
    assert Shard().rows(9).tolist() == list(range(9))
    assert Shard().rows(8).tolist() == list(range(8))


@pytest.mark.parametrize(("n", "count"), [(7, 2), (8, 3), (2, 2)])
def test_spans_follow_each_other(n: int, count: int) -> None:
    spans = [Shard(index=index, count=count).span(n) for index in range(count)]
    assert [first for first, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == n

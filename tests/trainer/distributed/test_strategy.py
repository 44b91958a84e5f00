"""Replicas have the loss curve of one device; a lost worker ends the others, and training resumes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dermpack.cli import main
from tests.conftest import TINY
from tests.support.errors import assert_stderr_code
from tests.support.paths import REPOSITORY
from trainer.distributed.cluster import read_cluster

pytestmark = pytest.mark.tensorflow

MIXED = "flips = true\nrotation_degrees = 30\nbrightness = 0.1\nmixup = 0.3\n"
OPTIONS = (*TINY, "--rate", "0.005", "--ema", "0.9", "--label-smoothing", "0.05")
CLOSE = 1e-4  # relative: sums of the same numbers in another order
LIMIT_S = 600  # for a busy machine; an idle one takes ten
STEPS = 4  # an epoch: 36 pictures, 8 a batch
PAGE = REPOSITORY / "docs/large-data.md"
Process = Any


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An augmentation with mixup, whose pairs must stay on one worker."""
    path = tmp_path_factory.mktemp("augment") / "mixed.toml"
    path.write_text(MIXED)
    return str(path)


@pytest.fixture(scope="module")
def single(coloured: Path, mixed: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process and device, three epochs from nothing."""
    run = tmp_path_factory.mktemp("single") / "run"
    assert main(["train", str(coloured), "-o", str(run), *from_nothing(mixed), "--quiet"]) == 0
    return run


def from_nothing(mixed: str) -> tuple[str, ...]:
    return (*OPTIONS, "--epochs", "3", "--augment", mixed)


def curve(run: Path) -> list[float]:
    """Every figure of every epoch."""
    phases = json.loads((run / "training.json").read_text())["phases"]
    epochs = [epoch for phase in phases for epoch in phase["history"]]
    return [figure for epoch in epochs for figure in (epoch["loss"], *sorted(epoch["validation"].values()))]


def weights(run: Path) -> bytes:
    return (run / "weights.npz").read_bytes()


@contextmanager
def started(arguments: Sequence[str], **environment: str) -> Iterator[Process]:
    """Start a process, and kill it at the end of the block if it is still running."""
    pipe = subprocess.PIPE
    given = {**os.environ, **environment}
    process = subprocess.Popen(
        [sys.executable, *arguments], env=given, stdout=pipe, stderr=pipe, text=True, encoding="utf-8"
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def free_ports() -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def configurations() -> list[str]:
    workers = [f"127.0.0.1:{port}" for port in free_ports()]
    tasks = ({"type": "worker", "index": index} for index in range(2))
    return [json.dumps({"cluster": {"worker": workers}, "task": task}) for task in tasks]


@contextmanager
def two_workers(
    asked: Sequence[str], *, second: Sequence[str] = ("-m", "dermpack")
) -> Iterator[list[Process]]:
    """Start the chief, and a worker that may be started in another way."""
    chief, other = configurations()
    with (
        started(["-m", "dermpack", *asked], TF_CONFIG=chief) as first,
        started([*second, *asked], TF_CONFIG=other) as last,
    ):
        yield [first, last]


def test_a_mirrored_run_has_the_curve_of_a_single_one(
    coloured: Path, trained: Path, single: Path, mixed: str, tmp_path: Path
) -> None:
    tuned = [*OPTIONS, "--weights", str(trained), "--head-epochs", "2", "--epochs", "2"]
    taught = [*OPTIONS, "--teacher", str(trained), "--epochs", "1", "--augment", mixed]
    for name, options in (("tuned", tuned), ("taught", taught)):
        assert main(["train", str(coloured), "-o", str(tmp_path / name), *options, "--quiet"]) == 0
    recipes = (("nothing", from_nothing(mixed)), ("mirrored-tuned", tuned), ("mirrored-taught", taught))
    asked = [
        ["train", str(coloured), "-o", str(tmp_path / name), *options, "--strategy", "mirrored", "--quiet"]
        for name, options in recipes
    ]
    with started(["-m", "tests.support.two_processors", json.dumps(asked)]) as process:
        _, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, stderr
    assert curve(tmp_path / "nothing") == pytest.approx(curve(single), rel=CLOSE)
    for name in ("tuned", "taught"):
        assert curve(tmp_path / f"mirrored-{name}") == pytest.approx(curve(tmp_path / name), rel=CLOSE)


def test_mirrored_on_one_device_is_a_single_run(
    coloured: Path, single: Path, mixed: str, tmp_path: Path
) -> None:
    asked = ["train", str(coloured), "-o", str(tmp_path / "run"), *from_nothing(mixed)]
    assert main([*asked, "--strategy", "mirrored", "--quiet"]) == 0
    assert curve(tmp_path / "run") == pytest.approx(curve(single), rel=CLOSE)


@pytest.fixture(scope="module")
def by_workers(coloured: Path, mixed: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of two workers; the stderr of the second one is in a file next to it."""
    run = tmp_path_factory.mktemp("workers") / "run"
    with two_workers(multiworker(coloured, run, mixed)) as (chief, other):
        (_, chief_stderr), (nothing, stderr) = (one.communicate(timeout=LIMIT_S) for one in (chief, other))
    assert chief.returncode == 0, chief_stderr
    assert other.returncode == 0, stderr
    assert nothing == ""
    (run.parent / "stderr").write_text(stderr)
    return run


def multiworker(coloured: Path, run: Path, mixed: str) -> list[str]:
    return ["train", str(coloured), "-o", str(run), *from_nothing(mixed), "--strategy", "multiworker"]


def test_two_workers_have_the_curve_of_a_single_process(single: Path, by_workers: Path) -> None:
    assert curve(by_workers) == pytest.approx(curve(single), rel=CLOSE)


def test_the_record_of_a_run_does_not_depend_on_the_number_of_workers(single: Path, by_workers: Path) -> None:
    one, other = (json.loads((run / "training.json").read_text()) for run in (single, by_workers))
    assert one["recipe"] == other["recipe"]


def test_another_worker_ends_with_a_line_that_names_the_writer(by_workers: Path) -> None:
    last = (by_workers.parent / "stderr").read_text().splitlines()[-1]
    assert last.startswith("worker 1 of 0 to 1 (127.0.0.1:")
    assert last.endswith(" is done; the chief has written the run")


def test_a_killed_worker_ends_the_chief_in_a_line_and_the_same_command_ends_alike(
    coloured: Path, by_workers: Path, mixed: str, tmp_path: Path
) -> None:
    asked, run = multiworker(coloured, tmp_path / "run", mixed), tmp_path / "run"
    dying = ("-m", "tests.support.lost_worker", "SIGKILL", str(STEPS + 2))
    with two_workers(asked, second=dying) as (chief, other):
        _, stderr = chief.communicate(timeout=LIMIT_S)
        other.wait(timeout=LIMIT_S)
    assert (other.returncode, chief.returncode) == (-signal.SIGKILL, 1)
    assert_stderr_code(stderr, "worker-died", "worker 1 of 0 to 1 (127.0.0.1:")
    assert not run.exists()
    with two_workers(asked) as (chief, other):
        _, stderr = chief.communicate(timeout=LIMIT_S)
        other.communicate(timeout=LIMIT_S)
    assert (other.returncode, chief.returncode) == (0, 0)
    assert "resuming after epoch 1 of 3" in stderr
    assert weights(run) == weights(by_workers)
    assert curve(run) == curve(by_workers)


def test_workers_that_are_asked_for_other_things_are_refused(
    coloured: Path, mixed: str, tmp_path: Path
) -> None:
    asked = multiworker(coloured, tmp_path / "run", mixed)
    mine, other = configurations()
    with (
        started(["-m", "dermpack", *asked], TF_CONFIG=mine) as chief,
        started(["-m", "dermpack", *asked, "--seed", "1"], TF_CONFIG=other) as stranger,
    ):
        stderr = [one.communicate(timeout=LIMIT_S)[1] for one in (chief, stranger)]
    assert (chief.returncode, stranger.returncode) == (1, 1)
    for lines in stderr:
        assert_stderr_code(lines, "workers-differ", "worker")


def shell_blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_page_shows_configurations_that_can_be_read() -> None:
    shown = re.findall(r"^export TF_CONFIG='(.*)'$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [read_cluster({"TF_CONFIG": text}).index for text in shown] == [0, 1]


def test_what_the_page_shows_for_one_host_trains(coloured: Path, tmp_path: Path) -> None:
    (tmp_path / "dataset").symlink_to(coloured)
    script = next(block for block in shell_blocks() if block.startswith("workers="))
    for shown, free in zip(("2222", "2223"), free_ports(), strict=True):
        script = script.replace(shown, str(free))
    called = f'dermpack() {{ "{sys.executable}" -m dermpack "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-ec", called + script], cwd=tmp_path, timeout=LIMIT_S, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/training.json").is_file()
    assert "the chief has written the run" in done.stderr


@pytest.mark.slow
def test_a_worker_that_falls_silent_is_given_up_in_time(coloured: Path, mixed: str, tmp_path: Path) -> None:
    silent = ("-m", "tests.support.lost_worker", "SIGSTOP", str(STEPS + 2))
    asked = multiworker(coloured, tmp_path / "run", mixed)
    with two_workers(asked, second=silent) as (chief, other):
        while chief.poll() is None and not is_stopped(other.pid):
            time.sleep(0.1)
        began = time.monotonic()
        _, stderr = chief.communicate(timeout=LIMIT_S)
    assert chief.returncode == 1
    assert_stderr_code(stderr, "worker-died", "worker 1")
    assert time.monotonic() - began < 120


def is_stopped(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"

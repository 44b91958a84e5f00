"""Measuring through a real sshd: the results, the errors, and that nothing is left on the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from benchmarks.protocol.plan import BenchmarkPlan, ModelUnderTest, TensorBinding, Timing
from benchmarks.targets.ssh.ssh_target import ConnectionLostError, SshTarget, connect, read_address
from dermpack.inference.interpreter_host import Kernels, first_installed_runtime
from dermpack.inference.picture_feed import PictureFeed
from dermpack.progress import Item, silent
from dermpack.storage.files import new_folder, sha256_of
from tests.support import ssh_workers
from tests.support.colour_model import SIZE, colour_model
from tests.support.errors import assert_code, raises_code
from tests.support.paths import REPOSITORY
from tests.support.sshd import Server, serving

QUICK = Timing(warm_up_seconds=0.0, rounds=3, seconds=0.0, most_seconds=5.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("sshd")) as made:
        yield made


@pytest.fixture
def target(server: Server) -> SshTarget:
    return SshTarget(
        address=read_address(server.address),
        python=sys.executable,
        identity=server.key,
        options=server.options,
    )


def a_plan() -> BenchmarkPlan:
    data = colour_model()
    table = np.arange(256, dtype=np.uint8)
    model = ModelUnderTest(
        name="colours",
        data=data,
        sha256=sha256_of(data),
        binding=TensorBinding(size=SIZE, feed=PictureFeed(table=table)),
        recipe="",
        sidecar=None,
    )
    runtimes = (first_installed_runtime().value.partition(".")[0].replace("_", "-"),)
    return BenchmarkPlan(
        models=[model], threads=(1,), kernels=(Kernels.BUILTIN,), timing=QUICK, runtimes=runtimes
    )


def left(server: Server) -> list[str]:
    return sorted(path.name for path in server.temporary.iterdir())


def test_a_machine_measures_the_plan_and_keeps_nothing(server: Server, target: SshTarget) -> None:
    plan = a_plan()
    measured = target.measure(plan, track=silent)
    assert measured.target == f"ssh:{server.address}"
    assert not measured.is_emulated and not measured.refused
    (timed,) = measured.timed
    assert (timed.model, timed.setting.threads, timed.setting.runtime) == ("colours", 1, plan.runtimes[0])
    assert len(timed.rounds_ms) >= 3 and timed.peak_bytes
    assert measured.environment["python"] == sys.version.split()[0]
    assert measured.environment["numpy"] == np.__version__
    assert measured.environment[plan.runtimes[0]]
    assert measured.environment["load_before"] and measured.environment["load_after"]
    assert left(server) == []


def test_a_wrong_port_is_one_line(server: Server, target: SshTarget) -> None:
    elsewhere = read_address(server.address.replace(str(server.port), "1"))
    with raises_code(
        "cannot-connect", f"ssh:{elsewhere.text}: ", "refused", "ssh -o BatchMode=yes -p 1 "
    ) as caught:
        replace(target, address=elsewhere).measure(a_plan(), track=silent)
    assert isinstance(caught.value, ConnectionLostError) and "\n" not in str(caught.value)


def test_a_refused_key_is_one_line(server: Server, target: SshTarget) -> None:
    stranger = replace(target, identity=server.folder / "other_key")
    with raises_code("cannot-connect", "Permission denied (publickey") as caught:
        stranger.measure(a_plan(), track=silent)
    assert isinstance(caught.value, ConnectionLostError) and "\n" not in str(caught.value)


def test_an_unknown_host_is_not_trusted(target: SshTarget, tmp_path: Path) -> None:
    options = (f"UserKnownHostsFile={tmp_path / 'empty'}", *target.options[1:])
    with raises_code("cannot-connect", "Host key verification failed"):
        replace(target, options=options).measure(a_plan(), track=silent)
    assert not (tmp_path / "empty").exists()


def test_an_interpreter_that_is_not_there_is_named(target: SshTarget) -> None:
    with raises_code("remote-python", "/no/python", "--python"):
        replace(target, python="/no/python").measure(a_plan(), track=silent)


def test_a_connection_killed_in_the_middle_leaves_nothing_there(
    server: Server, target: SshTarget, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo")
    lost: list[BaseException] = []
    thread = Thread(target=_linger, args=(target, tmp_path, lost))
    thread.start()
    lingering = ssh_workers.read_lingering(tmp_path / "fifo")
    assert lingering.folder.is_dir()
    server.cut()
    thread.join(ssh_workers.PATIENCE_SECONDS)
    (error,) = lost
    assert isinstance(error, ConnectionLostError)
    assert_code(error, "connection-lost", f"ssh:{server.address}: ")
    assert "\n" not in str(error)
    assert all(ssh_workers.ends(process) for process in lingering.processes)
    assert not lingering.folder.exists()


def test_a_lost_connection_leaves_the_old_report_as_it_was(
    server: Server, target: SshTarget, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    report.mkdir()
    (report / "report.json").write_text("of yesterday")

    def cutting(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:
        assert total
        for index, item in enumerate(items):
            if "Measuring" in what and index == 1:
                server.cut()
            yield item

    with pytest.raises(ConnectionLostError), new_folder(report, marker="report.json", overwrite=True):
        target.measure(a_plan(), track=cutting)
    assert (report / "report.json").read_text() == "of yesterday"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_ctrl_c_leaves_nothing_there(server: Server, target: SshTarget, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    program = f"""
from pathlib import Path
from tests.benchmarks.targets.test_ssh_sshd import SshTarget, _linger, read_address
target = SshTarget(address=read_address({server.address!r}), python={sys.executable!r},
                   identity=Path({str(server.key)!r}), options={target.options!r})
_linger(target, Path({str(tmp_path)!r}), [])
"""
    hears = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a suite in the background is deaf to it
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL, preexec_fn=hears) as process:
        lingering = ssh_workers.read_lingering(tmp_path / "fifo")
        process.send_signal(signal.SIGINT)
        process.wait(ssh_workers.PATIENCE_SECONDS)
    assert process.returncode == -signal.SIGINT
    assert all(ssh_workers.ends(process) for process in lingering.processes)
    assert not lingering.folder.exists()


def _linger(target: SshTarget, folder: Path, lost: list[BaseException]) -> None:
    """Run a worker that writes its process ids to folder/fifo and stays."""
    worker = folder / "worker.py"
    worker.write_text(ssh_workers.lingering(folder / "fifo"))
    remote = connect(target.address, python=target.python, identity=target.identity, options=target.options)
    try:
        with remote as connection:
            connection.put(worker)
            connection.run_job({"patience_seconds": 600.0})
    except ConnectionLostError as error:
        lost.append(error)

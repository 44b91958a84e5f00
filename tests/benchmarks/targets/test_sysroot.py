"""Preparing emulated ARM, and finding it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.targets.emulated.emulator import (
    CORTEX_A72,
    SCHEMA,
    STAMP,
    WHEELS,
    Sysroot,
    find_sysroot,
    hash_recipe,
    locate_sysroot,
    read_pinned_wheels,
)
from dermpack.storage.files import format_json, sha256_of
from tests.support.errors import raises_code
from tests.tools.arm_sysroot import prepare_sysroot

DEBIAN_12 = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n'
PLUGIN = b"a plugin"


@pytest.fixture
def standing(tmp_path: Path) -> Path:
    """A folder as it stands after `make arm`, without what fills it."""
    folder = tmp_path / "arm"
    (folder / "base/usr/bin").mkdir(parents=True)
    (folder / "base/usr/bin/python3.11").write_bytes(b"")
    (folder / "counter.so").write_bytes(PLUGIN)
    _stamp(folder)
    return folder


@pytest.fixture
def debian_12(tmp_path: Path) -> Path:
    (tmp_path / "os-release").write_text(DEBIAN_12)
    return tmp_path / "os-release"


def _stamp(folder: Path, **changes: object) -> None:
    stamp = {"schema": SCHEMA, "recipe": hash_recipe(), "counter": sha256_of(PLUGIN)}
    (folder / STAMP).write_text(format_json({**stamp, "packages": {}, "wheels": {}, **changes}))


def _programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **programs: str) -> None:
    """The only programs that are found."""
    (folder / "programs").mkdir()
    for name, script in programs.items():
        program = folder / "programs" / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "programs"))


def test_where_nothing_was_prepared_the_error_names_the_command(tmp_path: Path) -> None:
    with raises_code("emulator-not-prepared", "make arm"):
        find_sysroot(tmp_path / "arm")


def test_what_stands_is_found(standing: Path) -> None:
    assert find_sysroot(standing).folder == standing


@pytest.mark.parametrize("changes", [{"recipe": "0" * 64}, {"schema": SCHEMA + 1}])
def test_what_another_version_prepared_is_not_used(standing: Path, changes: dict[str, object]) -> None:
    _stamp(standing, **changes)
    with raises_code("emulator-not-prepared", standing, "make arm"):
        find_sysroot(standing)


@pytest.mark.parametrize("name", ["counter.so", "base/usr/bin/python3.11"])
def test_a_part_that_is_missing_is_seen(standing: Path, name: str) -> None:
    (standing / name).unlink()
    with raises_code("emulator-not-prepared", standing, "make arm"):
        find_sysroot(standing)


def test_another_plugin_is_seen(standing: Path) -> None:
    (standing / "counter.so").write_bytes(b"another plugin")
    with raises_code("emulator-not-prepared", standing, "make arm"):
        find_sysroot(standing)


def test_the_sysroot_lies_among_the_users_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DERMPACK_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert locate_sysroot() == tmp_path / "dermpack" / "arm"
    monkeypatch.setenv("DERMPACK_CACHE", str(tmp_path / "mine"))
    assert locate_sysroot() == tmp_path / "mine" / "arm"


def test_a_comma_in_the_path_reaches_the_emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _programs(tmp_path, monkeypatch, qemu_aarch64="exit 0")
    sysroot = Sysroot(folder=Path("/caches/a,b/arm"), stamp={})
    command = sysroot.command(CORTEX_A72, counts=Path("/counts"))
    assert command[command.index("-plugin") + 1] == "/caches/a,,b/arm/counter.so"


def test_every_wheel_is_pinned_by_its_hash() -> None:
    lines = [line for line in WHEELS.read_text().splitlines() if not line.startswith("#")]
    assert set(read_pinned_wheels()) == {"ai-edge-litert", "numpy", "tflite-runtime"}
    assert len(lines) == len(read_pinned_wheels())


def test_the_same_content_is_the_same_sysroot(standing: Path) -> None:
    before = find_sysroot(standing).sha256
    _stamp(standing)
    assert find_sysroot(standing).sha256 == before
    _stamp(standing, packages={"libc6": {"version": "2", "sha256": "0" * 64}})
    assert find_sysroot(standing).sha256 != before


def test_what_stands_is_not_prepared_again(standing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _programs(standing.parent, monkeypatch)
    assert list(prepare_sysroot(standing)) == []


def test_another_system_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text(DEBIAN_12.replace("bookworm", "trixie"))
    with raises_code("unsupported-system", "Debian 12"):
        list(prepare_sysroot(tmp_path / "arm", os_release=tmp_path / "os-release"))


def test_without_an_emulator_nothing_is_fetched(
    tmp_path: Path, debian_12: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _programs(tmp_path, monkeypatch)
    with raises_code("missing-tool", "qemu-aarch64: ", "make arm"):
        list(prepare_sysroot(tmp_path / "arm", os_release=debian_12))


def test_a_download_that_fails_leaves_nothing(
    tmp_path: Path, debian_12: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = "echo 'E: Unable to fetch some archives' >&2; exit 100"
    _programs(tmp_path, monkeypatch, qemu_aarch64="exit 0", apt_config="exit 0", apt_get=broken)
    with raises_code("tool-failed", "apt-get: ", "E: Unable to fetch some archives"):
        list(prepare_sysroot(tmp_path / "arm", os_release=debian_12))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["os-release", "programs"]


def test_a_package_manager_that_is_missing_is_named(
    tmp_path: Path, debian_12: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _programs(tmp_path, monkeypatch, qemu_aarch64="exit 0")
    with raises_code("missing-tool", "apt-config: "):
        list(prepare_sysroot(tmp_path / "arm", os_release=debian_12))


def test_the_packages_are_fetched_with_a_state_of_their_own(
    tmp_path: Path, debian_12: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = 'Acquire::http::Proxy "the proxy";'
    apt_get = 'while read -r line; do echo "$line"; done <"$APT_CONFIG" >"$0.conf"; exit 100'
    say = f"echo '{proxy}'; echo 'Acquire::Languages:: \"de\";'"
    _programs(tmp_path, monkeypatch, qemu_aarch64="exit 0", apt_config=say, apt_get=apt_get)
    with raises_code("tool-failed", "apt-get: "):
        list(prepare_sysroot(tmp_path / "arm", os_release=debian_12))
    lines = (tmp_path / "programs" / "apt-get.conf").read_text().splitlines()
    assert proxy in lines
    assert not [line for line in lines if '"de"' in line]
    places = [line for line in lines if re.match(r"Dir::(State|Cache|Log)", line)]
    assert len(places) == 4
    assert all(f'"{tmp_path}/.arm.' in line for line in places)
    assert 'Dir::Etc::parts "/dev/null";' in lines


def test_preparing_needs_nothing_but_the_standard_library() -> None:
    found = "sorted({'numpy', 'click', 'PIL'} & set(sys.modules))"
    code = f"import sys, tests.tools.arm_sysroot; print({found})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

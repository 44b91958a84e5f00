"""Put a stand-in adb first on the PATH; its phones are folders."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).parent / "adb_stand_in_programs"
PROPERTIES = {
    "ro.product.manufacturer": "Example",
    "ro.product.model": "Phone 7",
    "ro.soc.manufacturer": "Fictive",
    "ro.soc.model": "F100",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.build.fingerprint": "example/phone7/phone7:14/UP1A/1:user/release-keys",
    "ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a,armeabi",
}
CPUINFO = "processor\t: 0\nFeatures\t: fp asimd asimddp\n"
THERMAL_STATE = """\
IsStatusOverride: false
ThermalStatusListeners:
\tcallbacks: 4
Thermal Status: {status}
Cached temperatures:
\tTemperature{{mValue=99.0, mType=0, mName=OLD, mStatus=0}}
HAL Ready: true
Current temperatures from HAL:
\tTemperature{{mValue=41.5, mType=0, mName=CPU0, mStatus=0}}
\tTemperature{{mValue=43.25, mType=0, mName=CPU7, mStatus=0}}
\tTemperature{{mValue=NaN, mType=1, mName=GPU, mStatus=0}}
\tTemperature{{mValue=33.1, mType=3, mName=SKIN, mStatus=0}}
Current cooling devices from HAL:
"""
# Android has pkill, a minimal Debian does not.
PKILL = """\
for process in /proc/[0-9]*; do
    tr '\\0' ' ' 2>/dev/null <"$process/cmdline" | grep -q -- "$2" && kill "${process#/proc/}" && found=0
done
exit "${found:-1}"
"""


@dataclass(frozen=True)
class StandIn:
    """The stand-in adb and its phones."""

    folder: Path

    @property
    def tool(self) -> Path:
        return self.folder / "benchmark_model"

    def phone(self, serial: str, **behaviour: Any) -> Path:
        """Connect a phone and return its folder."""
        root = self.folder / f"phone-{len(self._configuration()['phones'])}"
        for folder in ("bin", "data/local/tmp", "sys/devices/system/cpu/cpu0/cpufreq", "proc"):
            (root / folder).mkdir(parents=True)
        (root / "proc/cpuinfo").write_text(CPUINFO)
        (root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").write_text("sched_pixel\n")
        (root / "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq").write_text("2850000\n")
        self.program(root, "getprop", "\n".join(f"echo '[{k}]: [{v}]'" for k, v in PROPERTIES.items()))
        self.program(root, "nproc", "echo 8")
        self.program(root, "pkill", PKILL)
        self.program(root, "dumpsys", f"cat <<'END'\n{THERMAL_STATE.format(status=0)}END")
        self.program(root, "cmd", f'echo "$*" >> {root}/asked')
        listed = "usb:1-4 product:phone7 model:Phone_7 device:phone7 transport_id:1"
        defaults = {"serial": serial, "state": "device", "listed": listed, "root": str(root)}
        self.configure(
            phones=[*self._configuration()["phones"], {**defaults, "path": "/usr/bin:/bin", **behaviour}]
        )
        return root

    def program(self, root: Path, name: str, script: str) -> None:
        self._executable(root / "bin" / name, f"#!/bin/sh\n{script}\n")

    def configure(self, **result: Any) -> None:
        """Change the behaviour of adb and of benchmark_model."""
        path = self.folder / "stand_in.json"
        path.write_text(json.dumps({**self._configuration(), **result}), encoding="utf-8")

    def log(self) -> list[list[str]]:
        """Return the arguments of every call of adb."""
        path = self.folder / "stand_in.log"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        (self.folder / "path").mkdir()
        self._executable(self.folder / "path" / "adb", _python(PROGRAMS / "adb.py"))
        self._executable(self.tool, _python(PROGRAMS / "benchmark_model.py"))
        monkeypatch.setenv("PATH", f"{self.folder / 'path'}:{os.environ['PATH']}")
        monkeypatch.setenv("ADB_STAND_IN", str(self.folder / "stand_in.json"))
        self.configure(texts=str(PROGRAMS))

    def _configuration(self) -> Any:
        path = self.folder / "stand_in.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"phones": []}

    def _executable(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


def _python(program: Path) -> str:
    return f"#!{sys.executable} -IS\n{program.read_text(encoding='utf-8')}"


@contextmanager
def standing_in(folder: Path) -> Iterator[StandIn]:
    """Put the stand-in on the PATH during the block."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        stand_in = StandIn(folder)
        stand_in.install(monkeypatch)
        yield stand_in

"""Behave like adb, for phones that ADB_STAND_IN describes: a JSON file {"phones": [{...}, ...]}.

A phone has a `serial`, a `state`, the rest of its line in `adb devices -l` (`listed`), and a folder (`root`)
with its files and its programs (`root/bin`). With `lost_at`: N, the connection is lost in the middle of the
N-th run of benchmark_model, and adb ends with `lost_exit`. With `server_starts`, adb first reports the start
of its daemon.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ON_THE_PHONE = ("/data/local/tmp", "/sys/devices", "/proc/cpuinfo")
STARTS = "* daemon not running; starting now at tcp:5037\n* daemon started successfully\n"
UNAUTHORIZED = """device unauthorized.
This adb server's $ADB_VENDOR_KEYS is not set
Try 'adb kill-server' if that seems wrong.
Otherwise check for a confirmation dialog on your device."""
REFUSALS = {
    "unauthorized": UNAUTHORIZED,
    "offline": "device offline",
    "authorizing": "device still authorizing",
}


def main(arguments: list[str]) -> int:
    configuration = json.loads(Path(os.environ["ADB_STAND_IN"]).read_text(encoding="utf-8"))
    with Path(os.environ["ADB_STAND_IN"]).with_suffix(".log").open("a", encoding="utf-8") as log:
        log.write(json.dumps(arguments) + "\n")
    phones = [phone for phone in configuration["phones"] if not (Path(phone["root"]) / "lost").exists()]
    if arguments == ["devices", "-l"]:
        return devices(phones, configuration)
    if arguments[:1] != ["-s"] or len(arguments) < 3:
        return fail("error: more than one device/emulator" if phones else "error: no devices/emulators found")
    serial, verb, rest = arguments[1], arguments[2], arguments[3:]
    phone = next((phone for phone in phones if phone["serial"] == serial), None)
    refusal = f"device '{serial}' not found" if phone is None else REFUSALS.get(phone["state"], "")
    if verb == "push":
        return fail(f"adb: error: failed to get feature set: {refusal}") if refusal else push(phone, *rest)
    if verb == "shell":
        return fail(f"error: {refusal}") if refusal else shell(phone, " ".join(rest))
    return fail(f"adb: unknown command {verb}")


def devices(phones: list[Any], configuration: Any) -> int:
    if configuration.get("server_starts"):
        sys.stderr.write(STARTS)
    rows = [f"{phone['serial']:<22} {phone['state']} {phone['listed']}\n" for phone in phones]
    sys.stdout.write("".join(["List of devices attached\n", *rows, "\n"]))
    return 0


def push(phone: Any, local: str, remote: str) -> int:
    target = Path(local_paths(phone, remote))
    if phone.get("is_full"):
        return fail(f"adb: error: failed to copy '{local}' to '{remote}': remote No space left on device")
    if not target.parent.is_dir():
        return fail(f"adb: error: failed to copy '{local}' to '{remote}': remote No such file or directory")
    target.write_bytes(Path(local).read_bytes())
    size = target.stat().st_size
    sys.stdout.write(f"{local}: 1 file pushed, 0 skipped. 21.3 MB/s ({size} bytes in 0.001s)\n")
    return 0


def shell(phone: Any, line: str) -> int:
    root = Path(phone["root"])
    path = {"PATH": f"{root}/bin:{phone['path']}", "ADB_STAND_IN": os.environ["ADB_STAND_IN"]}
    done = subprocess.run(
        ["/bin/sh", "-c", local_paths(phone, line)], env=path, cwd=root, capture_output=True, check=False
    )
    if "/benchmark_model --graph" in line and is_lost(phone, root):
        sys.stdout.buffer.write(done.stdout[: len(done.stdout) // 2])
        return int(phone.get("lost_exit", 0))
    sys.stdout.buffer.write(done.stdout.replace(b"\n", phone.get("newline", "\n").encode()))
    sys.stderr.buffer.write(done.stderr)
    return done.returncode


def is_lost(phone: Any, root: Path) -> bool:
    runs = int((root / "runs").read_text()) + 1 if (root / "runs").exists() else 1
    (root / "runs").write_text(str(runs))
    if runs == phone.get("lost_at"):
        (root / "lost").touch()
    return bool(runs == phone.get("lost_at"))


def local_paths(phone: Any, text: str) -> str:
    """Return the text with the paths of a phone replaced by those below its root."""
    for path in ON_THE_PHONE:
        text = text.replace(path, f"{phone['root']}{path}")
    return text


def fail(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

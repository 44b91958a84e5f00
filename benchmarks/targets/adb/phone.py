"""Control one phone through adb and describe its state; neither the cable nor the phone is trusted."""

from __future__ import annotations

import os
import re
import secrets
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dermpack.errors import InputError, escape_unprintable
from dermpack.processes.child_process import not_started_error
from dermpack.processes.limits import ending_with_parent

MOST_BYTES, BLOCK_BYTES = 8 << 20, 1 << 16  # of the output of one command, and of one read
POLL_SECONDS = 0.5  # between two checks whether adb has ended
COMMAND_SECONDS, PUSH_SECONDS = 30.0, 300.0
# adb returns no exit code from old phones, and 0 when the cable is pulled: the shell itself has to print it.
MARK = "dermpack-exit="
END = re.compile(rf"{MARK}(\d{{1,6}})\r?\n", re.ASCII)
HEADER = "List of devices attached"
READY = "device"
CHECK_CABLE = "Check the cable and measure again."
HINTS = {
    "unauthorized": "Unlock the phone and allow USB debugging from this computer.",
    "offline": "Reconnect the phone and check that USB debugging is enabled.",
    "authorizing": "Unlock the phone and try again.",
    "connecting": "Try again in a moment.",
    "no permissions": "Install Debian's android-sdk-platform-tools-common and join the group plugdev.",
}
# The one folder on a phone in which adb's user may both write and execute.
FOLDER = "/data/local/tmp"
# A measurement touches its folder before each process, so an older folder was left by one that was killed.
ABANDONED_MINUTES = 60
ABANDONED = f"{FOLDER} -maxdepth 1 -name 'dermpack-*' -mmin +{ABANDONED_MINUTES}"

PROPERTY = re.compile(r"^\[([^]\n]{1,200})\]: \[(.{0,4000})\]\s*$", re.MULTILINE)
CPU = "/sys/devices/system/cpu"
SECTION = "dermpack-section="
FACTS = {
    "properties": "getprop",
    "cpuinfo": "cat /proc/cpuinfo",
    "machine": "uname -m",
    "kernel": "uname -r",
    "cores": "nproc",
    "governors": f"cat {CPU}/cpu*/cpufreq/scaling_governor",
    "kilohertz": f"cat {CPU}/cpu*/cpufreq/cpuinfo_max_freq",
}
KILOHERTZ = re.compile(r"\d{1,9}", re.ASCII)
MOST_CHARACTERS = 1000  # of any one fact
# What adb calls a phone, such as R58M or 192.168.1.5:5555; it becomes the name of a target.
SERIAL = re.compile(r"[\w.:\[\]%@][\w.:\[\]%@-]{0,99}", re.ASCII)
MOST_PHONES = 100

STATUS = re.compile(r"^Thermal Status: (\d{1,6})\b", re.MULTILINE | re.ASCII)
STATUSES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
TEMPERATURE = re.compile(r"Temperature\{mValue=(-?[\d.]{1,12}), mType=(\d{1,6})\b", re.ASCII)
SENSORS = {"0": "CPU", "3": "skin"}  # android.hardware.thermal's TemperatureType
FROM_SENSORS = "Current temperatures from HAL:"  # after older, cached ones
# Keeps the clocks within bounds; since Android 11, not on every phone.
FIXED_CLOCKS = "cmd power set-fixed-performance-mode-enabled"


class PhoneLostError(InputError):
    """The connection to the phone ended."""


class PhoneSilentError(PhoneLostError):
    """A command on the phone did not end in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPhone:
    """A phone in the list of `adb devices -l`."""

    serial: str
    state: str
    model: str  # "" if adb does not know it


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutput:
    """The output and exit code of a command on the phone."""

    code: int
    text: str


def list_phones() -> tuple[ListedPhone, ...]:
    """Return every phone that adb lists, whatever its state."""
    _, text = _run_adb(("devices", "-l"), where="adb", seconds=COMMAND_SECONDS)
    phones = list[ListedPhone]()
    for row in text.partition(HEADER)[2].splitlines():
        # `R58M  device usb:1-4 product:p model:Pixel_7 …`, or `R58M  no permissions (…); see […]`
        serial, *words = row.split() or [""]
        if words and SERIAL.fullmatch(serial) and len(phones) < MOST_PHONES:
            state = "no permissions" if words[:2] == ["no", "permissions"] else words[0]
            models = [word.removeprefix("model:") for word in words if word.startswith("model:")]
            model = escape_unprintable(" ".join(models[:1]).replace("_", " "))[:MOST_CHARACTERS]
            phones.append(ListedPhone(serial=serial, state=state[:MOST_CHARACTERS], model=model))
    return tuple(phones)


def find_ready_phone(serial: str) -> ListedPhone:
    """Return the phone of that serial; raise InputError if it is not connected and ready."""
    if serial.startswith("-") or not serial.isprintable() or " " in serial:
        hint = 'Give a serial that "adb devices" lists.'
        raise InputError(f"adb:{serial}", "not a serial of a phone", hint, code="invalid-option")
    phone = next((phone for phone in list_phones() if phone.serial == serial), None)
    if phone is None:
        hint = 'List the connected phones with "adb devices".'
        raise InputError(f"adb:{serial}", "the phone is not connected", hint, code="phone-not-connected")
    require_ready(phone)
    return phone


def require_ready(phone: ListedPhone) -> None:
    """Raise InputError with a hint unless the phone is ready."""
    if phone.state != READY:
        what = f"the phone is not ready (state: {phone.state})"
        hint = HINTS.get(phone.state, "Wait until Android has started.")
        raise InputError(f"adb:{phone.serial}", what, hint, code="phone-not-ready")


def run_shell(serial: str, command: str, *, seconds: float = COMMAND_SECONDS) -> CommandOutput:
    """Run a command line on the phone and return its stdout and stderr together."""
    line = f"( {command}\n) 2>&1; echo {MARK}$?"
    _, text = _run_adb(("-s", serial, "shell", line), where=f"adb:{serial}", seconds=seconds)
    ends = list(END.finditer(text))
    if not ends:
        # adb prints a line of its own about some losses; mostly it prints nothing.
        errors = [line for line in text.splitlines() if line.startswith(("error:", "adb:"))]
        words = _last_line("\n".join(errors)) if errors else "the response is incomplete"
        what = f"the connection was lost ({words})"
        raise PhoneLostError(f"adb:{serial}", what, CHECK_CABLE, code="connection-lost")
    start, end = ends[-1].span()  # the shell may print about a crash after it
    return CommandOutput(code=int(ends[-1][1]), text=text[:start] + text[end:])


def push_file(serial: str, file: Path, destination: str) -> None:
    """Copy a file to the phone."""
    arguments = ("-s", serial, "push", str(file.absolute()), destination)
    code, text = _run_adb(arguments, where=f"adb:{serial}", seconds=PUSH_SECONDS)
    if code == 0:
        return
    why = _last_line(text)
    if not any(phone.serial == serial and phone.state == READY for phone in list_phones()):
        what = f"the connection was lost ({why})"
        raise PhoneLostError(f"adb:{serial}", what, CHECK_CABLE, code="connection-lost")
    what = f"{file.name} cannot be copied to the phone ({why})"
    raise InputError(f"adb:{serial}", what, f"Free space below {FOLDER}.", code="phone-storage")


@contextmanager
def private_folder(serial: str) -> Iterator[str]:
    """Yield a new folder on the phone; afterwards kill what runs from it and remove it."""
    folder = f"{FOLDER}/dermpack-{secrets.token_hex(8)}"
    sweep = f"find {ABANDONED} -exec rm -rf {{}} + 2>/dev/null"
    made = run_shell(serial, f"{sweep}; umask 077; mkdir {folder}")
    if made.code:
        what = f"a folder cannot be created on the phone ({_last_line(made.text)})"
        raise InputError(f"adb:{serial}", what, f"Free space below {FOLDER}.", code="phone-storage")
    try:
        yield folder
    finally:
        with suppress(PhoneLostError):  # the brackets keep pkill from finding its own shell
            run_shell(serial, f"pkill -f '{folder}/[b]enchmark_model'; rm -rf {folder}")


@contextmanager
def fixed_clocks(phone: ListedPhone) -> Iterator[Mapping[str, str]]:
    """Keep the clocks within bounds during the block if the phone can; yield whether it does."""
    is_fixed = run_shell(phone.serial, f"{FIXED_CLOCKS} true").code == 0
    try:
        yield {"fixed_performance_mode": "on" if is_fixed else "not offered by this phone"}
    finally:
        if is_fixed:
            with suppress(PhoneLostError):
                run_shell(phone.serial, f"{FIXED_CLOCKS} false")


def describe_phone(phone: ListedPhone) -> Mapping[str, str]:
    """Return what does not change while models run; what the phone does not report is left out."""
    commands = (f"echo {SECTION}{name}; {command} 2>/dev/null" for name, command in FACTS.items())
    sections = run_shell(phone.serial, "; ".join(commands)).text.split(SECTION)[1:]
    parts = (section.partition("\n") for section in sections)
    texts = {name.strip(): text.strip() for name, _, text in parts}
    properties = dict(PROPERTY.findall(texts.get("properties", "")))

    def join(*names: str) -> str:
        return " ".join(properties[name] for name in names if properties.get(name))

    features = (line for line in texts.get("cpuinfo", "").splitlines() if line.startswith("Features"))
    version, level = join("ro.build.version.release"), join("ro.build.version.sdk")
    # The cores of one kind report the same, so only the different words are kept.
    kilohertz = dict.fromkeys(texts.get("kilohertz", "").split())
    facts = {
        "device": join("ro.product.manufacturer", "ro.product.model") or phone.model,
        "soc": join("ro.soc.manufacturer", "ro.soc.model") or join("ro.board.platform"),
        "os": f"Android {version}" + (f" (API {level})" if level else "") if version else "",
        "build": join("ro.build.fingerprint"),
        "machine": texts.get("machine", ""),
        "abis": join("ro.product.cpu.abilist"),
        "cores": texts.get("cores", ""),
        "features": next(features, "").partition(":")[2],
        "governor": " ".join(dict.fromkeys(texts.get("governors", "").split())),
        "highest_mhz": " ".join(str(int(word) // 1000) for word in kilohertz if KILOHERTZ.fullmatch(word)),
        "kernel": texts.get("kernel", ""),
    }
    lines = ((name, escape_unprintable(" ".join(text.split()))) for name, text in facts.items())
    return {name: line[:MOST_CHARACTERS] for name, line in lines if line}


def read_thermal_state(phone: ListedPhone) -> Mapping[str, str]:
    """Return the temperatures and the throttling; empty for Android older than 10."""
    text = run_shell(phone.serial, "dumpsys thermalservice 2>/dev/null").text
    degrees: dict[str, float] = {}
    for value, kind in TEMPERATURE.findall(text.rpartition(FROM_SENSORS)[2]):
        with suppress(ValueError, KeyError):
            degrees[SENSORS[kind]] = max(float(value), degrees.get(SENSORS[kind], -273.15))
    state = {"temperature": ", ".join(f"{kind} {degrees[kind]:.1f} °C" for kind in sorted(degrees))}
    if status := STATUS.search(text):
        number = int(status[1])
        state["throttling"] = STATUSES[number] if number < len(STATUSES) else str(number)
    return {name: text for name, text in state.items() if text}


def is_throttled(state: Mapping[str, str]) -> bool:
    return state.get("throttling", STATUSES[0]) != STATUSES[0]


def _run_adb(arguments: Sequence[str], *, where: str, seconds: float) -> tuple[int, str]:
    """Return adb's exit code and output; too much output or too long a time is an error."""
    if (adb := shutil.which("adb")) is None:
        hint = "Install it (Debian: apt install adb) or add its folder to PATH."
        raise InputError("adb", "not installed", hint, code="missing-tool")
    try:
        process = subprocess.Popen(
            ending_with_parent([adb, *arguments]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise not_started_error(error) from error
    assert process.stdout
    output, until = bytearray(), time.monotonic() + seconds
    try:
        # A process that adb started can keep the pipe open after adb has ended: do not wait for its end.
        while (left := until - time.monotonic()) > 0:
            # Polled before the pipe: what adb wrote until its end is then read.
            has_ended = process.poll() is not None
            if not select.select([process.stdout], [], [], 0.0 if has_ended else min(left, POLL_SECONDS))[0]:
                if has_ended:
                    break
                continue
            data = os.read(process.stdout.fileno(), BLOCK_BYTES)
            output += data
            if not data:
                break
            if len(output) > MOST_BYTES:
                what = f"the phone sent more than {MOST_BYTES >> 20} MiB"
                raise InputError(where, what, "Use another phone.", code="invalid-response")
        with suppress(subprocess.TimeoutExpired):
            return process.wait(max(0.0, until - time.monotonic())), output.decode("utf-8", "replace")
        what = f"the phone did not respond within {seconds:.0f} s"
        raise PhoneSilentError(where, what, CHECK_CABLE, code="connection-lost")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return escape_unprintable(lines[-1])[:200] if lines else "no message"

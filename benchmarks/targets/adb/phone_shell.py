"""Talk to one phone through adb, believing neither the cable nor the phone."""

from __future__ import annotations

import re
import secrets
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from dermpack.errors import InputError

MOST_BYTES = 8 << 20  # of what a phone says to one question
QUESTION_SECONDS, PUSH_SECONDS = 30.0, 300.0
MARK = "dermpack-exit="  # adb tells no exit code where the phone is old, and 0 where the cable is pulled
END = re.compile(rf"{MARK}(\d+)\r?\n")
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
# The one place on a phone where adb's user may both write and execute.
ROOM = "/data/local/tmp"
# What a killed measurement left behind; a living one touches its folder before each process.
ABANDONED_MINUTES = 60
SWEEP = (
    f"find {ROOM} -maxdepth 1 -name 'dermpack-*' -mmin +{ABANDONED_MINUTES} -exec rm -rf {{}} + 2>/dev/null"
)


class PhoneLostError(InputError):
    """The phone does not answer any more."""


class PhoneSilentError(PhoneLostError):
    """A command on the phone does not end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPhone:
    """A phone as `adb devices -l` knows it."""

    serial: str
    state: str
    model: str  # "" where adb does not know it


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutput:
    """What a command on the phone printed, and how it ended."""

    code: int
    text: str


def listed() -> tuple[ListedPhone, ...]:
    """Every phone that adb knows, whatever its state."""
    _, text = _adb(("devices", "-l"), where="adb", seconds=QUESTION_SECONDS)
    _, _, rows = text.partition(HEADER)
    return tuple(_listed(row) for row in rows.splitlines() if len(row.split()) > 1)


def ready_phone(serial: str) -> ListedPhone:
    """The phone of that serial, able to work; any other state is refused with a hint."""
    if serial.startswith("-") or not serial.isprintable() or " " in serial:
        hint = 'Give a serial that "adb devices" lists.'
        raise InputError(f"adb:{serial}", "not a serial of a phone", hint, code="invalid-option")
    phone = next((phone for phone in listed() if phone.serial == serial), None)
    if phone is None:
        hint = 'List the connected phones with "adb devices".'
        raise InputError(f"adb:{serial}", "the phone is not connected", hint, code="phone-not-connected")
    refuse_unready(phone)
    return phone


def refuse_unready(phone: ListedPhone) -> None:
    if phone.state != READY:
        what = f"the phone is not ready (state: {phone.state})"
        hint = HINTS.get(phone.state, "Wait until Android has started.")
        raise InputError(f"adb:{phone.serial}", what, hint, code="phone-not-ready")


def shell(serial: str, command: str, *, seconds: float = QUESTION_SECONDS) -> CommandOutput:
    """One command line on the phone, its two outputs as one; an answer without an end is a lost phone."""
    line = f"( {command}\n) 2>&1; echo {MARK}$?"
    _, text = _adb(("-s", serial, "shell", line), where=f"adb:{serial}", seconds=seconds)
    ends = list(END.finditer(text))
    if not ends:
        what = f"the connection was lost ({_own_words(text)})"
        raise PhoneLostError(f"adb:{serial}", what, CHECK_CABLE, code="connection-lost")
    start, end = ends[-1].span()  # behind it may stand what the shell says of a crash
    return CommandOutput(code=int(ends[-1][1]), text=text[:start] + text[end:])


def push(serial: str, file: Path, to: str) -> None:
    """Copy a file to the phone."""
    arguments = ("-s", serial, "push", str(file.absolute()), to)
    code, text = _adb(arguments, where=f"adb:{serial}", seconds=PUSH_SECONDS)
    if code == 0:
        return
    why = _last_line(text)
    if not any(phone.serial == serial and phone.state == READY for phone in listed()):
        what = f"the connection was lost ({why})"
        raise PhoneLostError(f"adb:{serial}", what, CHECK_CABLE, code="connection-lost")
    what = f"{file.name} cannot be copied to the phone ({why})"
    raise InputError(f"adb:{serial}", what, f"Free space below {ROOM}.", code="phone-storage")


@contextmanager
def private_folder(serial: str) -> Iterator[str]:
    """A folder of our own on the phone, gone with all that runs from it, as long as the phone answers."""
    folder = f"{ROOM}/dermpack-{secrets.token_hex(8)}"
    made = shell(serial, f"{SWEEP}; umask 077; mkdir {folder}")
    if made.code:
        what = f"a folder cannot be created on the phone ({_last_line(made.text)})"
        raise InputError(f"adb:{serial}", what, f"Free space below {ROOM}.", code="phone-storage")
    try:
        yield folder
    finally:
        with suppress(PhoneLostError):  # the brackets keep this very command from being found
            shell(serial, f"pkill -f '{folder}/[b]enchmark_model'; rm -rf {folder}")


def _listed(row: str) -> ListedPhone:
    """`R58M  device usb:1-4 product:p model:Pixel_7 …`, or `R58M  no permissions (…); see […]`"""
    serial, rest = row.split(maxsplit=1)
    words = rest.split()
    state = "no permissions" if rest.startswith("no permissions") else words[0]
    model = next((word.removeprefix("model:") for word in words if word.startswith("model:")), "")
    return ListedPhone(serial=serial, state=state, model=model.replace("_", " "))


def _adb(arguments: Sequence[str], *, where: str, seconds: float) -> tuple[int, str]:
    """adb's exit code and all that it said; a phone that says too much, or takes too long, is cut off."""
    try:
        process = subprocess.Popen(
            ["adb", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        hint = "Install it (Debian: apt install adb) or add its folder to PATH."
        raise InputError("adb", "not installed", hint, code="missing-tool") from error
    timer = Timer(seconds, process.kill)
    try:
        timer.start()
        assert process.stdout
        said = process.stdout.read(MOST_BYTES + 1)
        if len(said) > MOST_BYTES:
            what = f"the phone sent more than {MOST_BYTES >> 20} MiB"
            raise InputError(where, what, "Use another phone.", code="invalid-response")
        if process.wait() == -signal.SIGKILL:
            what = f"the phone did not respond within {seconds:.0f} s"
            raise PhoneSilentError(where, what, CHECK_CABLE, code="connection-lost")
        return process.returncode, said.decode("utf-8", "replace")
    finally:
        timer.cancel()
        process.kill()
        process.communicate()


def _own_words(text: str) -> str:
    """What adb itself says of a loss; mostly it says nothing."""
    words = [line for line in text.splitlines() if line.startswith(("error:", "adb:"))]
    return _last_line("\n".join(words)) if words else "the response is incomplete"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no message"

"""What a phone is, how warm it is, and how fast its clocks may run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from benchmarks.targets.adb.phone_shell import ListedPhone, PhoneLostError, shell

PROPERTY = re.compile(r"^\[([^]]+)\]: \[(.*)\]\s*$", re.MULTILINE)
CPU = "/sys/devices/system/cpu"
STATUS = re.compile(r"^Thermal Status: (\d+)", re.MULTILINE)
STATUSES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
TEMPERATURE = re.compile(r"Temperature\{mValue=(-?[\d.]+), mType=(\d+)")
KINDS = {"0": "CPU", "3": "skin"}  # android.hardware.thermal's TemperatureType
FROM_SENSORS = "Current temperatures from HAL:"  # before it stand older ones
FIXED = (
    "cmd power set-fixed-performance-mode-enabled"  # clocks between bounds; since Android 11, not everywhere
)
SECTION = "dermpack-section="
ASKED = tuple(
    (name, f"{command} 2>/dev/null")  # what is missing says nothing
    for name, command in (
        ("properties", "getprop"),
        ("cpuinfo", "cat /proc/cpuinfo"),
        ("machine", "uname -m"),
        ("kernel", "uname -r"),
        ("cores", "nproc"),
        ("governors", f"cat {CPU}/cpu*/cpufreq/scaling_governor"),
        ("kilohertz", f"cat {CPU}/cpu*/cpufreq/cpuinfo_max_freq"),
    )
)
MOST_LETTERS = 1000  # of any one fact


def description(phone: ListedPhone) -> Mapping[str, str]:
    """What does not change while models run; what the phone does not tell is left out."""
    said = _sections(
        shell(phone.serial, "; ".join(f"echo {SECTION}{name}; {ask}" for name, ask in ASKED)).text
    )
    properties = dict(PROPERTY.findall(said.get("properties", "")))
    features = (line for line in said.get("cpuinfo", "").splitlines() if line.startswith("Features"))
    found = {
        "device": _words(properties, "ro.product.manufacturer", "ro.product.model") or phone.model,
        "soc": _words(properties, "ro.soc.manufacturer", "ro.soc.model")
        or _words(properties, "ro.board.platform"),
        "os": _android(properties),
        "build": _words(properties, "ro.build.fingerprint"),
        "machine": said.get("machine", ""),
        "abis": _words(properties, "ro.product.cpu.abilist"),
        "cores": said.get("cores", ""),
        "features": next(features, "").partition(":")[2],
        "governor": _different(said.get("governors", "")),
        "highest_mhz": _megahertz(_different(said.get("kilohertz", ""))),
        "kernel": said.get("kernel", ""),
    }
    return {name: text.strip()[:MOST_LETTERS] for name, text in found.items() if text.strip()}


def warmth(phone: ListedPhone) -> Mapping[str, str]:
    """How warm it is and whether it holds itself back; nothing where Android is older than 10."""
    text = shell(phone.serial, "dumpsys thermalservice 2>/dev/null").text
    status = STATUS.search(text)
    _, _, sensors = text.rpartition(FROM_SENSORS)
    degrees: dict[str, float] = {}
    for value, kind in TEMPERATURE.findall(sensors):
        with suppress(ValueError, KeyError):
            degrees[KINDS[kind]] = max(float(value), degrees.get(KINDS[kind], -273.15))
    found = {
        "temperature": ", ".join(f"{kind} {degrees[kind]:.1f} °C" for kind in sorted(degrees)),
        "throttling": _status(int(status[1])) if status else "",
    }
    return {name: text for name, text in found.items() if text}


def is_throttled(warm: Mapping[str, str]) -> bool:
    return warm.get("throttling", STATUSES[0]) != STATUSES[0]


@contextmanager
def fixed_clocks(phone: ListedPhone) -> Iterator[Mapping[str, str]]:
    """Bounded clocks while the block runs, where the phone offers them; yields whether it does."""
    said = shell(phone.serial, f"{FIXED} true")
    name = "fixed_performance_mode"
    try:
        yield {name: "not offered by this phone"} if said.code else {name: "on"}
    finally:
        if not said.code:
            with suppress(PhoneLostError):
                shell(phone.serial, f"{FIXED} false")


def _sections(text: str) -> Mapping[str, str]:
    """What was said to each question, by its name."""
    parts = (part.partition("\n") for part in text.split(SECTION)[1:])
    return {name.strip(): said.strip() for name, _, said in parts}


def _different(text: str) -> str:
    """The different words, in order: the cores of one kind say the same."""
    return " ".join(dict.fromkeys(text.split()))


def _megahertz(kilohertz: str) -> str:
    return " ".join(str(int(text) // 1000) for text in kilohertz.split() if text.isdigit())


def _words(properties: Mapping[str, str], *names: str) -> str:
    return " ".join(properties[name] for name in names if properties.get(name))


def _android(properties: Mapping[str, str]) -> str:
    version = properties.get("ro.build.version.release", "")
    level = properties.get("ro.build.version.sdk", "")
    return f"Android {version}" + (f" (API {level})" if level else "") if version else ""


def _status(number: int) -> str:
    return STATUSES[number] if number < len(STATUSES) else str(number)

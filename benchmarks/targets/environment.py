"""Say where models ran, by what /proc and /sys tell of it: {path: text} in, {name: line} out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from dermpack.errors import printable

CPU = "/sys/devices/system/cpu/cpu[0-9]*"
CPUINFO, MEMINFO, OS_RELEASE = "/proc/cpuinfo", "/proc/meminfo", "/etc/os-release"
DEVICE = ("/proc/device-tree/model", "/sys/class/dmi/id/product_name")
SOC = ("/sys/devices/soc0/machine", "/sys/devices/soc0/soc_id")
COMPATIBLE = "/proc/device-tree/compatible"  # "raspberrypi,4-model-b\0brcm,bcm2711"
GOVERNOR, HIGHEST_KHZ = f"{CPU}/cpufreq/scaling_governor", f"{CPU}/cpufreq/cpuinfo_max_freq"
QUOTA, HYPERVISOR = "/sys/fs/cgroup/cpu.max", "/sys/hypervisor/type"
LASTING = (CPUINFO, MEMINFO, OS_RELEASE, *DEVICE, *SOC, COMPATIBLE, GOVERNOR, HIGHEST_KHZ, QUOTA, HYPERVISOR)

TEMPERATURE = "/sys/class/thermal/thermal_zone*/temp"
NOW_KHZ, LOAD = f"{CPU}/cpufreq/scaling_cur_freq", "/proc/loadavg"
FIRMWARE = "/sys/devices/platform/soc/soc:firmware"  # of a Raspberry Pi
THROTTLED, VOLTAGE = f"{FIRMWARE}/get_throttled", f"{FIRMWARE}/raspberrypi-hwmon/hwmon/*/in0_lcrit_alarm"
THROTTLE_COUNT = f"{CPU}/thermal_throttle/core_throttle_count"  # of an Intel
PASSING = (TEMPERATURE, NOW_KHZ, LOAD, THROTTLED, VOLTAGE, THROTTLE_COUNT)

# ARM's own cores, by the part number in /proc/cpuinfo.
ARM, CORES = (
    "0x41",
    {
        **{"0xc07": "Cortex-A7", "0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55"},
        **{"0xd07": "Cortex-A57", "0xd08": "Cortex-A72", "0xd09": "Cortex-A73", "0xd0a": "Cortex-A75"},
        **{"0xd0b": "Cortex-A76", "0xd0c": "Neoverse-N1", "0xd0d": "Cortex-A77", "0xd40": "Neoverse-V1"},
        **{"0xd41": "Cortex-A78", "0xd44": "Cortex-X1", "0xd46": "Cortex-A510", "0xd47": "Cortex-A710"},
        **{"0xd49": "Neoverse-N2", "0xd4d": "Cortex-A715", "0xd80": "Cortex-A520", "0xd81": "Cortex-A720"},
    },
)
# Bits of a Raspberry Pi's throttling word.
THROTTLING = {
    **{
        0: "under-voltage now",
        1: "frequency capped now",
        2: "throttled now",
        3: "soft temperature limit now",
    },
    **{
        16: "under-voltage was",
        17: "frequency was capped",
        18: "was throttled",
        19: "soft limit was reached",
    },
}
PASSING_NAMES = ("temperature", "mhz", "load", "throttled", "under_voltage", "throttle_count")
BUSY = 0.5  # of a core's time that others take
SLOW_GOVERNORS = ("powersave", "conservative")
NUMBER = r"^-?[0-9]{1,9}$"
Texts = Mapping[str, str]


def lasting(texts: Texts) -> dict[str, str]:
    """What does not change while models run."""
    cpu = _fields(texts.get(CPUINFO, ""), ":")
    found = {
        "device": _first(texts, DEVICE),
        "soc": _first(texts, SOC) or texts.get(COMPATIBLE, "").split("\0")[-1] or cpu.get("Hardware", ""),
        "processor": _processor(texts.get(CPUINFO, "")),
        "features": cpu.get("Features") or cpu.get("flags", ""),
        "governor": _joined(texts, GOVERNOR),
        "highest_mhz": " ".join(_megahertz(texts, HIGHEST_KHZ)),
        "memory": _fields(texts.get(MEMINFO, ""), ":").get("MemTotal", ""),
        "quota": _quota(texts.get(QUOTA, "")),
        "virtual": texts.get(HYPERVISOR, "")
        or ("yes" if "hypervisor" in cpu.get("flags", "").split() else ""),
        "os": _fields(texts.get(OS_RELEASE, ""), "=").get("PRETTY_NAME", "").strip('"'),
        **{name: texts.get(name, "") for name in ("machine", "kernel", "python", "numpy")},
        "cores": next(iter(re.findall(NUMBER, texts.get("cores", ""))), ""),
    }
    return _lines(found)


def passing(texts: Texts) -> dict[str, str]:
    """What does change: how warm, how fast, how busy, and whether it was held back."""
    degrees = [of / 1000 for of in _numbers(texts, TEMPERATURE)]
    counts = list(_numbers(texts, THROTTLE_COUNT))
    found = {
        "temperature": f"{max(degrees):.1f} °C" if degrees else "",
        "mhz": " ".join(_megahertz(texts, NOW_KHZ)),
        "load": next(iter(re.findall(r"^\d{1,6}\.\d+", texts.get(LOAD, ""))), ""),
        "throttled": _throttled(texts.get(THROTTLED, "")),
        "under_voltage": {"0": "no", "1": "yes"}.get(_joined(texts, VOLTAGE), ""),
        "throttle_count": str(sum(counts)) if counts else "",
    }
    return _lines(found)


def around(before: Texts, after: Texts) -> dict[str, str]:
    """What lasted, and what passed twice: {"temperature_before": "48.0 °C", "temperature_after": …}."""
    lasted = {name: text for name, text in before.items() if name not in PASSING_NAMES}
    first = {f"{name}_before": before[name] for name in PASSING_NAMES if name in before}
    return {**lasted, **first, **{f"{name}_after": after[name] for name in PASSING_NAMES if name in after}}


def warnings(before: Texts, after: Texts) -> Iterator[str]:
    """What makes times here worth less than they look."""
    load, cores = before.get("load", "0"), before.get("cores", "1")
    if float(load) > BUSY * int(cores):
        yield f"other programs ran beside (load {load} on {cores} cores): times are longer than need be"
    if after.get("throttled", "never") not in ("never", before.get("throttled")):
        yield f"it was held back while it was measured: {after['throttled']}"
    if after.get("throttle_count", "0") != before.get("throttle_count", "0"):
        yield "it became too warm and was held back while it was measured"
    if before.get("governor") in SLOW_GOVERNORS:
        yield f"its clock is governed by {before['governor']}: it may be faster under performance"
    if before.get("virtual"):
        yield "it is a virtual machine: it shares its processor with others unseen"


def _processor(cpuinfo: str) -> str:
    """Each kind of core once: "Cortex-A55, Cortex-A76"."""
    blocks = [_fields(block, ":") for block in cpuinfo.split("\n\n")]
    named = (block.get("model name") or _core(block) for block in blocks)
    return ", ".join(dict.fromkeys(name for name in named if name))


def _core(block: Texts) -> str:
    part, maker = block.get("CPU part", ""), block.get("CPU implementer", "")
    return CORES.get(part, "") if maker == ARM and part in CORES else f"{maker} {part}".strip()


def _quota(text: str) -> str:
    """What a container may use: "150000 100000" → "1.5 processors"."""
    quota, _, period = text.partition(" ")
    is_limit = all(re.fullmatch(NUMBER, of) for of in (quota, period)) and int(period) > 0
    return f"{int(quota) / int(period):g} processors" if is_limit else ""


def _throttled(text: str) -> str:
    """A Raspberry Pi's word: "50000" → "under-voltage was, was throttled"."""
    if not re.fullmatch(r"(0x)?[0-9a-f]{1,8}", text):
        return ""
    word = int(text, 16)
    return ", ".join(name for bit, name in THROTTLING.items() if word >> bit & 1) or "never"


def _fields(text: str, separator: str) -> dict[str, str]:
    pairs = (line.partition(separator) for line in text.splitlines() if separator in line)
    return {name.strip(): of.strip() for name, _, of in pairs}


def _first(texts: Texts, names: tuple[str, ...]) -> str:
    return next((texts[name] for name in names if texts.get(name)), "")


def _all(texts: Texts, pattern: str) -> Iterator[str]:
    return (texts[name] for name in sorted(texts) if fnmatchcase(name, pattern))


def _joined(texts: Texts, pattern: str) -> str:
    """The different ones, in order."""
    return " ".join(dict.fromkeys(_all(texts, pattern)))


def _megahertz(texts: Texts, pattern: str) -> Iterator[str]:
    return (str(of // 1000) for of in dict.fromkeys(_numbers(texts, pattern)))


def _numbers(texts: Texts, pattern: str) -> Iterator[int]:
    return (int(of) for of in _all(texts, pattern) if re.fullmatch(NUMBER, of))


def _lines(found: Texts) -> dict[str, str]:
    return {name: printable(" ".join(text.split())) for name, text in found.items() if text}

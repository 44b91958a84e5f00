"""Describe the machine that ran models, from the texts of files in /proc and /sys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from dermpack.errors import escape_unprintable

CPU = "/sys/devices/system/cpu/cpu[0-9]*"
CPUINFO, MEMINFO, OS_RELEASE = "/proc/cpuinfo", "/proc/meminfo", "/etc/os-release"
DEVICE = ("/proc/device-tree/model", "/sys/class/dmi/id/product_name")
SOC = ("/sys/devices/soc0/machine", "/sys/devices/soc0/soc_id")
COMPATIBLE = "/proc/device-tree/compatible"  # "raspberrypi,4-model-b\0brcm,bcm2711"
GOVERNOR, HIGHEST_KHZ = f"{CPU}/cpufreq/scaling_governor", f"{CPU}/cpufreq/cpuinfo_max_freq"
QUOTA, HYPERVISOR = "/sys/fs/cgroup/cpu.max", "/sys/hypervisor/type"
FACT_FILES = (
    *(CPUINFO, MEMINFO, OS_RELEASE, *DEVICE, *SOC, COMPATIBLE, GOVERNOR, HIGHEST_KHZ, QUOTA, HYPERVISOR),
)

TEMPERATURE = "/sys/class/thermal/thermal_zone*/temp"
NOW_KHZ, LOAD = f"{CPU}/cpufreq/scaling_cur_freq", "/proc/loadavg"
FIRMWARE = "/sys/devices/platform/soc/soc:firmware"  # of a Raspberry Pi
THROTTLED, VOLTAGE = f"{FIRMWARE}/get_throttled", f"{FIRMWARE}/raspberrypi-hwmon/hwmon/*/in0_lcrit_alarm"
THROTTLE_COUNT = f"{CPU}/thermal_throttle/core_throttle_count"  # of an Intel processor
STATE_FILES = (TEMPERATURE, NOW_KHZ, LOAD, THROTTLED, VOLTAGE, THROTTLE_COUNT)
STATE_NAMES = ("temperature", "mhz", "load", "throttled", "under_voltage", "throttle_count")

# ARM's own cores, by the part number in /proc/cpuinfo.
ARM_LIMITED = "0x41"
ARM_CORES = {
    **{"0xc07": "Cortex-A7", "0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55"},
    **{"0xd07": "Cortex-A57", "0xd08": "Cortex-A72", "0xd09": "Cortex-A73", "0xd0a": "Cortex-A75"},
    **{"0xd0b": "Cortex-A76", "0xd0c": "Neoverse-N1", "0xd0d": "Cortex-A77", "0xd40": "Neoverse-V1"},
    **{"0xd41": "Cortex-A78", "0xd44": "Cortex-X1", "0xd46": "Cortex-A510", "0xd47": "Cortex-A710"},
    **{"0xd49": "Neoverse-N2", "0xd4d": "Cortex-A715", "0xd80": "Cortex-A520", "0xd81": "Cortex-A720"},
}
# The bits of a Raspberry Pi's throttling word.
THROTTLING_NOW = ("under-voltage now", "frequency capped now", "throttled now", "soft temperature limit now")
THROTTLING_WAS = ("under-voltage was", "frequency was capped", "was throttled", "soft limit was reached")
THROTTLING = {**dict(enumerate(THROTTLING_NOW)), **dict(enumerate(THROTTLING_WAS, start=16))}

BUSY = 0.5  # load of other programs, per core
SLOW_GOVERNORS = ("powersave", "conservative")
MOST_CHARACTERS = 4_000  # of one fact: the features of a processor are the longest
NUMBER = r"^-?[0-9]{1,9}$"
Texts = Mapping[str, str]


def read_machine_facts(texts: Texts) -> dict[str, str]:
    """Return what does not change while models run; what the machine does not report is left out."""
    cpu = _split_fields(texts.get(CPUINFO, ""), ":")
    is_virtual = "hypervisor" in cpu.get("flags", "").split()
    # "150000 100000" of a container: 1.5 processors
    quota, _, period = texts.get(QUOTA, "").partition(" ")
    has_quota = all(re.fullmatch(NUMBER, text) for text in (quota, period)) and int(period) > 0
    facts = {
        "device": _first(texts, DEVICE),
        "soc": _first(texts, SOC) or texts.get(COMPATIBLE, "").split("\0")[-1] or cpu.get("Hardware", ""),
        "processor": _name_processor(texts.get(CPUINFO, "")),
        "features": cpu.get("Features") or cpu.get("flags", ""),
        "governor": " ".join(dict.fromkeys(_match_files(texts, GOVERNOR))),
        "highest_mhz": _read_megahertz(texts, HIGHEST_KHZ),
        "memory": _split_fields(texts.get(MEMINFO, ""), ":").get("MemTotal", ""),
        "quota": f"{int(quota) / int(period):g} processors" if has_quota else "",
        "virtual": texts.get(HYPERVISOR, "") or ("yes" if is_virtual else ""),
        "os": _split_fields(texts.get(OS_RELEASE, ""), "=").get("PRETTY_NAME", "").strip('"'),
        **{name: texts.get(name, "") for name in ("machine", "kernel", "python", "numpy")},
        "cores": next(iter(re.findall(NUMBER, texts.get("cores", ""))), ""),
    }
    return _clean(facts)


def read_machine_state(texts: Texts) -> dict[str, str]:
    """Return what changes: the temperature, the clock, the load, and whether the machine was throttled."""
    degrees = [thousandths / 1000 for thousandths in _read_numbers(texts, TEMPERATURE)]
    counts, word = _read_numbers(texts, THROTTLE_COUNT), texts.get(THROTTLED, "")
    alarms = " ".join(dict.fromkeys(_match_files(texts, VOLTAGE)))
    bits = int(word, 16) if re.fullmatch(r"(0x)?[0-9a-f]{1,8}", word) else None
    throttled = [name for bit, name in THROTTLING.items() if bits is not None and bits >> bit & 1]
    state = {
        "temperature": f"{max(degrees):.1f} °C" if degrees else "",
        "mhz": _read_megahertz(texts, NOW_KHZ),
        "load": next(iter(re.findall(r"^\d{1,6}\.\d+", texts.get(LOAD, ""))), ""),
        "throttled": "" if bits is None else ", ".join(throttled) or "never",
        "under_voltage": {"0": "no", "1": "yes"}.get(alarms, ""),
        "throttle_count": str(sum(counts)) if counts else "",
    }
    return _clean(state)


def merge_states(before: Texts, after: Texts) -> dict[str, str]:
    """Return the facts and both states: {"temperature_before": "48.0 °C", "temperature_after": …}."""
    facts = {name: text for name, text in before.items() if name not in STATE_NAMES}
    first = {f"{name}_before": before[name] for name in STATE_NAMES if name in before}
    return {**facts, **first, **{f"{name}_after": after[name] for name in STATE_NAMES if name in after}}


def list_warnings(before: Texts, after: Texts) -> Iterator[str]:
    """Yield the reasons why times of this machine are less reliable than they look."""
    load, cores = before.get("load", "0"), before.get("cores", "1")
    if float(load) > BUSY * int(cores):
        yield f"other programs were running (load {load} on {cores} cores): the times are too long"
    if after.get("throttled", "never") not in ("never", before.get("throttled")):
        yield f"the processor was throttled during the measurement: {after['throttled']}"
    if after.get("throttle_count", "0") != before.get("throttle_count", "0"):
        yield "the processor became too warm and was throttled during the measurement"
    if before.get("governor") in SLOW_GOVERNORS:
        yield f"the governor of the clock is {before['governor']}: under performance it may be faster"
    if before.get("virtual"):
        yield "the target is a virtual machine, which shares its processor with others"


def _name_processor(cpuinfo: str) -> str:
    """Return each kind of core once: "Cortex-A55, Cortex-A76"."""
    names = []
    for block in (_split_fields(text, ":") for text in cpuinfo.split("\n\n")):
        part, maker = block.get("CPU part", ""), block.get("CPU implementer", "")
        arm_name = ARM_CORES.get(part, "") if maker == ARM_LIMITED else ""
        names.append(block.get("model name") or arm_name or f"{maker} {part}".strip())
    return ", ".join(dict.fromkeys(name for name in names if name))


def _split_fields(text: str, separator: str) -> dict[str, str]:
    pairs = (line.partition(separator) for line in text.splitlines() if separator in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _first(texts: Texts, names: tuple[str, ...]) -> str:
    return next((texts[name] for name in names if texts.get(name)), "")


def _read_megahertz(texts: Texts, pattern: str) -> str:
    """Return the different clocks of the cores: "1800 2400"."""
    return " ".join(str(kilohertz // 1000) for kilohertz in dict.fromkeys(_read_numbers(texts, pattern)))


def _read_numbers(texts: Texts, pattern: str) -> list[int]:
    return [int(text) for text in _match_files(texts, pattern) if re.fullmatch(NUMBER, text)]


def _match_files(texts: Texts, pattern: str) -> list[str]:
    return [texts[name] for name in sorted(texts) if fnmatchcase(name, pattern)]


def _clean(texts: Texts) -> dict[str, str]:
    """Make each text one printable line, and leave out the empty ones."""
    lines = ((name, escape_unprintable(" ".join(text.split()))) for name, text in texts.items())
    return {name: line[:MOST_CHARACTERS] for name, line in lines if line}

"""Reading what a device says of itself."""

from __future__ import annotations

import pytest

from benchmarks.protocol.environment import (
    FACT_FILES,
    STATE_FILES,
    list_warnings,
    merge_states,
    read_machine_facts,
    read_machine_state,
)

CPUS = "/sys/devices/system/cpu"
CPUINFO = """processor\t: 0
Features\t: fp asimd crc32
CPU implementer\t: 0x41
CPU part\t: 0xd05

processor\t: 1
Features\t: fp asimd crc32 asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b

Model\t\t: Raspberry Pi 5 Model B Rev 1.0"""
PI = {
    "/proc/cpuinfo": CPUINFO,
    "/proc/meminfo": "MemTotal:        8245752 kB\nMemFree: 1 kB",
    "/proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0",
    "/proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712",
    "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian',
    f"{CPUS}/cpu0/cpufreq/scaling_governor": "ondemand",
    f"{CPUS}/cpu1/cpufreq/scaling_governor": "ondemand",
    f"{CPUS}/cpu0/cpufreq/cpuinfo_max_freq": "1800000",
    f"{CPUS}/cpu1/cpufreq/cpuinfo_max_freq": "2400000",
    f"{CPUS}/cpu1/cpufreq/scaling_cur_freq": "1500000",
    "/sys/class/thermal/thermal_zone0/temp": "48312",
    "/sys/class/thermal/thermal_zone1/temp": "51200",
    "/proc/loadavg": "0.08 0.03 0.01 1/168 1234",
    "/sys/devices/platform/soc/soc:firmware/get_throttled": "50000",
    "machine": "aarch64",
    "cores": "4",
    "python": "3.11.2",
}


def test_a_raspberry_pi_is_recognized_by_its_device_tree() -> None:
    assert read_machine_facts(PI) == {
        "device": "Raspberry Pi 5 Model B Rev 1.0",
        "soc": "brcm,bcm2712",
        "processor": "Cortex-A55, Cortex-A76",
        "features": "fp asimd crc32 asimddp",
        "governor": "ondemand",
        "highest_mhz": "1800 2400",
        "memory": "8245752 kB",
        "os": "Debian GNU/Linux 12 (bookworm)",
        "machine": "aarch64",
        "cores": "4",
        "python": "3.11.2",
    }


def test_what_passes_is_read_apart() -> None:
    assert read_machine_state(PI) == {
        "temperature": "51.2 °C",
        "mhz": "1500",
        "load": "0.08",
        "throttled": "under-voltage was, was throttled",
    }


def test_what_cannot_be_read_is_left_out() -> None:
    assert read_machine_facts({}) == {} and read_machine_state({}) == {}


@pytest.mark.parametrize("spoilt", ["", "many", "\x1b[2J", "-" * 500, "9" * 400, "0x", "1 2"])
def test_spoilt_files_do_no_harm(spoilt: str) -> None:
    texts = dict.fromkeys(PI, spoilt)
    result = {**read_machine_facts(texts), **read_machine_state(texts)}
    assert all(text.isprintable() for text in result.values())
    assert list(list_warnings(result, result)) is not None


def test_the_quota_of_a_container_is_recorded() -> None:
    assert read_machine_facts({"/sys/fs/cgroup/cpu.max": "150000 100000"}) == {"quota": "1.5 processors"}
    assert read_machine_facts({"/sys/fs/cgroup/cpu.max": "max 100000"}) == {}


def test_what_was_before_and_after_stands_side_by_side() -> None:
    result = merge_states(
        {"os": "Linux", "temperature": "48.0 °C"}, {"temperature": "61.5 °C", "load": "1.0"}
    )
    expected = {"temperature_before": "48.0 °C", "temperature_after": "61.5 °C", "load_after": "1.0"}
    assert result == {"os": "Linux", **expected}


def test_conditions_that_limit_the_times_are_reported() -> None:
    before = {"load": "3.10", "cores": "2", "governor": "powersave", "throttled": "never", "virtual": "yes"}
    result = " / ".join(list_warnings(before, {"throttled": "throttled now", "throttle_count": "7"}))
    for word in ("load 3.10 on 2 cores", "throttled now", "too warm", "powersave", "virtual machine"):
        assert word in result


def test_a_quiet_place_needs_no_warning() -> None:
    quiet = {"load": "0.10", "cores": "4", "governor": "performance", "throttled": "never"}
    assert list(list_warnings(quiet, quiet)) == []


def test_nothing_is_read_that_identifies_a_single_device() -> None:
    assert not [name for name in (*FACT_FILES, *STATE_FILES) if "serial" in name or "uuid" in name]

from __future__ import annotations

import pytest

from bayeslat.collect import gpu_reading
from bayeslat.collect.gpu_reading import GpuReading, gpu_columns, throttle_reasons

NAMES = {
    "SwPowerCap": "sw_power_cap",
    "HwSlowdown": "hw_slowdown",
    "SwThermalSlowdown": "sw_thermal_slowdown",
    "HwThermalSlowdown": "hw_thermal_slowdown",
    "HwPowerBrakeSlowdown": "hw_power_brake",
}
HOT = GpuReading(1500, 6000, 71.5, 80, ("hw_thermal_slowdown", "hw_power_brake"), 1)
COOL = GpuReading(1900, 6251, 60.0, 61, ("sw_power_cap", "hw_power_brake"), 0)


@pytest.mark.parametrize("family", ["nvmlClocksEventReason", "nvmlClocksThrottleReason"])
def test_every_constant_of_pynvml_is_decoded(family: str) -> None:
    reason = "nvidia-ml-py (extra 'collect') is not installed"
    pynvml = pytest.importorskip("pynvml", reason=reason)
    constants = {n.removeprefix(family): v for n, v in vars(pynvml).items() if n.startswith(family)}
    mask_of_all = constants.pop("All")
    assert set(NAMES) < set(constants)
    for name, bit in constants.items():
        assert throttle_reasons(bit) == ((NAMES[name],) if name in NAMES else ())
    assert set(throttle_reasons(mask_of_all)) == set(NAMES.values())


def test_harmless_reasons_hide_no_other() -> None:
    assert throttle_reasons(0) == ()
    assert throttle_reasons(0x1 | 0x2 | 0x10 | 0x100) == ()
    assert throttle_reasons(0x1 | 0x20 | 0x2) == ("sw_thermal_slowdown",)
    assert throttle_reasons(1 << 40) == ()  # a bit that no driver sets yet


@pytest.mark.parametrize("pair", [(HOT, COOL), (COOL, HOT)])
def test_a_row_keeps_the_worse_of_both_readings(pair: tuple[GpuReading, GpuReading]) -> None:
    assert gpu_columns(*pair) == {
        "sm_clock_MHz": 1500,
        "mem_clock_MHz": 6000,
        "power_W": 71.5,
        "temperature_C": 80,
        "throttle_reasons": "sw_power_cap,hw_thermal_slowdown,hw_power_brake",
        "throttled": True,
        "other_processes": 1,
        "shared": True,
    }


def test_a_row_says_that_nothing_was_wrong() -> None:
    calm = GpuReading(throttle_reasons=(), other_processes=0)
    assert gpu_columns(calm, calm) == {
        "throttle_reasons": "",
        "throttled": False,
        "other_processes": 0,
        "shared": False,
    }


def test_what_no_reading_tells_is_left_out() -> None:
    silent = GpuReading()
    assert gpu_columns(silent, silent) == {}
    assert gpu_columns(silent, HOT) == gpu_columns(HOT, HOT)
    assert set(gpu_reading._THROTTLE_BITS) == set(NAMES.values())

"""Malformed hardware files: one clear error each, and all problems of a file at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayeslat.errors import HardwareError
from bayeslat.features.hardware import HardwareTable, load_hardware

REQUIRED = "mem_bw_GBps = 500\nboost_GHz = 1.5\nl2_MB = 8\n"
NEW = f"[gpus.new]\nbf16_tflops = 90\n{REQUIRED}"

MALFORMED = {
    "not TOML": ("[gpus.new\n", "is not valid TOML"),
    "duplicate table": (NEW + NEW, "is not valid TOML"),
    "nested too deeply": ("x = " + "[" * 5000, "is not valid TOML"),
    "empty file": ("", "has no table [gpus.KEY]"),
    "gpus is a number": ("gpus = 3\n", "has no table [gpus.KEY]"),
    "value outside": (f"mem_GB = 3\n{NEW}", "'mem_GB' stands outside [gpus.KEY]"),
    "value in gpus": (f"[gpus]\nl2_MB = 3\n{NEW}", "gpus.'l2_MB' = 3 must be a table"),
    "unknown field": (NEW + "bf16_tflop = 9\n", "did you mean bf16_tflops?"),
    "unlike any field": (NEW + "price = 9\n", "'price' is not a field of a GPU; known: name,"),
    "derived field": (NEW + "peak_tflops = 9\n", "'peak_tflops' is not a field"),
    "key as a field": (NEW + 'key = "x"\n', "is not a field of a GPU"),
    "table in a GPU": (NEW + "[gpus.new.more]\nx = 1\n", "'more' is not a field"),
    "missing field": (NEW.replace("l2_MB = 8\n", ""), "l2_MB is missing; add `l2_MB = VALUE`"),
    "no peak": (f"[gpus.new]\n{REQUIRED}", "has no peak; add at least one of fp32_tflops"),
    "negative": (NEW + "power_W = -300\n", "power_W = -300 must be a positive, finite number"),
    "zero": (NEW.replace("= 90", "= 0"), "bf16_tflops = 0 must be a positive, finite number"),
    "infinite": (NEW + "mem_GB = inf\n", "mem_GB = inf must be a positive, finite number"),
    "not a number": (NEW + "mem_GB = nan\n", "mem_GB = nan must be a positive, finite number"),
    "text for a number": (NEW + 'mem_GB = "80"\n', "mem_GB = '80' must be a positive"),
    "true for a number": (NEW + "mem_GB = true\n", "mem_GB = True must be a positive"),
    "clock in MHz": (NEW.replace("= 1.5", "= 1980"), "1980 MHz is 1.98"),
    "part of an SM": (NEW + "num_sm = 13.5\n", "num_sm = 13.5 must be a positive whole number"),
    "number for text": (NEW + "family = 9\n", "family = 9 must be quoted text"),
    "empty family": (NEW + 'family = " "\n', "family = ' ' must be quoted text that holds"),
    "one alias as text": (NEW + 'aliases = "x"\n', "aliases = 'x' must be a list of quoted"),
    "number as alias": (NEW + "aliases = [9]\n", "aliases = 9 must be a list of quoted"),
    "empty alias": (NEW + 'aliases = ["-"]\n', "aliases = '-' must be a list of quoted"),
    "empty key": (NEW.replace("gpus.new", 'gpus."_"'), "has no letter or digit in its key"),
    "alias of another": (NEW + 'aliases = ["Tesla_T4"]\n', "belongs to both 't4' and 'new'"),
    "name of another": (NEW + 'name = "nvidia l4"\n', "belongs to both 'l4' and 'new'"),
    "one GPU twice": (
        "[gpus.h100]\nl2_MB = 1\n[gpus.h100_sxm]\nl2_MB = 2\n",
        "[gpus.h100_sxm] and [gpus.h100] are both 'h100_sxm'; merge them",
    ),
    "two spellings": (NEW + NEW.replace("gpus.new", "gpus.NEW"), "belongs to both 'new' and 'NEW'"),
}


def load(folder: Path, text: str) -> HardwareTable:
    file = folder / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return load_hardware(file)


def test_the_base_of_the_malformed_files_is_well_formed(tmp_path: Path) -> None:
    assert load(tmp_path, NEW).require("new", "bf16_tflops") == 90


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_is_one_clear_error(tmp_path: Path, case: str) -> None:
    text, message = MALFORMED[case]
    with pytest.raises(HardwareError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "mine.toml"))
    assert str(caught.value).count("\n") <= 1  # one problem, told once
    assert all(len(line) < 400 for line in str(caught.value).splitlines())


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(HardwareError) as caught:
        load(
            tmp_path,
            'top = 1\n[gpus.a]\nprice = 1\nmem_bw_GBps = -1\n[gpus.l4]\naliases = ["t4"]\n'
            '[gpus."b c"]\nbf16_tflops = "x"\n',
        )
    first, *lines = str(caught.value).splitlines()
    assert first.endswith("mine.toml: 11 problems in the description of the hardware")
    beginnings = [
        "  - 'top' stands outside",
        "  - [gpus.a] mem_bw_GBps = -1 must be",
        "  - [gpus.a] boost_GHz is missing",
        "  - [gpus.a] l2_MB is missing",
        "  - [gpus.a] 'price' is not a field",
        "  - [gpus.a] has no peak",
        '  - [gpus."b c"] mem_bw_GBps is missing',
        "  - [gpus.\"b c\"] bf16_tflops = 'x' must be",
        '  - [gpus."b c"] boost_GHz is missing',
        '  - [gpus."b c"] l2_MB is missing',
        "  - name 't4' belongs to both",
    ]
    assert len(lines) == len(beginnings)
    assert [line[: len(start)] for line, start in zip(lines, beginnings, strict=True)] == beginnings


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str) -> None:
    with pytest.raises(HardwareError, match=r"cannot be read \(.+\); give the path"):
        load_hardware(tmp_path / name)


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(b"\xff\xfe[gpus]")
    with pytest.raises(HardwareError, match="is not valid TOML"):
        load_hardware(file)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbf" + NEW.encode())
    assert load_hardware(tmp_path / "mine.toml").find("new") is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    start=st.integers(0, len(NEW)),
    length=st.integers(0, 6),
    junk=st.text(max_size=4),
)
def test_a_damaged_file_loads_or_is_a_hardware_error(
    tmp_path: Path, start: int, length: int, junk: str
) -> None:
    outcome = ""
    try:
        load(tmp_path, NEW[:start] + junk + NEW[start + length :])
    except HardwareError as error:
        outcome = str(error)
    assert outcome == "" or outcome.startswith(str(tmp_path / "mine.toml"))

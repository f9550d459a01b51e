"""The hardware table: sanity of every shipped row, look-ups, overlays."""

from __future__ import annotations

import copy
import csv
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from bayeslat.errors import HardwareError, InputError
from bayeslat.features import hardware
from bayeslat.features.gpu import fold_name
from bayeslat.features.hardware import FIELDS, Gpu, HardwareTable, load_hardware

SPECS_CSV = Path(__file__).resolve().parents[2] / "../shared/data/gpu_specs.csv"
TABLE = load_hardware()
GPUS = list(TABLE.gpus.values())
CPUS = {"xeon_avx512", "xeon_amx", "zen3", "zen3_bfloat16", "zen4", "zen5"}
ACCELERATORS = [gpu for gpu in GPUS if gpu.family not in CPUS]
# Keys whose bandwidth and matrix peaks the CSV takes from a project that measures these GPUs.
SOURCED = [
    "a100_pcie",
    "a100_sxm",
    "a30",
    "b200_sxm",
    "b300_sxm",
    "b60",
    "gb200",
    "gb300",
    "h100_pcie",
    "h100_sxm",
    "h200_sxm",
    "l4",
    "l40s",
    "rtx_pro_6000_server",
    "a40",
]


def by_key(gpu: Gpu) -> str:
    return gpu.key


# --- the shipped rows


def test_the_table_is_large_enough_and_covers_the_makers() -> None:
    assert len(ACCELERATORS) >= 40
    assert {gpu.vendor for gpu in ACCELERATORS} == {"NVIDIA", "AMD", "Intel"}
    assert len(GPUS) - len(ACCELERATORS) == 16


@pytest.mark.parametrize("gpu", ACCELERATORS, ids=by_key)
def test_a_row_states_what_a_data_sheet_states(gpu: Gpu) -> None:
    for name in ("fp32_tflops", "fp16_tflops", "mem_GB", "power_W", "num_sm"):
        assert getattr(gpu, name) is not None, name
    assert gpu.source != "gpus.toml"
    assert gpu.vendor != "unknown"
    assert 1.0 <= gpu.boost_GHz <= (5.0 if gpu.family in CPUS else 3.0)
    assert 1 <= gpu.l2_MB <= 512


@pytest.mark.parametrize("gpu", GPUS, ids=by_key)
def test_vector_peak_agrees_with_units_and_clock(gpu: Gpu) -> None:
    """The peak is units x lanes x 2 x clock, so one wrong number of the three shows."""
    if gpu.fp32_tflops is None or gpu.num_sm is None:
        assert gpu.family in CPUS
        return
    lanes = gpu.fp32_tflops * 1e3 / (2 * gpu.num_sm * gpu.boost_GHz)
    assert any(abs(lanes / width - 1) < 0.12 for width in (16, 32, 64, 128)), lanes


@pytest.mark.parametrize("gpu", [gpu for gpu in ACCELERATORS if gpu.bf16_tflops], ids=by_key)
def test_matrix_peak_is_plausible_beside_the_bandwidth(gpu: Gpu) -> None:
    assert gpu.bf16_tflops is not None
    assert 30 <= gpu.bf16_tflops * 1e3 / gpu.mem_bw_GBps <= 500  # FLOP per byte
    assert gpu.fp32_tflops is None or gpu.bf16_tflops > 1.9 * gpu.fp32_tflops


@pytest.mark.parametrize("gpu", [gpu for gpu in GPUS if gpu.fp8_tflops], ids=by_key)
def test_fp8_doubles_bf16(gpu: Gpu) -> None:
    assert gpu.fp8_tflops is not None
    assert gpu.bf16_tflops is not None
    factor = 1 if gpu.key == "b60" else 2  # Xe2 runs fp8 at the rate of bf16
    assert gpu.fp8_tflops / gpu.bf16_tflops == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("gpu", [gpu for gpu in GPUS if gpu.fp4_tflops], ids=by_key)
def test_fp4_at_least_doubles_fp8(gpu: Gpu) -> None:
    assert gpu.fp4_tflops is not None
    assert gpu.fp8_tflops is not None
    assert 1.95 <= gpu.fp4_tflops / gpu.fp8_tflops <= 4


def test_chips_without_bf16_matrix_units_have_no_bf16_peak() -> None:
    old = {gpu.family for gpu in GPUS if gpu.bf16_tflops is None and gpu.family not in CPUS}
    assert old == {"pascal", "volta", "turing"}


def test_every_name_means_one_gpu() -> None:
    owners: dict[str, set[str]] = {}
    for gpu in GPUS:
        for label in (gpu.key, gpu.name, *gpu.aliases):
            owners.setdefault(fold_name(label), set()).add(gpu.key)
    assert {label: keys for label, keys in owners.items() if len(keys) > 1} == {}


@pytest.mark.parametrize(
    ("key", "boost_GHz", "l2_MB"),
    [
        ("a100_sxm", 1.41, 40),
        ("h100_sxm", 1.98, 50),
        ("h200_sxm", 1.98, 60),
        ("l4", 2.04, 48),
        ("l40s", 2.52, 96),
        ("b200_sxm", 1.965, 126),
    ],
)
def test_clock_and_cache_that_the_model_leans_on(key: str, boost_GHz: float, l2_MB: float) -> None:
    assert TABLE.gpus[key].boost_GHz == boost_GHz
    assert TABLE.gpus[key].l2_MB == l2_MB


def test_the_two_blackwells_are_two_families() -> None:
    families = {key: TABLE.gpus[key].family for key in ("b200_sxm", "gb200", "b300_sxm", "gb300")}
    assert set(families.values()) == {"blackwell"}
    assert TABLE.gpus["rtx_pro_6000_server"].family == "blackwell_rtx"


def test_cpu_peaks_follow_the_formula_in_their_source() -> None:
    for threads in (1, 2):
        fp32, bf16 = (TABLE.resolve(f"xeon_{threads}t_{kind}") for kind in ("fp32", "bf16"))
        assert fp32.peak_tflops == pytest.approx(threads * 64 * fp32.boost_GHz / 1e3)
        assert bf16.peak_tflops == pytest.approx(threads * 1024 * bf16.boost_GHz / 1e3)
        assert fp32.num_sm == bf16.num_sm == threads
        assert bf16.fp32_tflops == fp32.fp32_tflops
        assert (fp32.family, bf16.family) == ("xeon_avx512", "xeon_amx")
        fp32, bf16 = (TABLE.resolve(f"epyc_{threads}t_{kind}") for kind in ("fp32", "bf16"))
        assert fp32.peak_tflops == pytest.approx(threads * 64 * fp32.boost_GHz / 1e3)
        assert bf16.peak_tflops == pytest.approx(threads * 128 * bf16.boost_GHz / 1e3)


# --- the shared specifications


@pytest.fixture(scope="module")
def specs() -> list[dict[str, str]]:
    if not SPECS_CSV.exists():
        pytest.skip("needs ../shared/data/gpu_specs.csv, which is not part of the project")
    with SPECS_CSV.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_key_of_the_specifications_is_known(specs: list[dict[str, str]]) -> None:
    assert [row["gpu"] for row in specs if TABLE.find(row["gpu"]) is None] == []
    assert TABLE.resolve("a100").key == "a100_sxm"
    assert TABLE.resolve("NVIDIA_H100_80GB_HBM3").key == "h100_sxm"
    assert TABLE.resolve("NVIDIA_A100_80GB_PCIe").key == "a100_pcie"


def test_sourced_values_are_taken_over(specs: list[dict[str, str]]) -> None:
    rows = {row["gpu"]: row for row in specs}
    for key in SOURCED:
        for name in ("mem_bw_GBps", "bf16_tflops", "fp8_tflops", "fp4_tflops"):
            expected = float(rows[key][name]) if rows[key][name] else None
            assert getattr(TABLE.gpus[key], name) == expected, (key, name)


# --- look-ups


@given(gpu=st.sampled_from(GPUS), data=st.data())
def test_spelling_makes_no_difference(gpu: Gpu, data: st.DataObject) -> None:
    label = data.draw(st.sampled_from((gpu.key, gpu.name, *gpu.aliases)))
    gaps = st.text(alphabet=" -_", max_size=2)
    spelt = ""
    for letter in label:
        letter = data.draw(gaps) if letter in " -_" else letter
        spelt += data.draw(st.sampled_from((letter.lower(), letter.upper()))) + data.draw(gaps)
    assert TABLE.resolve(spelt) is gpu


@given(name=st.text(max_size=30))
def test_any_other_text_is_an_error_that_names_known_gpus(name: str) -> None:
    assume(TABLE.find(name) is None)
    with pytest.raises(HardwareError, match="nearest: "):
        TABLE.resolve(name)
    near = TABLE.nearest(name)
    assert len(set(near)) == 3
    assert set(near) <= set(TABLE.gpus)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("h100_smx", "h100_sxm"), ("NVIDIA L40-S PCIe", "l40s"), ("MI300", "mi300x")],
)
def test_a_typing_error_finds_the_gpu_that_was_meant(name: str, meant: str) -> None:
    assert meant in TABLE.nearest(name)
    assert len(TABLE.nearest(name, n=5)) == 5


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(name=st.text(max_size=30))
@example(name="H100.SXM")  # whose key would be that of another GPU
def test_the_lines_of_an_unknown_gpu_make_it_known(tmp_path: Path, name: str) -> None:
    assume(TABLE.find(name) is None)
    with pytest.raises(HardwareError) as caught:
        TABLE.resolve(name)
    lines = str(caught.value).split("\n\n", 1)[1]
    file = tmp_path / "more.toml"
    file.write_text(lines, encoding="utf-8")
    with pytest.raises(HardwareError, match="4 problems"):  # nothing has been filled in yet
        load_hardware(file)
    file.write_text(lines.replace(" = 0 ", " = 2.5 "), encoding="utf-8")
    key = next(iter(tomllib.loads(lines)["gpus"]))
    assert TABLE.find(key) is None  # so that no other GPU is changed
    added = load_hardware(file)
    assert added.resolve(name if fold_name(name) else key).key == key
    assert added.gpus[key].fields()["l2_MB"] == 2.5


@pytest.mark.parametrize(
    ("needed", "asked"),
    [
        ((), ["mem_bw_GBps", "bf16_tflops", "boost_GHz", "l2_MB"]),
        (("fp16_tflops",), ["mem_bw_GBps", "fp16_tflops", "boost_GHz", "l2_MB"]),
        (
            ("num_sm", "peak_tflops", "mem_bw_GBps"),
            ["mem_bw_GBps", "bf16_tflops", "num_sm", "boost_GHz", "l2_MB"],
        ),
    ],
)
def test_an_unknown_gpu_is_asked_for_what_the_spec_uses(
    needed: tuple[str, ...], asked: list[str]
) -> None:
    with pytest.raises(HardwareError) as caught:
        TABLE.resolve("rtx_9999", needed)
    (entry,) = tomllib.loads(str(caught.value).split("\n\n", 1)[1])["gpus"].values()
    assert list(entry) == asked


@pytest.mark.parametrize("name", [None, 3, ["l40s"]])
def test_what_is_no_text_is_no_name(name: object) -> None:
    with pytest.raises(InputError) as caught:
        load_hardware().resolve(name)  # type: ignore[arg-type]
    assert str(caught.value) == f"gpu is {name!r}; name one of the hardware table, as 'h100_sxm'"


def test_a_field_is_required_by_gpu_and_name() -> None:
    assert TABLE.require("NVIDIA H100 80GB HBM3", "bf16_tflops") == 989.0
    assert TABLE.require("t4", "peak_tflops") == 65.0
    for gpu in GPUS:
        assert {name: TABLE.require(gpu.key, name) for name in gpu.fields()} == gpu.fields()


def test_a_missing_field_shows_the_lines_to_add(tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match=r"GPU 't4' has no bf16_tflops .*fp16_tflops") as caught:
        TABLE.require("Tesla T4", "bf16_tflops")
    lines = str(caught.value).split("\n\n", 1)[1]
    file = tmp_path / "more.toml"
    file.write_text(lines.replace(" = 0 ", " = 33 "), encoding="utf-8")
    assert load_hardware(file).require("Tesla T4", "bf16_tflops") == 33.0


def test_an_unknown_field_lists_the_known_ones() -> None:
    with pytest.raises(HardwareError, match="'bf17_tflops' is not a hardware field") as caught:
        TABLE.require("t4", "bf17_tflops")
    assert all(name in str(caught.value) for name in FIELDS)


# --- with the GPUs of a fit


def own_gpu(**values: object) -> Gpu:
    entry = {"key": "x9000", "name": "X 9000", "aliases": ("NVIDIA X9000",), **values}
    return TABLE.resolve("l40s").model_copy(update=entry)


def test_a_gpu_of_a_fit_is_found_by_any_of_its_names() -> None:
    table = TABLE.extended({"x9000": own_gpu()})
    assert {table.resolve(name).key for name in ("x9000", "X-9000", "nvidia x9000")} == {"x9000"}
    assert set(table.gpus) == {"x9000", *TABLE.gpus}
    assert TABLE.find("x9000") is None


def test_the_values_of_a_fit_come_first_and_aliases_add_up() -> None:
    fitted = TABLE.resolve("h100_sxm").model_copy(update={"l2_MB": 1.0, "aliases": ("Mine",)})
    table = TABLE.extended({"h100_sxm": fitted})
    assert table.resolve("mine").l2_MB == table.resolve("NVIDIA H100 80GB HBM3").l2_MB == 1.0


def test_a_name_that_a_fit_and_the_table_claim_is_that_of_the_fit() -> None:
    table = TABLE.extended({"x9000": own_gpu(aliases=("NVIDIA H100 80GB HBM3", "A100-SXM"))})
    assert table.resolve("NVIDIA H100 80GB HBM3").key == "x9000"
    assert table.resolve("h100_sxm").key == "h100_sxm"
    assert table.resolve("a100 sxm").key == "x9000"


# --- the table as a value


def test_loading_is_quick_and_done_once() -> None:
    seconds = []
    for _ in range(5):
        hardware._load_shipped.cache_clear()
        start = time.process_time()
        load_hardware()
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.03
    assert load_hardware() is load_hardware()


def test_a_table_is_a_frozen_value() -> None:
    twin = copy.deepcopy(TABLE)  # the protocol that also sends it to worker processes
    assert twin is not TABLE
    assert twin == TABLE
    assert hash(twin) == hash(TABLE)
    assert twin.resolve("Tesla T4") == TABLE.gpus["t4"]
    with pytest.raises(TypeError):
        TABLE.gpus["t4"] = TABLE.gpus["l4"]  # type: ignore[index]


def test_two_gpus_of_one_name_make_no_table() -> None:
    twin = TABLE.gpus["l4"].model_copy(update={"key": "twin"})
    with pytest.raises(HardwareError, match="'l4' and 'twin'"):
        HardwareTable({"l4": TABLE.gpus["l4"], "twin": twin})


# --- overlays


def overlay(tmp_path: Path, text: str) -> HardwareTable:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return load_hardware(file)


def test_listed_fields_replace_those_of_a_shipped_gpu(tmp_path: Path) -> None:
    table = overlay(tmp_path, '[gpus.l4]\nboost_GHz = 1.2\naliases = ["my card"]\n')
    changed = table.resolve("MY-CARD")
    assert changed.boost_GHz == 1.2
    assert changed.fields() == TABLE.gpus["l4"].fields() | {"boost_GHz": 1.2}
    assert table.resolve("NVIDIA L4") is changed
    assert load_hardware().gpus["l4"].boost_GHz == 2.04
    assert list(table.gpus) == list(TABLE.gpus)


@pytest.mark.parametrize("label", ["h100", "H100-SXM", '"NVIDIA H100 80GB HBM3"'])
def test_any_name_of_a_shipped_gpu_changes_it(tmp_path: Path, label: str) -> None:
    table = overlay(tmp_path, f"[gpus.{label}]\npower_W = 500\n")
    assert table.gpus["h100_sxm"].power_W == 500
    assert len(table.gpus) == len(TABLE.gpus)


def test_a_new_gpu_needs_four_values(tmp_path: Path) -> None:
    table = overlay(
        tmp_path,
        "[gpus.my-gpu]\nmem_bw_GBps = 500\nfp16_tflops = 90\nboost_GHz = 1.5\nl2_MB = 8\n",
    )
    gpu = table.resolve("My GPU")
    assert (gpu.key, gpu.name, gpu.vendor) == ("my-gpu", "my-gpu", "unknown")
    assert gpu.family == "my_gpu"
    assert gpu.source == "mine.toml"
    assert list(table.gpus) == [*TABLE.gpus, "my-gpu"]


@pytest.mark.parametrize("family", ["Xe-HPC", "xehpc", "XE HPC"])
def test_a_new_gpu_joins_its_family_however_spelt(tmp_path: Path, family: str) -> None:
    table = overlay(
        tmp_path,
        f'[gpus.pvc]\nfamily = "{family}"\n'
        "mem_bw_GBps = 500\nfp16_tflops = 90\nboost_GHz = 1.5\nl2_MB = 8\n",
    )
    assert table.gpus["pvc"].family == table.gpus["max_1100"].family == "xe_hpc"


def test_a_path_may_be_text(tmp_path: Path) -> None:
    overlay(tmp_path, "[gpus.l4]\nl2_MB = 40\n")
    assert load_hardware(str(tmp_path / "mine.toml")).gpus["l4"].l2_MB == 40

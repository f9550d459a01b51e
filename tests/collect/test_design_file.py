from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeslat.collect.design_cells import COLUMNS
from bayeslat.collect.design_file import read_design
from bayeslat.collect.knobs import Knobs
from bayeslat.collect.limits import VlmLimits
from bayeslat.errors import TraceError
from bayeslat.traces import write_table

LIMITS = VlmLimits(
    image_pixels=192,
    pixel_step=32,
    pixels_per_token=32,
    markers_per_crop=2,
    experts=16,
    top_k=4,
    blocks=12,
    least_blocks=3,
    context_tokens=4096,
)
ONE_SIZE = replace(LIMITS, image_pixels=384, pixel_step=0, pixels_per_token=14)  # 27 x 27 tokens
BASE = Knobs(
    image_crops=1,
    image_pixels=192,
    prompt_tokens=64,
    output_tokens=16,
    top_k=4,
    active_blocks=12,
    batch_size=1,
    dtype="float32",
)
KNOBS = st.builds(
    Knobs,
    image_crops=st.integers(1, 8),
    image_pixels=st.integers(1, 12).map(lambda side: 32 * side),
    prompt_tokens=st.integers(17, 500),
    output_tokens=st.integers(1, 100),
    top_k=st.integers(1, 16),
    active_blocks=st.integers(3, 12),
    batch_size=st.integers(1, 100),
    dtype=st.sampled_from(("float32", "bfloat16")),
    task=st.sampled_from((None, "qa", "captioning")),
)


@pytest.fixture(params=["csv", "parquet", "jsonl"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"design.{request.param}"


def read(
    path: Path, *rows: dict[str, Any], base: Knobs = BASE, limits: VlmLimits = LIMITS
) -> tuple[Knobs, ...]:
    write_table(pd.DataFrame(list(rows)), path)
    return read_design(path, base, limits)


def problems(path: Path, *rows: dict[str, Any], limits: VlmLimits = LIMITS) -> str:
    with pytest.raises(TraceError) as caught:
        read(path, *rows, limits=limits)
    assert str(path) in str(caught.value)
    assert caught.value.violations
    return str(caught.value)


def test_what_suggest_writes(path: Path) -> None:
    extra = {"gpu": "l4", "rank": 1, "gain": 0.5, "cost_ms": 9.5, "config_id": 7, "t_vision_ms": 1}
    knobs = {"vision_tokens": 128, "image_crops": 2, "prompt_tokens": 40, "top_k": 3}
    knobs |= {"active_blocks": 9, "batch_size": 4, "output_tokens": 8, "dtype_bytes": 4}
    (found,) = read(path, knobs | extra)
    assert found == Knobs(
        image_crops=2,
        image_pixels=256,
        prompt_tokens=40,
        output_tokens=8,
        top_k=3,
        active_blocks=9,
        batch_size=4,
        dtype="float32",
    )


@settings(max_examples=40)
@given(st.lists(KNOBS, min_size=1, max_size=5), st.booleans())
def test_configurations_come_back(
    tmp_path_factory: pytest.TempPathFactory, design: list[Knobs], by_tokens: bool
) -> None:
    rows = [asdict(knobs) | {"vision_tokens": knobs.vision_tokens(LIMITS)} for knobs in design]
    if by_tokens:
        rows = [{k: v for k, v in row.items() if k != "image_pixels"} for row in rows]
    folder = tmp_path_factory.mktemp("design")
    assert read(folder / "d.csv", *rows) == tuple(dict.fromkeys(design))


def test_what_a_row_leaves_out_is_as_in_the_base(path: Path) -> None:
    base = replace(BASE, image_crops=2, task="qa", dtype="float16")
    first, second = read(path, {"top_k": 2, "batch_size": 4.0}, {"top_k": None}, base=base)
    assert first == replace(base, top_k=2, batch_size=4)
    assert second == base


def test_a_task_sets_the_lengths_that_a_row_lacks(path: Path) -> None:
    rows = read(
        path,
        {"task": "captioning", "prompt_tokens": None},
        {"task": "captioning", "prompt_tokens": 50},
        {"task": None, "prompt_tokens": 50},
    )
    assert [(each.task, each.prompt_tokens, each.output_tokens) for each in rows] == [
        ("captioning", 32, 96),
        ("captioning", 50, 96),
        (None, 50, 16),
    ]


def test_a_configuration_is_kept_once_in_order(path: Path) -> None:
    rows = read(path, {"top_k": 2, "rank": 1}, {"top_k": 1, "rank": 2}, {"top_k": 2, "rank": 3})
    assert [each.top_k for each in rows] == [2, 1]


def test_a_model_with_one_image_size(path: Path) -> None:
    base = replace(BASE, image_pixels=384)
    rows = {"vision_tokens": 1458, "image_crops": 2}
    (knobs,) = read(path, rows, base=base, limits=ONE_SIZE)
    assert knobs.image_pixels == 384
    text = problems(path, rows | {"vision_tokens": 1457}, limits=ONE_SIZE)
    assert "vision_tokens = 1457 is not 1458 (image_crops = 2 of image_pixels = 384" in text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"top_k": 4.5}, "column 'top_k': must be a whole number, 1 or more"),
        ({"top_k": 0}, "column 'top_k': must be a whole number"),
        ({"top_k": "four"}, "(found 'four')"),
        ({"top_k": 17}, "column 'top_k': top_k = 17 is not 1 to 16 (each block has 16 experts); c"),
        ({"vision_tokens": 37}, "is not the square of a whole number for each of image_crops = 1"),
        ({"vision_tokens": 37}, "try 36 or 49"),
        ({"vision_tokens": 2, "image_crops": 3}, "image_crops = 3; try 3"),
        ({"vision_tokens": 64, "image_pixels": 192}, "vision_tokens = 64 is not 36"),
        ({"vision_tokens": 64, "image_pixels": 192}, "correct one of them"),
        ({"image_pixels": 200}, "image_pixels = 200 is not a multiple of 32"),
        ({"vision_tokens": 10_000}, "row 1: image_crops = 1 is too many: with 10000 vision"),
        ({"task": "ocr"}, "task = 'ocr' is not one of qa, captioning"),
        ({"dtype": "fp8"}, "dtype = 'fp8' is not one of"),
        ({"dtype_bytes": 2}, "is not 4, those of float32; measure in bfloat16 or float16"),
        ({"dtype_bytes": 4, "dtype": "float16"}, "is not 2, those of float16; measure in float32"),
        ({"dtype_bytes": 3}, "dtype_bytes = 3 is not 4, those of float32; correct it"),
        ({"gain": 1.0}, "no column is a knob; add one of vision_tokens, image_crops,"),
        ({"topk": 1}, "column 'topk': is no knob; rename it to 'top_k'"),
        ({"Batch size": 1, "top_k": 1}, "rename it to 'batch_size'"),
        ({"prompt_token": 40, "top_k": 1}, "rename it to 'prompt_tokens'"),
    ],
)
def test_a_row_that_cannot_be_measured(path: Path, row: dict[str, Any], message: str) -> None:
    assert message in problems(path, row)


def test_all_that_is_wrong_is_told_at_once_with_its_rows(path: Path) -> None:
    rows = [{"top_k": 4, "active_blocks": 12, "batch_size": 1, "vision_tokens": 36}] * 6
    rows = [dict(row) for row in rows]
    rows[1]["top_k"] = 99
    rows[2] |= {"top_k": 99, "active_blocks": 2}
    rows[4]["vision_tokens"] = 35
    text = problems(path, *rows, {"batch_size": 1.5, "active_blocks": 13})
    assert text.startswith("5 problems:")
    assert "rows 2-3, column 'top_k'" in text
    assert "row 3, column 'active_blocks': active_blocks = 2" in text
    assert "row 5, column 'vision_tokens': vision_tokens = 35" in text
    assert "row 7, column 'batch_size': must be a whole" in text
    assert "row 7, column 'active_blocks': active_blocks = 13" in text


def test_a_long_list_is_cut(path: Path) -> None:
    text = problems(path, *({"top_k": 100 + i} for i in range(30)))
    assert "and 10 more problems" in text


def test_nothing_is_said_about_what_follows_from_an_unreadable_cell(path: Path) -> None:
    text = problems(path, {"image_crops": 1.5, "prompt_tokens": 2, "vision_tokens": 50})
    assert "problems" not in text  # one: neither markers nor the tokens of a crop are known


def test_numbers_written_as_text(tmp_path: Path) -> None:
    assert "must be a whole number" in problems(tmp_path / "d.jsonl", {"top_k": "4"})


def test_words_written_as_numbers(tmp_path: Path) -> None:
    assert "column 'dtype': must be text" in problems(tmp_path / "d.jsonl", {"dtype": 32})
    assert "column 'task': must be text" in problems(tmp_path / "d.jsonl", {"task": 1})


def test_a_file_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("top_k\n", encoding="utf-8")
    with pytest.raises(TraceError, match="has no rows"):
        read_design(path, BASE, LIMITS)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"none\.csv"):
        read_design(tmp_path / "none.csv", BASE, LIMITS)


def test_every_knob_is_a_column() -> None:
    assert set(COLUMNS) == {*asdict(BASE), "vision_tokens", "dtype_bytes"}

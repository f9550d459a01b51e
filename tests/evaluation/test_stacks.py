"""Which stack of a GPU is meant."""

from __future__ import annotations

import pandas as pd
import pytest

from bayeslat.errors import InputError
from bayeslat.evaluation.stacks import choose_stack, rows_of_stack
from bayeslat.posterior import Posterior
from tests.posteriors import make_data, make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

GPU = "l40s"


def rows_with(*stacks: str | None) -> pd.DataFrame:
    return pd.DataFrame({"stack": list(stacks)}, dtype=object)


def test_the_stack_that_is_named_is_meant() -> None:
    assert choose_stack(make_data(), GPU, "v2", rows_with("v1", "v1")) == "v2"


def test_of_a_gpu_that_was_not_measured_the_rows_tell() -> None:
    data = make_data()
    assert choose_stack(data, GPU, None, pd.DataFrame({"context": [1]})) == ""
    assert choose_stack(data, GPU, None, rows_with(None, None)) == ""
    assert choose_stack(data, GPU, None, rows_with("v1", None, "v1")) == "v1"
    with pytest.raises(InputError, match="l40s was measured with the stacks 'v1', 'v2'; name one"):
        choose_stack(data, GPU, None, rows_with("v1", "v2"))


def test_what_calibrated_the_gpu_comes_before_the_rows() -> None:
    frame = make_frame(3, (GPU,), rows=3)
    known = Posterior(make_data()).calibrate(frame.assign(stack="v1"), GPU)
    assert choose_stack(known.data, GPU, None, rows_with("v1", "v2")) == "v1"
    both = known.calibrate(frame.assign(stack="v2"), GPU)
    with pytest.raises(InputError, match="'v1', 'v2'"):
        choose_stack(both.data, GPU, None, rows_with("v1"))
    unnamed = Posterior(make_data()).calibrate(frame, GPU)
    assert choose_stack(unnamed.data, GPU, None, rows_with("v1")) == ""


def test_rows_that_calibrated_without_a_stack_are_meant_where_none_is_named() -> None:
    frame = make_frame(3, (GPU,), rows=3)
    known = Posterior(make_data()).calibrate(frame, GPU).calibrate(frame.assign(stack="v2"), GPU)
    assert known.data.known_stacks(GPU) == ("", "v2")
    assert choose_stack(known.data, GPU, None, rows_with("v2")) == ""


def test_rows_that_name_no_stack_are_of_any() -> None:
    rows = rows_with("v1", None, "v2")
    assert rows_of_stack(rows, "v1").index.tolist() == [0, 1]
    assert rows_of_stack(rows, "").index.tolist() == [1]
    bare = pd.DataFrame({"context": [1, 2]})
    pd.testing.assert_frame_equal(rows_of_stack(bare, "v1"), bare)

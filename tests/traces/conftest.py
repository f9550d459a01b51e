"""A small valid trace."""

from __future__ import annotations

import pandas as pd
import pytest


@pytest.fixture
def trace() -> pd.DataFrame:
    """Return six rows of two GPUs with two stages; one latency was not measured."""
    return pd.DataFrame(
        {
            "gpu": ["h100_sxm"] * 3 + ["l40s"] * 3,
            "stack": ["vllm_0.24.0"] * 6,
            "config_id": [0, 1, 2] * 2,
            "batch_size": [1, 2, 4] * 2,
            "t_prefill_ms": [1.5, 2.5, 4.5, 3.0, 5.0, 9.0],
            "t_decode_ms": [0.1, 0.2, None, 0.2, 0.4, 0.8],
        }
    )

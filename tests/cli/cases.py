"""Commands that must fail, and what they must tell: file or value, rule, cure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tests.cli.conftest import Workshop
from tests.posteriors import SPEC_TEXT, make_frame

GPU_ENTRY = """
[gpus.mine]
family = "mine"
mem_bw_GBps = 1000
bf16_tflops = 100
boost_GHz = 1.5
l2_MB = 10
"""


@dataclass(frozen=True)
class Case:
    """A command that must fail, and what its message must hold."""

    name: str
    words: Callable[[Workshop], list[str]]
    told: tuple[str, ...]
    status: int = 1
    command: str = "fit"


def changed(**columns: object) -> pd.DataFrame:
    return make_frame().assign(**columns)  # type: ignore[arg-type]


def at_row(column: str, value: Any) -> pd.DataFrame:
    frame = make_frame().astype({column: object})
    frame.loc[3, column] = value
    return frame


def fit_frame(
    name: str, make: Callable[[], pd.DataFrame], *told: str, file: str = "trace.parquet"
) -> Case:
    """Fit a trace."""
    return Case(name, lambda w: [w.trace(make(), file), "--model", w.spec], (file, *told))


def fit_text(name: str, file: str, content: str, *told: str) -> Case:
    """Fit a trace that is given as text."""
    return Case(name, lambda w: [w.text(file, content), "--model", w.spec], (file, *told))


def fit_spec(name: str, old: str, new: str, *told: str) -> Case:
    """Fit with a changed spec."""
    assert old in SPEC_TEXT
    text = SPEC_TEXT.replace(old, new, 1)
    return Case(
        name, lambda w: [w.trace(), "--model", w.text("bad.toml", text)], ("bad.toml", *told)
    )


def fit_hardware(name: str, old: str, new: str, *told: str) -> Case:
    """Fit with a changed hardware file."""
    assert old in GPU_ENTRY
    text = GPU_ENTRY.replace(old, new, 1)
    return Case(
        name,
        lambda w: [w.trace(), "--model", w.spec, "--hardware", w.text("hw.toml", text)],
        ("hw.toml", *told),
    )


def fit_option(name: str, *words: str, told: tuple[str, ...], status: int = 2) -> Case:
    """Fit with further options."""
    return Case(name, lambda w: [w.trace(), "--model", w.spec, *words], told, status)


def predict_with(
    name: str, make: Callable[[Workshop], list[str]], *told: str, status: int = 1
) -> Case:
    """Predict."""
    return Case(name, make, told, status, "predict")


def predict_option(name: str, *words: str, told: tuple[str, ...], status: int = 1) -> Case:
    """Predict with further options."""
    return predict_with(
        name,
        lambda w: [w.posterior, w.configs(), "--gpu", "a100_sxm", *words],
        *told,
        status=status,
    )


def broken_posterior(name: str, change: Callable[[bytes], bytes], *told: str) -> Case:
    """Predict from a changed posterior file."""

    def words(w: Workshop) -> list[str]:
        path = w.folder / "broken.nc"
        path.write_bytes(change(Path(w.posterior).read_bytes()))
        return [str(path), w.configs(), "--gpu", "a100_sxm"]

    return predict_with(name, words, "broken.nc", *told)


def check_with(name: str, make: Callable[[Workshop], list[str]], *told: str) -> Case:
    """Check."""
    return Case(name, make, told, command="check")


def simulate_with(name: str, *words: str, told: tuple[str, ...], status: int = 1) -> Case:
    """Simulate."""
    return Case(name, lambda w: ["--model", w.spec, *words], told, status, "simulate")


def simulate_parameters(name: str, content: bytes, *told: str) -> Case:
    """Simulate from a file of true parameters."""

    def words(w: Workshop) -> list[str]:
        path = w.folder / "true.json"
        path.write_bytes(content)
        given = ["--gpus", "l40s", "--configs", w.configs(), "--parameters", str(path)]
        return ["--model", w.spec, *given]

    return Case(name, words, told, command="simulate")

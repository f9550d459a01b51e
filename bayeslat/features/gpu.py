"""One GPU of the hardware table, and the names of its numeric fields."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["FIELDS", "PEAKS", "Gpu", "fold_name"]

#: Peaks of dense products by type; an entry has at least one.
PEAKS = ("fp32_tflops", "bf16_tflops", "fp16_tflops", "fp8_tflops", "fp4_tflops")

#: Names of the hardware fields that expressions may use.
FIELDS = (
    "mem_bw_GBps",
    *PEAKS,
    "peak_tflops",
    "mem_GB",
    "power_W",
    "num_sm",
    "boost_GHz",
    "l2_MB",
)

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Label = Annotated[str, Field(pattern=r"[^\s_-]")]


class Gpu(BaseModel):
    """What the data sheet of one GPU says, in the units of the field names.

    Peaks are dense (without sparsity) and accumulate in fp32. A peak that is None means that the
    chip lacks the type. CPUs are entries too: such a device is a number of threads.

    Raises
    ------
    pydantic.ValidationError
        When a value is not positive and finite, a field is unknown or missing, or no peak is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    key: _Label
    name: _Label = Field(description="name on the data sheet")
    vendor: str = Field("unknown", description="maker")
    family: _Label = Field(description="architecture generation")
    mem_bw_GBps: _Positive = Field(description="peak memory bandwidth, GB/s")
    fp32_tflops: _Positive | None = Field(None, description="dense fp32 peak, TFLOP/s")
    bf16_tflops: _Positive | None = Field(None, description="dense bf16 peak, TFLOP/s")
    fp16_tflops: _Positive | None = Field(None, description="dense fp16 peak, TFLOP/s")
    fp8_tflops: _Positive | None = Field(None, description="dense fp8 peak, TFLOP/s")
    fp4_tflops: _Positive | None = Field(None, description="dense fp4 peak, TFLOP/s")
    mem_GB: _Positive | None = Field(None, description="memory, GB")
    power_W: _Positive | None = Field(None, description="board power limit, W")
    num_sm: Annotated[int, Field(gt=0)] | None = Field(
        None, description="number of SMs, compute units, Xe cores or threads"
    )
    # The bound catches a clock in MHz, which nothing else would.
    boost_GHz: Annotated[_Positive, Field(le=10)] = Field(
        description="boost clock, GHz, at most 10: 1980 MHz is 1.98"
    )
    l2_MB: _Positive = Field(description="last-level cache on the package, MB")
    source: str = Field("not given", description="where the numbers come from")
    aliases: Annotated[tuple[_Label, ...], Field(strict=False)] = Field(
        (), description="other names, as drivers print them"
    )

    @field_validator("family")
    @classmethod
    def _spell_family(cls, family: str) -> str:
        return re.sub(r"[\s_-]+", "_", family.strip()).lower()

    @model_validator(mode="after")
    def _has_a_peak(self) -> Self:
        if all(getattr(self, peak) is None for peak in PEAKS):
            raise ValueError(f"needs at least one of {', '.join(PEAKS)}")
        return self

    @property
    def peak_tflops(self) -> float:
        """Highest dense peak of a type of 16 or 32 bits, else of a narrower one, TFLOP/s.

        Chips without bf16 have it too, so that one spec can hold devices that run other types.
        """
        wide = (self.bf16_tflops, self.fp16_tflops, self.fp32_tflops)
        narrow = (self.fp8_tflops, self.fp4_tflops)
        given = [peak for peak in wide if peak is not None]
        return max(given or [peak for peak in narrow if peak is not None])

    def fields(self) -> dict[str, float]:
        """Return the numeric fields that are set, by name, in the order of `FIELDS`."""
        values = {name: getattr(self, name) for name in FIELDS}
        return {name: float(value) for name, value in values.items() if value is not None}


def fold_name(name: str) -> str:
    """Return the form in which names are compared: without case, spaces, ``-`` and ``_``."""
    return re.sub(r"[\s_-]+", "", name).casefold()

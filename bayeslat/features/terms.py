"""Kinds of physics terms, and what is believed about each before a GPU is measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, Field

from bayeslat.errors import SpecError
from bayeslat.features.gpu import FIELDS

__all__ = ["DEFAULT_PRIORS", "HARDWARE_FIELDS", "KindPrior", "TermKind", "infer_kind"]

HARDWARE_FIELDS: tuple[str, ...] = FIELDS
"""Fields of the GPU hardware table that an expression may name."""


class TermKind(StrEnum):
    """What a physics term counts, which decides its prior.

    Attributes
    ----------
    launch
        Fixed cost per kernel, block or step: time that no peak of the data sheet explains.
    flops
        Arithmetic divided by a peak of the tensor or vector units.
    bytes
        Memory traffic divided by the bandwidth of the GPU's main memory.
    cache
        Memory traffic that stays inside the last-level cache.
    per_sequence
        Cost per sequence of a batch and step (scheduling, sampling, attention bookkeeping);
        never inferred, a spec names it.
    """

    launch = "launch"
    flops = "flops"
    bytes = "bytes"
    cache = "cache"
    per_sequence = "per_sequence"


class KindPrior(BaseModel):
    """Prior of one kind of term, in multiples of the time that the term's formula gives.

    Attributes
    ----------
    slowdown : float
        Prior median of exp(theta0): how many times slower than the formula (data-sheet peaks, for
        a fixed cost its stated guess) a typical GPU is. 1.25 means 80 % of the peak.
    slowdown_log_sd : float
        Prior standard deviation of theta0, the log of that slowdown. 0.25 means that a typical
        GPU lies within a factor exp(2 x 0.25) = 1.65 of the median with about 95 % probability.
    offset_scale : float
        Scale of the HalfNormal prior of tau, the standard deviation between GPUs of a term's
        log-efficiency; each term has its own. 0.3 lets GPUs differ by some 20-30 %.
    shared_sd : float
        Prior standard deviation of delta, the shared log-departure from theta0 that the donors'
        linearised rows may still show.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    slowdown: float = Field(gt=0, allow_inf_nan=False)
    slowdown_log_sd: float = Field(gt=0, allow_inf_nan=False)
    offset_scale: float = Field(gt=0, allow_inf_nan=False)
    shared_sd: float = Field(gt=0, allow_inf_nan=False)


DEFAULT_PRIORS: Mapping[TermKind, KindPrior] = MappingProxyType(
    {
        # The fixed costs in a spec are rough guesses (10 us a block): half to three times them is
        # plausible, and drivers, clocks and serving software move them a lot between GPUs.
        TermKind.launch: KindPrior(
            slowdown=1.5, slowdown_log_sd=0.8, offset_scale=0.6, shared_sd=0.4
        ),
        # Large matrix products reach about two thirds of the data-sheet peak, seldom under 40 %.
        TermKind.flops: KindPrior(
            slowdown=1.5, slowdown_log_sd=0.25, offset_scale=0.3, shared_sd=0.15
        ),
        # Streaming weights reaches about 80 % of the memory bandwidth, on nearly every GPU.
        TermKind.bytes: KindPrior(
            slowdown=1.25, slowdown_log_sd=0.15, offset_scale=0.3, shared_sd=0.12
        ),
        # Cache bandwidth is not on data sheets: the formula's figure is a guess to within 2x.
        TermKind.cache: KindPrior(
            slowdown=1.3, slowdown_log_sd=0.6, offset_scale=0.6, shared_sd=0.4
        ),
        # Batched kernels handle sequences together: a sequence costs some 15 % of what a block
        # costs, less on good software, and rarely more than 70 %.
        TermKind.per_sequence: KindPrior(
            slowdown=0.15, slowdown_log_sd=0.8, offset_scale=0.6, shared_sd=0.5
        ),
    }
)
"""Priors by kind of term: what did best on donors and targets of several generations."""


def infer_kind(names: Iterable[str]) -> TermKind:
    """Infer what a term counts from the data-sheet peak that its expression names.

    Parameters
    ----------
    names : iterable of str
        Every name that the expression depends on, those inside quantities included.

    Returns
    -------
    TermKind
        `flops` with a ``*_tflops`` field, `bytes` with ``mem_bw_GBps``, `cache` with ``l2_MB`` and
        neither of these, `launch` otherwise.

    Raises
    ------
    SpecError
        If both an arithmetic and a memory peak are named, so that the kind is a guess.
    """
    fields = set(names) & set(HARDWARE_FIELDS)
    arithmetic = sorted(field for field in fields if field.endswith("_tflops"))
    if arithmetic and "mem_bw_GBps" in fields:
        raise SpecError(
            f"names both {arithmetic[0]!r} and 'mem_bw_GBps', so its kind cannot be inferred; "
            'write { ms = "...", kind = "flops" } or kind = "bytes", or split it into two terms'
        )
    if arithmetic:
        return TermKind.flops
    if "mem_bw_GBps" in fields:
        return TermKind.bytes
    return TermKind.cache if "l2_MB" in fields else TermKind.launch

"""What goes into the files for BLIS, and how far it is from the posterior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.export.blis_basis import BlisModel
from bayeslat.export.blis_blackbox import blackbox_columns
from bayeslat.export.blis_coefficients import BlisCoefficients
from bayeslat.export.blis_queueing import QueueingPoint
from bayeslat.features.gpu import Gpu

__all__ = ["BlisExport"]


@dataclass(frozen=True)
class BlisExport:
    """What goes into the files.

    Attributes
    ----------
    model_name, stack : str
    gpu : Gpu
    model : BlisModel
    alpha_us : tuple of float
        Queueing, once after decode, and of each output token.
    coefficients : BlisCoefficients
    knobs : mapping of str to float
        Of the model and the server, as the posterior knows them.
    blis_version : str
        Empty for the newest.
    blackbox : ndarray, shape (3,), or None
        Coefficients of old versions: of a step, a prompt token and a generated one, in us.
    draws : int
        How many draws are written.
    kv_blocks : int
        Of the server's cache, 0 where no trace of this GPU says (`cache_blocks`).
    whole_prompts : bool
        Whether the coefficients are for the attention of prompts as BLIS counts it.
    between_us : float
        Time between steps, which each step time holds.
    queueing : QueueingPoint or None
        The delay of requests before their first step; None where it is not exported.
    queueing_left_out : str
        Why it is not, of a posterior that has it.
    """

    model_name: str
    stack: str
    gpu: Gpu
    model: BlisModel
    alpha_us: tuple[float, float, float]
    coefficients: BlisCoefficients
    knobs: Mapping[str, float]
    blis_version: str
    blackbox: NDArray[np.float64] | None
    draws: int
    kv_blocks: int = 0
    whole_prompts: bool = False
    between_us: float = 0.0
    queueing: QueueingPoint | None = None
    queueing_left_out: str = ""

    @property
    def beta(self) -> NDArray[np.float64]:
        """The coefficients that are written."""
        return self.coefficients.mean if self.blackbox is None else self.blackbox

    @property
    def largest_departure(self) -> float:
        """Of the exported step time from the posterior's mean, relative, over its batches."""
        return float(np.abs(self.departure).max())

    @property
    def departure(self) -> NDArray[np.float64]:
        """Relative departure of the exported step time. Shape (batch,)."""
        if self.blackbox is None:
            return self.coefficients.departure
        batches = self.coefficients.batches
        departure: NDArray[np.float64] = (
            blackbox_columns(batches) @ self.blackbox / self.coefficients.predicted_us - 1.0
        )
        return departure

    @property
    def counted_departure(self) -> NDArray[np.float64]:
        """The same, where prompts attend to what BLIS counts. Shape (batch,)."""
        if self.blackbox is not None:
            return self.departure
        found = self.coefficients
        departure: NDArray[np.float64] = found.counted_us / found.predicted_us - 1.0
        return departure

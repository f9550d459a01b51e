"""A gross error: a row that was set aside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["GrossError", "Repeats"]

type Repeats = Literal["none", "sound", "alike"]
"""Of other runs of the configuration: there are none, one is sound, or one is as far off."""


@dataclass(frozen=True)
class GrossError:
    """A row whose latency the other rows make impossible; the posterior does not stand on it.

    Attributes
    ----------
    gpu, stack : str
    file : str
        As its user named it; `(table)` for rows that were not read from one.
    row : int
        In that file; 1 is the first row below the header.
    config_id : str
        Empty where the trace has none.
    ratio : mapping of stage to float
        Latency over what the other rows say it is, in the stages where it is impossible.
    repeats : mapping of stage to Repeats
        Where none is sound, the configuration is to be measured again; where they are alike, it is
        no error: the GPU is unlike the donors there, or a donor unlike its model.
    donor : bool
        Whether it is a row of a donor, which a fit set aside, not a calibration.
    """

    gpu: str
    stack: str
    file: str
    row: int
    config_id: str
    ratio: Mapping[str, float]
    repeats: Mapping[str, Repeats]
    donor: bool = False

    @property
    def unsettled(self) -> bool:
        """Whether another measurement of the configuration is needed to know."""
        return "none" in self.repeats.values()

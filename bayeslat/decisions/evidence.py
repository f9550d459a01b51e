"""What was measured of a GPU and stack, and what a prediction rests on where nothing was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bayeslat.inference.posteriors.posterior import PosteriorData

__all__ = ["Evidence", "Unmeasured", "find_evidence", "stack_used"]

type Unmeasured = Literal["", "gpu", "stack", "name", "stage"]
"""What has no row: nothing, the GPU, its stack, any stack without a name, or a stage of theirs."""


@dataclass(frozen=True)
class Evidence:
    """The rows of a GPU (and stack) that a posterior was fitted to or calibrated with.

    Attributes
    ----------
    gpu : str
        Its key.
    stack : str or None
        None where none is named.
    known_stacks : tuple of str
        Those that the GPU was measured with; an empty name where traces name none. Without any,
        the GPU was not measured.
    unmeasured : tuple of str
        The stages without a row of this GPU and stack.
    absent : tuple of str
        Columns that tell stacks apart (`stack_columns`) and that the configurations lack.
    """

    gpu: str
    stack: str | None
    known_stacks: tuple[str, ...]
    unmeasured: tuple[str, ...]
    absent: tuple[str, ...] = ()

    @property
    def zero_shot(self) -> bool:
        """Whether any stage has no row of this GPU and stack."""
        return bool(self.unmeasured)

    def lacks(self, stage: str | None = None) -> Unmeasured:
        """Say what has no row, of a stage or, by default, of any."""
        if not (self.unmeasured if stage is None else stage in self.unmeasured):
            return ""
        if not self.known_stacks:
            return "gpu"
        if self.stack not in self.known_stacks:
            return "stack" if self.stack else "name"
        return "stage"

    @property
    def gap(self) -> str:
        """Say in short what has no row; of use where `zero_shot`."""
        if not self.known_stacks:
            return "the GPU was not measured"
        if self.stack not in self.known_stacks:
            if not self.stack:
                return f"no stack is named (measured with {', '.join(self.known_stacks)})"
            known = f" (measured with {', '.join(self.known_stacks)})" if self._cure else ""
            return f"stack {self.stack!r} was not measured{known}{self._cure}"
        return f"nothing was measured of {', '.join(self.unmeasured)}"

    @property
    def _cure(self) -> str:
        """Say which columns may be what a stack lacks."""
        if not self.absent:
            return ""
        named = ", ".join(map(repr, self.absent))
        return f"; column {named}, which is a part of a stack's name, is missing: add it"

    def __str__(self) -> str:
        """Say what the prediction rests on; empty where every stage was measured."""
        if not self.unmeasured:
            return ""
        if not self.known_stacks:
            return (
                f"{self.gpu} was not measured: from its data sheet and the fitted GPUs alone; a "
                "few measurements narrow it a lot"
            )
        named = ", ".join(stack for stack in self.known_stacks if stack)
        known = f"measured with {named}" if named else "measured without a named stack"
        if self.stack is None and len(self.known_stacks) > 1:
            return f"{self.gpu} was {known}, and no stack is named: as a new stack; name one"
        if self.stack is not None and self.stack not in self.known_stacks:
            return (
                f"stack {self.stack!r} was not measured on {self.gpu} ({known}): as a new stack "
                f"of this GPU; a few measurements narrow it a lot{self._cure}"
            )
        where = f"{self.gpu} with {self.stack}" if self.stack else self.gpu
        return (
            f"nothing was measured of {', '.join(self.unmeasured)} on {where}: from the data "
            "sheet and the other groups; a few measurements narrow it a lot"
        )


def find_evidence(
    data: PosteriorData, gpu: str, stack: str | None, absent: Sequence[str] = ()
) -> Evidence:
    """Look up what was measured.

    Parameters
    ----------
    data : PosteriorData
    gpu : str
        Key.
    stack : str or None
        None: the one of the GPU's rows that name none.
    absent : sequence of str
        As `Evidence` has them.

    Returns
    -------
    Evidence
    """
    known = data.known_stacks(gpu)
    meant = data.unnamed_stack(gpu) if stack is None else stack
    unmeasured = tuple(data.stages)
    if meant is not None and meant in known:
        rows = data.measured_rows(gpu, meant)
        unmeasured = tuple(stage for stage in data.stages if not rows[stage])
    return Evidence(gpu, meant, known, unmeasured, tuple(absent))


def stack_used(evidence: Sequence[Evidence], stack: str | None) -> str | None:
    """Return the stack that a prediction is for.

    Parameters
    ----------
    evidence : sequence of Evidence
        Of the prediction: one for each stack that its configs name.
    stack : str or None
        The one that was asked for.

    Returns
    -------
    str or None
        The only one; of several, each of which its rows name, the one that was asked for. Empty for
        that of rows that name none; None for a new one.
    """
    used = {each.stack for each in evidence}
    return used.pop() if len(used) == 1 else stack

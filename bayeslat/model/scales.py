"""The scales of a stage: how far groups differ and how noisy rows are, with their priors.

The scales are the only parameters that a sampler has to move; every effect is Gaussian given
them. `scales` holds logs of the positive ones and the logit of the family share. A sampler moves
their scores instead (`scores.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bayeslat.caches import without_caches
from bayeslat.model.scores import scales_from_scores

__all__ = ["FAMILY_SHARE", "NOISE", "NOISE_RATIO", "STACK_RATIO", "NormalPrior", "ScaleLayout"]


@dataclass(frozen=True)
class NormalPrior:
    """A normal prior on the log (or logit) of a scale.

    Attributes
    ----------
    mean, sd : float
        In logs (or logits) of the scale.
    """

    mean: float
    sd: float


NOISE = NormalPrior(float(np.log(0.03)), 0.7)
"""Log of the noise: repeats of a typical stage scatter by 3 %, give or take a factor of two."""
NOISE_RATIO = NormalPrior(0.0, 0.35)
"""Log of a group's noise over the stage's: a third more or less from one GPU to the next."""
FAMILY_SHARE = NormalPrior(1.0, 1.2)
"""Logit of the part of the offset variance that GPUs of one architecture generation share."""
STACK_RATIO = NormalPrior(float(np.log(0.5)), 0.5)
"""Log of the spread between stacks on one GPU over the spread between GPUs."""

_HALF_NORMAL_MEDIAN = float(ndtri(0.75))
_UNTOLD_SD = 0.05  # of the log of an offset scale that rows have no say in


@dataclass(frozen=True)
class ScaleLayout:
    """Names, order and priors of the scales of one stage.

    Attributes
    ----------
    offset_names : tuple of str
        What has an offset scale of its own: each physics term, each residual feature, ...
    offset_prior : tuple of float
        Half-normal scale of each of them, in log latency per unit of feature.
    shared_names : tuple of str
        Kinds whose shared effect has a drawn spread (residual, task).
    shared_prior : tuple of float
        Half-normal scale of each of them.
    groups : tuple of str
        Groups of rows, each with a noise ratio.
    has_families, has_stacks : bool
        Whether a family share and a stack ratio exist.
    untold : tuple of str
        Those of `offset_names` whose scale stays at the median of its prior, whatever the rows say:
        they would take a growing one for leave to run away.
    """

    offset_names: tuple[str, ...]
    offset_prior: tuple[float, ...]
    shared_names: tuple[str, ...]
    shared_prior: tuple[float, ...]
    groups: tuple[str, ...]
    has_families: bool
    has_stacks: bool
    untold: tuple[str, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        return without_caches(self)

    @cached_property
    def size(self) -> int:
        """Number of scales."""
        return len(self.names)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """A label for each scale."""
        labels = [f"offset_scale[{name}]" for name in self.offset_names]
        labels += [f"shared_scale[{name}]" for name in self.shared_names]
        labels += ["family_share"] * self.has_families + ["stack_ratio"] * self.has_stacks
        labels += ["noise"] + [f"noise_ratio[{group}]" for group in self.groups]
        return tuple(labels)

    @cached_property
    def family_at(self) -> int:
        """Position of the family share; -1 without one."""
        return self.names.index("family_share") if self.has_families else -1

    @cached_property
    def stack_at(self) -> int:
        """Position of the stack ratio; -1 without one."""
        return self.names.index("stack_ratio") if self.has_stacks else -1

    @cached_property
    def noise_at(self) -> int:
        """Position of the noise; the noise ratios follow."""
        return self.names.index("noise")

    @cached_property
    def half_normal(self) -> NDArray[np.float64]:
        """Half-normal scale at each position; 0 where the prior is normal. Shape (scale,)."""
        priors = np.array(self.offset_prior + self.shared_prior)
        priors[[self.offset_names.index(name) for name in self.untold]] = 0.0
        return np.concatenate([priors, np.zeros(self.size - len(priors))])

    @cached_property
    def normal(self) -> NDArray[np.float64]:
        """Mean and sd of the normal priors; (0, 1) where it is half-normal. Shape (scale, 2)."""
        table = np.tile([0.0, 1.0], (self.size, 1))
        for at, prior in (
            (self.family_at, FAMILY_SHARE),
            (self.stack_at, STACK_RATIO),
            (self.noise_at, NOISE),
        ):
            if at >= 0:
                table[at] = prior.mean, prior.sd
        table[self.noise_at + 1 :] = NOISE_RATIO.mean, NOISE_RATIO.sd
        for at in map(self.offset_names.index, self.untold):
            table[at] = np.log(_HALF_NORMAL_MEDIAN * self.offset_prior[at]), _UNTOLD_SD
        return table

    def from_scores(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn scores into scales. Shapes (..., scale)."""
        return scales_from_scores(scores, self.half_normal, self.normal)[0]

    def draw_prior(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw scales from the prior. Shape (scale,)."""
        return self.from_scores(rng.standard_normal(self.size))

    def log_noise(
        self, scales: NDArray[np.float64], group: int | None = None
    ) -> NDArray[np.float64]:
        """Log of the noise of a group's rows, with outliers calmed; the stage's own without one.

        Parameters
        ----------
        scales : ndarray, shape (..., scale)
        group : int, optional

        Returns
        -------
        ndarray, shape (...)
        """
        noise = scales[..., self.noise_at]
        return noise if group is None else noise + scales[..., self.noise_at + 1 + group]

    def name_draws(self, draws: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Split draws of the scales by name, as positive numbers and shares.

        Parameters
        ----------
        draws : ndarray, shape (..., scale)

        Returns
        -------
        dict
            `offset_scale` (..., offset), `shared_scale` (..., kind), `family_share` and
            `stack_ratio` (...) where they exist, `noise` (...), `noise_ratio` (..., group).
        """
        offsets, kinds = len(self.offset_names), len(self.shared_names)
        named = {
            "offset_scale": np.exp(draws[..., :offsets]),
            "shared_scale": np.exp(draws[..., offsets : offsets + kinds]),
        }
        if self.has_families:
            named["family_share"] = 1 / (1 + np.exp(-draws[..., self.family_at]))
        if self.has_stacks:
            named["stack_ratio"] = np.exp(draws[..., self.stack_at])
        named["noise"] = np.exp(draws[..., self.noise_at])
        named["noise_ratio"] = np.exp(draws[..., self.noise_at + 1 :])
        return named

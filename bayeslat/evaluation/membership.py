"""Does a calibrated GPU belong to the donors' family? Three tests a stage, with an exact null."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.design import stage_inputs
from bayeslat.features.gpu import Gpu
from bayeslat.inference.calibration.even_rows import even_rows
from bayeslat.inference.calibration.population import Population, population_of
from bayeslat.inference.calibration.widening import with_trail
from bayeslat.inference.posteriors.gross_errors import repeats_of
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.target import Target
from bayeslat.inference.posteriors.thin_draws import DRAWS, thin_draws
from bayeslat.inference.posteriors.walk import find_trail
from bayeslat.inference.rows.repeats import number_configs
from bayeslat.inference.rows.stage_rows import held_rows
from bayeslat.model.student_t import draw_student_t

__all__ = ["Membership", "check_membership"]

_REPLICATES = 16  # simulated GPUs of each draw
_BREAKS = (0.25, 0.4, 0.5, 0.6, 0.75)  # quantiles of a coordinate at which a term may change


@dataclass(frozen=True)
class Membership:
    """How likely rows like these are from a GPU of the donors' family, in one stage.

    Attributes
    ----------
    rows : int
    p_offset : float
        Probability of efficiencies and corrections at least as far from the donors'.
    p_misfit : float
        Probability of at least as much that neither physics nor correction explains.
    p_structure : float
        Probability of errors that follow a change of one term, along one coordinate, as closely.
    """

    rows: int
    p_offset: float
    p_misfit: float
    p_structure: float

    @property
    def p_values(self) -> tuple[float, float, float]:
        """All of them."""
        return self.p_offset, self.p_misfit, self.p_structure


def check_membership(
    data: PosteriorData, gpu: Gpu, stack: str, *, seed: int = 0
) -> Mapping[str, Membership]:
    """Compare a calibrated GPU with GPUs that the donors' posterior simulates.

    With population mean m and covariance M of the effects b and noise s, the rows' distance from
    what was expected splits in two (Box 1980, section 2; the identity is that of ridge regression):
    min over b of |y - Zb|^2 / s^2 + (b - m)' M^-1 (b - m). The second part is the surprise of the
    offsets, the first that of the fit. Both are sizes, in which a noisy GPU may hide another law.
    So a third number is free of size: the largest part of the distance that a single direction
    takes up (a score test, Cox and Hinkley 1974, section 9.3), over changes of one term's share,
    along one coordinate, by a step or evenly. All are compared with the same numbers of GPUs drawn
    from the posterior of the donors, with rows of the same configurations, so the p-values are
    exact up to the linearisation: in the donors' family each is uniform. A row that was set aside
    as a gross error says nothing of the GPU and is left out, unless another run of its
    configuration is as far off.

    Parameters
    ----------
    data : PosteriorData
        With the GPU among its targets.
    gpu : Gpu
    stack : str
    seed : int

    Returns
    -------
    mapping of stage to Membership
        Without the stages that were not measured, or took no time in any row.
    """
    target = data.targets[gpu.key, stack]
    thin = thin_draws(data, DRAWS)
    found = {
        stage: _of_stage(thin, stage, _judged(data, target, stage), gpu, stack, seed)
        for stage, part in target.stages.items()
        if part.measured
    }
    return {stage: seen for stage, seen in found.items() if seen is not None}


def _judged(data: PosteriorData, target: Target, stage: str) -> pd.DataFrame:
    """Leave out the rows that are gross errors, for all that is known."""
    said = repeats_of(data, target, stage)
    return target.rows.drop(index=[at for at, repeats in said.items() if repeats != "alike"])


def _of_stage(
    data: PosteriorData, stage: str, frame: pd.DataFrame, gpu: Gpu, stack: str, seed: int
) -> Membership | None:
    """Test one stage; None where no row is above its hurdle."""
    part, known = data.stages[stage], data.targets[gpu.key, stack].stages[stage]
    rng = np.random.default_rng([seed, list(data.stages).index(stage), 2])
    population = population_of(data, stage, gpu, stack, rng)
    labels = number_configs(frame[data.reference.columns.to_list()])
    rows = held_rows(data.spec, stage, frame, gpu, labels, data.reference)
    if not len(rows):
        return None
    point = known.point(part.shared_efficiency)
    trail = find_trail(part.basis.places(rows.inputs.raw))
    if len(trail):
        reference = stage_inputs(data.spec, stage, data.reference, gpu)
        population = with_trail(population, trail, part, point, reference, rng)
    design, response = even_rows(part, point, known.departure, rows, trail)
    changes = _changes(rows.inputs.raw, design[:, : part.terms])
    design, response, changes = (
        _mean_by(rows.config, each, part.noise_shared)
        for each in (design, response[:, None], changes)
    )
    split = _Split(population, design, changes)
    expected = np.concatenate(
        [
            split.distances(_simulate(population, design, part.noise_dof, rng))
            for _ in range(_REPLICATES)
        ],
        axis=1,
    )
    seen = split.distances(response)
    p_values = (1 + (expected >= seen).sum(axis=1)) / (1 + expected.shape[1])
    return Membership(len(rows), *map(float, p_values))


def _mean_by(
    labels: NDArray[np.int64], values: NDArray[np.float64], shared: float
) -> NDArray[np.float64]:
    """Average repeats, in units in which all means are as noisy as a row. Shape (config, ...).

    Repeats share what the model misses, and what is a configuration's own of the noise.
    """
    sums, counts = np.zeros((labels.max() + 1, values.shape[1])), np.bincount(labels)
    np.add.at(sums, labels, values)
    sd = np.sqrt(shared + (1.0 - shared) / counts)
    return sums / (counts * sd)[:, None]


def _changes(raw: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Directions in which rows would move if one term changed along one coordinate.

    Parameters
    ----------
    raw : ndarray, shape (row, coordinate)
    shares : ndarray, shape (row, term)

    Returns
    -------
    ndarray, shape (row, direction)
        Of each term, and of all together: evenly along the coordinate, and by a step.
    """
    terms = np.column_stack([shares, shares.sum(axis=1)])
    courses = []
    for values in raw.T:
        courses.append(values - values.mean())
        courses += [(values > np.quantile(values, at)).astype(float) for at in _BREAKS]
    return np.concatenate([course[:, None] * terms for course in courses], axis=1)


def _simulate(
    population: Population, design: NDArray[np.float64], dof: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw responses of GPUs of the donors' family. Shape (row, draw)."""
    effects, noise_sd = population.draw(rng, heavy=False)
    noise = draw_student_t((len(design), len(noise_sd)), dof, rng)
    responses: NDArray[np.float64] = design @ effects.T + noise_sd * noise
    return responses


class _Split:
    """The distance of rows from what a population expects: its two parts, and its direction."""

    def __init__(
        self,
        population: Population,
        design: NDArray[np.float64],
        changes: NDArray[np.float64],
    ) -> None:
        prior = population.covariance + np.diag(np.exp(2.0 * population.log_spread[0]))
        self.noise = float(np.exp(2.0 * population.noise[0]))
        self.expected = (design @ population.mean)[:, None]
        values, self.vectors = np.linalg.eigh(design @ prior @ design.T)
        self.values = np.maximum(values, 0.0)[:, None]
        directions = self.vectors.T @ changes / np.sqrt(self.values + self.noise)
        length = np.sqrt(np.sum(directions**2, axis=0))
        told = length > 1e-6 * max(float(length.max(initial=0.0)), 1e-12)
        self.directions = directions[:, told] / length[told]

    def distances(self, responses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distances of the offsets and of the fit, and the part of one direction.

        Shapes (row, draw) to (3, draw).
        """
        total = self.values + self.noise
        even = self.vectors.T @ (responses - self.expected) / np.sqrt(total)
        square = even**2
        # Along each axis the offsets take the part values / total of a departure.
        offset = (square * self.values / total).sum(axis=0)
        misfit = (square * self.noise / total).sum(axis=0)
        along = (self.directions.T @ even) ** 2
        structure = along.max(axis=0, initial=0.0) / square.sum(axis=0)
        return np.stack([offset, misfit, structure])

"""Whether whole passes over the configurations are slower than others, and by how much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from bayeslat.features.thinning import evenly
from bayeslat.traces.passes import FEWEST_CONFIGS

__all__ = ["PassEffects", "estimate_passes"]

type Array = NDArray[np.float64]

_PERMUTATIONS = 1999
_CELLS = 2_000_000  # rows x permutations at once
_MOST_PASSES, _MOST_ROWS = 24, 3000  # that are looked at: they know a pass to a percent
_HUBER = 1.345  # 95 % efficient under normal noise
_STEPS, _SETTLED = 100, 1e-7


@dataclass(frozen=True)
class PassEffects:
    """Passes of one GPU, stack and stage.

    Attributes
    ----------
    configs, rows : int
        Configurations that several passes measured, and their rows.
    passes : ndarray of int, shape (pass,)
        Labels of those that share enough configurations to be compared.
    p_value : float
        Probability of passes this far apart if a configuration's runs could be exchanged.
    effect : ndarray, shape (pass,)
        Log latency of each less the mean of all.
    effect_sd : ndarray, shape (pass,)
        What the noise of runs leaves open of it.
    noise_sd : float
        Of a run round its configuration and pass, in log latency.
    """

    configs: int
    rows: int
    passes: NDArray[np.int64]
    p_value: float
    effect: Array
    effect_sd: Array
    noise_sd: float

    @property
    def spread(self) -> float:
        """Log latency of the slowest pass less that of the fastest."""
        return float(self.effect.max() - self.effect.min())


def estimate_passes(
    log_latency: Array,
    configs: NDArray[np.int64],
    label: NDArray[np.int64],
    *,
    tested: bool = True,
    seed: int = 0,
) -> PassEffects | None:
    """Compare the passes over configurations: log t = configuration + pass + noise.

    The test is exact up to Monte Carlo: if passes are alike, the runs of a configuration could have
    come in any order, so its deviations are exchanged between its passes. The statistic is the
    generalised Cochran-Mantel-Haenszel one, with configurations as strata (Landis, Heyman and Koch
    1978, International Statistical Review 46, p. 237; Friedman's if each pass measured each of them
    once), of aligned ranks (Hodges and Lehmann 1962, Annals of Mathematical Statistics 33, p. 482):
    deviations from the median of the configuration are ranked all together, which sees two passes
    too, and which no wild run decides. Effects are Huber's M-estimate of the two-way layout (Huber
    1981, Robust Statistics, section 7.3), by pseudo-values.

    Parameters
    ----------
    log_latency : ndarray, shape (row,)
        NaN where nothing was measured.
    configs : ndarray of int, shape (row,)
    label : ndarray of int, shape (row,)
        Of the pass; -1 for none. Of many passes, and of many rows, some are looked at.
    tested : bool
        Whether to permute; else the p-value is NaN.
    seed : int
        Of the permutations.

    Returns
    -------
    PassEffects or None
        None unless two passes share five configurations.
    """
    held = np.flatnonzero(np.isfinite(log_latency) & (label >= 0))
    held = held[_linked(configs[held], label[held])]
    every = np.unique(label[held])
    held = held[np.isin(label[held], every[evenly(len(every), _MOST_PASSES)])]
    held = held[_repeated(configs[held], label[held])]
    if not len(held):
        return None
    config = np.unique(configs[held], return_inverse=True)[1]
    count = int(config.max()) + 1
    kept = np.isin(config, evenly(count, max(FEWEST_CONFIGS, count * _MOST_ROWS // len(config))))
    held = held[kept][np.argsort(config[kept], kind="stable")]
    config = np.unique(configs[held], return_inverse=True)[1]
    passes, number = np.unique(label[held], return_inverse=True)
    layout = _Layout(config, np.eye(len(passes))[number])
    effect, covariance, noise_sd = layout.fit(log_latency[held])
    rng = np.random.default_rng([seed, 17])
    return PassEffects(
        configs=int(config.max()) + 1,
        rows=len(held),
        passes=passes,
        p_value=layout.permuted_p(log_latency[held], rng) if tested else np.nan,
        effect=effect,
        effect_sd=np.sqrt(np.diag(covariance)),
        noise_sd=noise_sd,
    )


def _linked(config: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell the rows of the largest set of passes that share enough configurations. Shape (row,)."""
    if not len(config):
        return np.zeros(0, dtype=bool)
    config, number = (np.unique(each, return_inverse=True)[1] for each in (config, label))
    present = np.zeros((config.max() + 1, number.max() + 1))
    present[config, number] = 1.0
    joined = connected_components(present.T @ present >= FEWEST_CONFIGS)[1]
    largest: NDArray[np.bool_] = joined[number] == np.argmax(np.bincount(joined[number]))
    return largest


def _repeated(config: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell the rows of configurations that several passes measured. Shape (row,)."""
    if not len(config):
        return np.zeros(0, dtype=bool)
    config = np.unique(config, return_inverse=True)[1]
    pairs = np.unique(np.stack([config, label]), axis=1)
    several: NDArray[np.bool_] = np.bincount(pairs[0])[config] > 1
    return several


@dataclass(frozen=True)
class _Layout:
    """Rows in order of their configuration, with the pass of each.

    Attributes
    ----------
    config : ndarray of int, shape (row,)
        From 0 on, in order.
    passes : ndarray, shape (row, pass)
        1 at a row's.
    """

    config: NDArray[np.int64]
    passes: Array

    def within(self, values: Array) -> Array:
        """Return deviations from the mean of the configuration. Shape of `values`."""
        first = np.flatnonzero(np.diff(self.config, prepend=-1))
        counts = np.bincount(self.config).reshape(-1, *[1] * (values.ndim - 1))
        deviations: Array = values - (np.add.reduceat(values, first) / counts)[self.config]
        return deviations

    @property
    def information(self) -> Array:
        """What the rows tell of the passes, in units of the noise. Shape (pass, pass)."""
        told: Array = self.passes.T @ self.within(self.passes)
        return told

    def permuted_p(self, values: Array, rng: np.random.Generator) -> float:
        """Return the p-value of passes that are alike."""
        middle = pd.Series(values).groupby(self.config).transform("median").to_numpy()
        ranks = pd.Series(np.round(values - middle, 12)).rank().to_numpy()
        scores = self.within(ranks - ranks.mean())
        counts = np.bincount(self.config)
        variance = np.bincount(self.config, scores**2) / np.maximum(counts - 1, 1)
        scatter = self.passes.T @ (variance[self.config][:, None] * self.within(self.passes))
        inverse = np.linalg.pinv(scatter, rcond=1e-9, hermitian=True)

        def statistic(sums: Array) -> Array:
            quadratic: Array = np.sum(sums @ inverse * sums, axis=-1)
            return quadratic

        seen = statistic(scores @ self.passes) * (1 - 1e-9)
        larger, left, batch = 0, _PERMUTATIONS, max(1, _CELLS // len(scores))
        while left:
            size = min(batch, left)
            order = np.argsort(self.config + rng.random((size, len(scores))), axis=1)
            larger += int(np.sum(statistic(scores[order] @ self.passes) >= seen))
            left -= size
        return (1 + larger) / (1 + _PERMUTATIONS)

    def fit(self, values: Array) -> tuple[Array, Array, float]:
        """Estimate the effects of passes, which sum to zero.

        Returns
        -------
        effect : ndarray, shape (pass,)
        covariance : ndarray, shape (pass, pass)
        noise_sd : float
        """
        inverse = np.linalg.pinv(self.information, rcond=1e-9, hermitian=True)
        free = max(len(values) - int(self.config.max()) - self.passes.shape[1], 1)
        pseudo, effect = values, np.zeros(self.passes.shape[1])
        for _ in range(_STEPS):
            before, effect = effect, inverse @ (self.passes.T @ self.within(pseudo))
            gone = pseudo - self.passes @ effect
            fitted = pseudo - self.within(gone)  # the configuration's mean, and the pass
            error = values - fitted
            sd = 1.4826 * float(np.median(np.abs(error))) * np.sqrt(len(values) / free)
            pull = np.clip(error, -_HUBER * sd, _HUBER * sd)
            pseudo = fitted + pull
            if np.abs(effect - before).max() < _SETTLED:
                break
        inside = max(float(np.mean(np.abs(error) <= _HUBER * sd)), 0.1)
        scale = float(np.sum(pull**2)) / free / inside**2
        return effect, inverse * scale, float(np.sqrt(scale))

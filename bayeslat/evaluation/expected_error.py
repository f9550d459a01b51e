"""The error that a calibrated GPU's predictions should have, now and after more rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaincinv, erf

from bayeslat.decisions.predict import predict_group
from bayeslat.decisions.prediction import TOTAL, Prediction
from bayeslat.decisions.run_noise import normal_sd
from bayeslat.decisions.summary import summarise_draws
from bayeslat.features.design import stage_inputs
from bayeslat.features.gpu import Gpu
from bayeslat.features.thinning import evenly
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.settings import own_settings
from bayeslat.inference.posteriors.thin_draws import DRAWS, thin_draws
from bayeslat.inference.rows.repeats import shared_prior
from bayeslat.inference.rows.strata import stratified_uniform

__all__ = ["ErrorOutlook", "ExpectedError"]

_CONFIGS = 128  # of the knob grid
_MORE_ROWS = (5, 10, 15, 20, 25, 35, 50, 75, 100, 150, 200)
_BOUND = 0.95  # chance with which the error has to be within a threshold


@dataclass(frozen=True)
class ExpectedError:
    """MAPE of the total of a typical run over the knob grid, as the posterior expects it.

    Attributes
    ----------
    mean, low, high : float
        Mean, and 5 % and 95 % quantile: 0.03 is 3 %. The mean is Winsor's, which takes what lies
        beyond the quantiles for as large as these: it would else be that of the improbable.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class ErrorOutlook:
    """A calibrated GPU's total over the knob grid, and how far typical runs are from it.

    Attributes
    ----------
    data : PosteriorData
        With the GPU among its targets.
    gpu : Gpu
    stack : str
    configs : DataFrame, one row a config
    prediction : Prediction
        Of typical runs.
    seed : int
    sure_of_shared : bool
        Whether to take the part of the noise that is a configuration's own for sure.
    """

    data: PosteriorData
    gpu: Gpu
    stack: str
    configs: pd.DataFrame
    prediction: Prediction
    seed: int
    sure_of_shared: bool = False

    @staticmethod
    def of(data: PosteriorData, gpu: Gpu, stack: str, *, seed: int) -> ErrorOutlook:
        """Predict the knob grid, with the GPU's own model and server.

        Parameters
        ----------
        data : PosteriorData
        gpu : Gpu
        stack : str
        seed : int
        """
        grid = data.reference.iloc[evenly(len(data.reference), _CONFIGS)]
        configs = grid.assign(**own_settings(data, (gpu.key, stack)))
        prediction = predict_group(thin_draws(data, DRAWS), configs, gpu, stack, "typical", seed)
        return ErrorOutlook(data, gpu, stack, configs, prediction, seed)

    @property
    def size(self) -> int:
        """Number of draws."""
        return int(self.draws.shape[1])

    @cached_property
    def draws(self) -> NDArray[np.float64]:
        """Of the total of a typical run, in ms. Shape (config, draw)."""
        return self.prediction.typical(TOTAL)

    def expected(self, offset: NDArray[np.float64]) -> ExpectedError:
        """Return the error that is expected now.

        Parameters
        ----------
        offset : ndarray, shape (draw,)
            By how much the runs to come are slower all together, in log latency.
        """
        errors = self._errors(self.draws, offset)
        low, high = map(float, np.quantile(errors, [0.05, _BOUND]))
        return ExpectedError(float(np.clip(errors, low, high).mean()), low, high)

    def more_rows(self, offset: NDArray[np.float64], threshold: float) -> int | None:
        """Find how many further rows of the knob grid bring the error within the threshold.

        The covariance of the effects after n rows with the noise of the stage is known in closed
        form, and with it the sd of the log total, to which each stage adds its share. The draws of
        the total close up as it does, round their median; what the model misses stays.

        Parameters
        ----------
        offset : ndarray, shape (draw,)
            As `expected` takes it.
        threshold : float
            Of the MAPE, to be kept with 95 % probability.

        Returns
        -------
        int or None
            0 if it is kept now; None if 200 rows would not do.
        """
        draws = self.draws
        if np.quantile(self._errors(draws, offset), _BOUND) <= threshold:
            return 0
        total = np.median(draws, axis=1)
        now = np.zeros(len(total))
        later = dict.fromkeys(_MORE_ROWS, now)
        for stage, target in self.data.targets[self.gpu.key, self.stack].stages.items():
            part, drawn = self.data.stages[stage], self.prediction.stages[stage]
            inputs = stage_inputs(self.data.spec, stage, self.configs, self.gpu)
            design = target.point(part.shared_efficiency).design(inputs, part.basis)[1]
            weight = (drawn.times * np.median(drawn.typical_ms, axis=1) / total) ** 2
            covariance = np.atleast_2d(np.cov(target.effects.T))
            noise = float(np.exp(np.log(target.noise_sd).mean()))
            now = now + weight * np.sum(design @ covariance * design, axis=1)
            for count, variance in later.items():
                rows = design[evenly(len(design), count) if count < len(design) else slice(None)]
                repeats = max(count / len(design), 1.0)
                gain = covariance @ rows.T
                scatter = rows @ gain + noise**2 / repeats * np.eye(len(rows))
                left = covariance - gain @ np.linalg.solve(scatter, gain.T)
                later[count] = variance + weight * np.sum(design @ left * design, axis=1)
        for count, variance in later.items():
            closer = np.sqrt(variance / now)[:, None]
            errors = self._errors(total[:, None] * (draws / total[:, None]) ** closer, offset)
            if np.quantile(errors, _BOUND) <= threshold:
                return count
        return None

    @cached_property
    def missed_sd(self) -> NDArray[np.float64]:
        """Sd of a typical run's log total by what the model misses of it. Shape (config, draw).

        The noise of a fit is what neither physics nor correction explain; a part of it is the
        configuration's own, and no error of a run. Each stage counts by its share in the total.
        How large that part is, few repeats hardly tell: it is drawn (`_shared_factors`).
        """
        total = np.median(self.draws, axis=1)
        factors = self._shared_factors()
        parts = [
            np.outer(
                part.times
                * np.median(part.typical_ms, axis=1)
                * normal_sd(np.sqrt(np.mean(part.noise_sd**2, axis=1)), part.noise_dof)
                / total,
                factors[stage],
            )
            for stage, part in self.prediction.stages.items()
        ]
        sds, correlation = np.stack(parts, axis=2), self.prediction.noise_correlation
        together = sds if correlation is None else sds @ correlation.to_numpy()
        missed: NDArray[np.float64] = np.sqrt(np.sum(together * sds, axis=2))
        return missed

    def _shared_factors(self) -> dict[str, NDArray[np.float64]]:
        """Draw how far the sd of what is a configuration's own is from its estimate, by stage.

        Its part of the variance is a Beta round the estimate (`shared_prior`). The stages' parts
        were told in one way, so they are off together. Shapes (draw,).
        """
        if self.sure_of_shared:
            return dict.fromkeys(self.data.stages, np.ones(self.size))
        rng = np.random.default_rng([self.seed, 23])
        place = stratified_uniform((self.size,), rng)
        found = {}
        for stage, part in self.data.stages.items():
            a, b = shared_prior(part.noise_shared, part.noise_shared_configs)
            found[stage] = np.sqrt(betaincinv(a, b, place) * (a + b) / a)
        return found

    def _errors(
        self, draws: NDArray[np.float64], offset: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """MAPE of the total's point if a draw of it were the truth, in a pass that far off.

        Shape (draw,), as that of the offsets, in log latency.

        The mean of a folded normal (Leone, Nelson and Nottingham 1961): round a draw, typical runs
        of configurations scatter by what the model misses of them.
        """
        point = summarise_draws(draws)["point"][:, None]
        truth = draws * np.exp(offset)
        away = (point - truth) / truth
        sd = np.maximum(self.missed_sd, 1e-12)
        scaled = away / sd
        near = sd * np.sqrt(2 / np.pi) * np.exp(-0.5 * scaled**2)
        errors: NDArray[np.float64] = (near + away * erf(scaled / np.sqrt(2))).mean(axis=0)
        return errors

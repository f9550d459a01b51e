"""Parameters drawn from the priors have the moments that the model says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.terms import TermKind
from bayeslat.model.simulate import draw_parameters
from tests.posteriors import make_configs, small_spec


def test_offsets_have_the_variances_of_the_model() -> None:
    """Second moments of two Hoppers' offsets and a stranger's, within 4 Monte Carlo errors.

    u = delta + tau (sqrt(rho) z_family + sqrt(1 - rho) z_g), with E tau^2 the square of the
    half-normal's scale and logit rho ~ Normal(1, 1.2).
    """
    drawn = _offsets(1000)
    prior = small_spec().priors[TermKind.launch]
    shared, own = prior.shared_sd**2, prior.offset_scale**2
    points, weights = np.polynomial.hermite_e.hermegauss(40)
    rho = weights @ (1 / (1 + np.exp(-1 - 1.2 * points))) / weights.sum()
    expected = np.array(
        [
            [shared + own, shared + rho * own, shared],
            [shared + rho * own, shared + own, shared],
            [shared, shared, shared + own],
        ]
    )
    products = drawn[:, :, None] * drawn[:, None, :]
    error = products.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(products.mean(axis=0) - expected) < 4 * error).all()
    # The broken twin: as if Hoppers shared nothing but delta, or everything.
    for wrong in (shared, shared + own):
        assert abs(products.mean(axis=0)[0, 1] - wrong) > 4 * error[0, 1]


def _offsets(seeds: int) -> NDArray[np.float64]:
    """Offsets of a term from the prior. Shape (seed, gpu)."""
    spec, configs = small_spec(), make_configs(5)
    gpus = ("h100_sxm", "h200_sxm", "a100_sxm")
    truths = (draw_parameters(spec, gpus, configs=configs, seed=seed) for seed in range(seeds))
    return np.array(
        [[truth.stages["decode"].offset[g]["launch"] for g in gpus] for truth in truths]
    )


def test_stacks_of_a_gpu_are_nearer_than_gpus() -> None:
    """Squared differences of offsets, 4 Monte Carlo errors apart."""
    spec, configs, gpus = small_spec(), make_configs(5), ("a100_sxm", "l40s")
    gain = []
    for seed in range(300):
        truth = draw_parameters(spec, gpus, configs=configs, stacks=("v1", "v2"), seed=seed)
        u = {group: terms["launch"] for group, terms in truth.stages["decode"].offset.items()}
        within = u["a100_sxm@v1"] - u["a100_sxm@v2"]
        assert within != 0
        gain.append((u["a100_sxm@v1"] - u["l40s@v1"]) ** 2 - within**2)
    assert np.mean(gain) > 4 * np.std(gain) / np.sqrt(len(gain))

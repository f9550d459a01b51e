"""The NUTS engine: nutpie moves the scales, and the effects are drawn exactly given them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bayeslat.inference.engines.cores import available_cores
from bayeslat.inference.engines.draws import StageDraws, draw_all_effects
from bayeslat.inference.engines.mode import find_mode
from bayeslat.inference.engines.native_density import native_model
from bayeslat.model.collapsed_data import collapse
from bayeslat.model.problem import StageProblem

__all__ = ["sample_nuts"]

_TARGET_ACCEPT = 0.8
_CAREFUL_TARGET_ACCEPT = 0.95


def sample_nuts(
    problem: StageProblem,
    seed: int,
    *,
    chains: int = 4,
    draws: int = 800,
    tune: int = 200,
    careful: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> StageDraws:
    """Sample one stage.

    Scores are whitened by the curvature at their mode, so that NUTS needs few steps.

    Parameters
    ----------
    problem : StageProblem
    seed : int
    chains, draws, tune : int
        Tuning draws are thrown away.
    careful : bool
        Tune twice as long and take smaller steps: for a stage that did not converge.
    on_progress : callable (done, total), optional
        Told now and then how many draws of all chains are done; called from another thread.

    Returns
    -------
    StageDraws
    """
    import nutpie  # heavy, and only a fit needs it

    data = collapse(problem)
    mode = find_mode(data)
    if careful:
        tune *= 2

    def report(progress: Sequence[Any]) -> None:
        if on_progress is not None:
            done = sum(each.finished_draws for each in progress)
            on_progress(done, chains * (tune + draws))

    sampler = nutpie.sample(
        native_model(data, mode),
        draws=draws,
        tune=tune,
        chains=chains,
        cores=min(chains, available_cores()),
        seed=seed,
        target_accept=_CAREFUL_TARGET_ACCEPT if careful else _TARGET_ACCEPT,
        save_warmup=False,
        progress_bar=False,
        progress_callback=report,
        blocking=False,
    )
    try:
        tree = sampler.wait()
    except KeyboardInterrupt:
        # Waiting inside `sample` would take Ctrl-C for a wish to keep the draws made so far.
        sampler.cancel()
        raise
    scores = mode.centre + tree["posterior"]["white"].values @ mode.root.T
    scales = problem.layout.from_scores(scores)
    stats = tree["sample_stats"]
    wanted = ("diverging", "energy", "depth", "n_steps", "step_size_bar", "logp")
    statistics = {name: stats[name].values for name in wanted if name in stats}
    return StageDraws(scales, draw_all_effects(problem, scales, seed), statistics)

"""Problems of choosing measurements: small enough to try everything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayeslat.decisions.suggest.neighbours import Measurements
from bayeslat.decisions.suggest.problem import DesignProblem, StageDesign
from bayeslat.decisions.suggest.strata import Strata

NOISE_SHARED = 0.4


def make_stage(rng: np.random.Generator, size: int, features: int = 3) -> StageDesign:
    """Draw a stage with physics of one term."""
    root = rng.normal(size=(features, features)) / features
    blur_sd = rng.uniform(0.1, 0.3, size)
    design, mean = rng.normal(size=(size, features)), rng.normal(size=features)
    share = rng.uniform(0.2, 0.8, size)
    noise_sd = blur_sd * rng.choice([0.8, 1.0], size)
    run_sd, places = rng.uniform(0.05, 0.2, size), rng.uniform(-1.0, 1.0, (size, 2))
    return StageDesign(
        candidates=Measurements(design, blur_sd, noise_sd, places),
        mean=mean,
        covariance=root @ root.T + 0.01 * np.eye(features),
        share=share,
        run_sd=run_sd,
        beyond_sd=np.zeros(size),
        terms=1,
        noise_shared=NOISE_SHARED,
        made=Measurements(np.empty((0, features)), np.empty(0), np.empty(0), np.empty((0, 2))),
    )


def make_problem(
    size: int = 9, seed: int = 0, cost_ms: np.ndarray | None = None, weighted: bool = False
) -> DesignProblem:
    """Draw a problem of two stages, with every candidate a point and one of them not eligible."""
    rng = np.random.default_rng(seed)
    one = make_stage(rng, size)
    stages = (one, replace(make_stage(rng, size, features=4), share=1.0 - one.share))
    weights = rng.uniform(0.1, 1.0, size) if weighted else np.ones(size)
    eligible = np.ones(size, dtype=bool)
    eligible[2] = False
    return DesignProblem(
        stages=stages,
        noise_correlation=np.array([[1.0, 0.4], [0.4, 1.0]]),
        log_total=rng.normal(5.0, 1.0, size),
        knobs=rng.normal(size=(size, 2)).round(1),
        eligible=eligible,
        points=np.arange(size),
        weights=weights / weights.sum(),
        cost_ms=cost_ms,
    )


def with_strata(problem: DesignProblem, sizes: tuple[int, ...]) -> DesignProblem:
    """Split the candidates into strata of these sizes, in a mixed order."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    strata = Strata(
        names=tuple(f"part {number}" for number in range(len(sizes))),
        labels=np.random.default_rng(0).permutation(labels),
        sizes=np.array(sizes),
        taken=np.zeros(len(sizes), dtype=int),
    )
    return replace(problem, strata=strata)


def blur_covariance(
    stage: StageDesign, chosen: list[int], shared: float = NOISE_SHARED
) -> np.ndarray:
    """Covariance of what no effect explains of some measurements, pair by pair."""
    rows = stage.candidates
    found = np.diag(rows.blur_sd[chosen] ** 2)
    for i, one in enumerate(chosen):
        for j, other in enumerate(chosen[:i]):
            apart = np.linalg.norm(rows.places[one] - rows.places[other]) / 0.25
            near = shared * np.exp(-0.5 * apart**2)
            found[i, j] = found[j, i] = near * rows.noise_sd[one] * rows.noise_sd[other]
    return found


def variance_after(
    stage: StageDesign, chosen: list[int], shared: float = NOISE_SHARED
) -> np.ndarray:
    """Work the variance of `design @ effects` out anew, by precisions. Shape (candidate,)."""
    rows = stage.design[chosen]
    told = rows.T @ np.linalg.solve(blur_covariance(stage, chosen, shared), rows)
    covariance = np.linalg.inv(np.linalg.inv(stage.covariance) + told)
    return np.einsum("if,fg,ig->i", stage.design, covariance, stage.design)


def integrated_variance(problem: DesignProblem, chosen: list[int]) -> float:
    """Weighted mean over the points of the variance of the log total."""
    total = sum(stage.share**2 * variance_after(stage, chosen) for stage in problem.stages)
    return float(np.asarray(total)[problem.points] @ problem.weights)

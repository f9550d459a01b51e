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
        candidates=Measurements(design, blur_sd, noise_sd, places, np.ones(size)),
        mean=mean,
        covariance=root @ root.T + 0.01 * np.eye(features),
        share=share,
        run_sd=run_sd,
        beyond_sd=np.zeros(size),
        terms=1,
        noise_shared=NOISE_SHARED,
        made=Measurements(
            np.empty((0, features)), np.empty(0), np.empty(0), np.empty((0, 2)), np.empty(0)
        ),
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


def misfit_covariance(rows: Measurements, shared: float = NOISE_SHARED) -> np.ndarray:
    """Covariance of what measurements share, pair by pair: Matern 3/2 of reach 1/8."""
    found = np.empty((len(rows), len(rows)))
    for i in range(len(rows)):
        for j in range(len(rows)):
            apart = np.sqrt(3.0) * np.linalg.norm(rows.places[i] - rows.places[j]) / 0.125
            near = shared * (1.0 + apart) * np.exp(-apart)
            found[i, j] = near * rows.noise_sd[i] * rows.noise_sd[j]
    return found


def variance_after(stage: StageDesign, chosen: list[int]) -> np.ndarray:
    """Work the variance of `design @ effects` out anew, by precisions. Shape (candidate,).

    As calibration has it: with independent blurs.
    """
    covariance = believed_after(stage, chosen)
    return np.einsum("if,fg,ig->i", stage.design, covariance, stage.design)


def believed_after(stage: StageDesign, chosen: list[int]) -> np.ndarray:
    """Covariance of the effects, as calibration has it. Shape (feature, feature)."""
    rows = stage.design[chosen] / stage.candidates.blur_sd[chosen, None]
    return np.linalg.inv(np.linalg.inv(stage.covariance) + rows.T @ rows)


def excess_after(stage: StageDesign, chosen: list[int], shared: float = NOISE_SHARED) -> np.ndarray:
    """Square of what is missed at each candidate, over that by its own misfit. Shape (candidate,).

    All that is random is stacked: effects, misfits of all candidates, noise of the rows. What is
    missed is linear in it, with the weights that independent rows get in a regression.
    """
    features, size, count = stage.design.shape[1], len(stage.design), len(chosen)
    rows, misfit = stage.candidates, misfit_covariance(stage.candidates, shared)
    apart = rows.blur_sd[chosen] ** 2 - np.diag(misfit)[chosen]
    joint = np.zeros((features + size + count,) * 2)
    joint[:features, :features] = stage.covariance
    joint[features : features + size, features : features + size] = misfit
    joint[features + size :, features + size :] = np.diag(apart)
    measured = np.zeros((count, len(joint)))
    measured[:, :features] = rows.design[chosen]
    measured[np.arange(count), features + np.array(chosen, dtype=int)] += 1.0
    measured[:, features + size :] = np.eye(count)
    weights = (
        believed_after(stage, chosen) @ (rows.design[chosen] / rows.blur_sd[chosen, None] ** 2).T
    )
    missed = np.zeros((size, len(joint)))
    missed[:, :features] = rows.design
    missed[:, features : features + size] = np.eye(size)
    missed -= rows.design @ weights @ measured
    return np.einsum("if,fg,ig->i", missed, joint, missed) - np.diag(misfit)


def integrated_error(problem: DesignProblem, chosen: list[int]) -> float:
    """Weighted mean over the points of the squared error of the log total, but for its misfit."""
    total = sum(stage.share**2 * excess_after(stage, chosen) for stage in problem.stages)
    return float(np.asarray(total)[problem.points] @ problem.weights)

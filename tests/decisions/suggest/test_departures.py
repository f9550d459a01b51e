"""What lies beyond the training range is learnt from measurements there, when rows are chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bayeslat.decisions.group_view import GroupView, view_group
from bayeslat.decisions.predict_stage import correction_size
from bayeslat.decisions.suggest.departures import Departures, departures_at
from bayeslat.features.design import stage_inputs
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.calibration.widening import step_variance
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.walk import walked
from bayeslat.posterior import Posterior
from tests.decisions.test_measured_beyond import KNOBS, MOST, TARGET, calibrated, donors, own

pytestmark = pytest.mark.xdist_group("measured beyond")


def pose_departures(
    data: PosteriorData, configs: pd.DataFrame
) -> tuple[Departures, NDArray[np.float64], NDArray[np.float64]]:
    """Departures of the target's prefill at some configurations, with places and excess."""
    gpu, part = load_hardware().resolve(TARGET), data.stages["prefill"]
    view = view_group(data, "prefill", gpu, None, np.random.default_rng(0))
    raw = stage_inputs(data.spec, "prefill", configs, gpu).raw
    places, size = part.basis.places(raw), correction_size(data, "prefill", gpu, view)
    return departures_at(view, places, size), places, view.basis.excess(raw)


def variance_of(
    departures: Departures, places: NDArray[np.float64], excess: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of all that the further effects and what they leave come to."""
    columns = departures.columns(places)
    own_part = departures.covariance[-columns.shape[1] :, -columns.shape[1] :]
    return np.sum(columns @ own_part * columns, axis=1) + departures.left(places, excess)


def predicted_variance(
    data: PosteriorData, view: GroupView, places: NDArray[np.float64], excess: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of what a prediction draws beyond the range."""
    size = correction_size(data, "prefill", load_hardware().resolve(TARGET), view)
    steps, growth = step_variance(view.basis, size), walked(excess)
    if view.walk is None:
        return growth**2 @ steps
    told = view.walk.departures(places).var(axis=1, ddof=1)
    return told + view.walk.growth(places, excess) ** 2 @ steps


@pytest.mark.parametrize("measured", [False, True])
def test_effects_and_what_they_leave_are_as_unsure_as_a_prediction(measured: bool) -> None:
    data = calibrated().data if measured else donors()
    configs = own(0, 4096)[KNOBS]
    departures, places, excess = pose_departures(data, configs)
    assert departures.columns(places).any(axis=0).all()
    found = variance_of(departures, places, excess)
    expected = predicted_variance(data, departures.view, places, excess)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    inside = (configs["context"] <= MOST).to_numpy()
    assert not found[inside].any()
    assert found[~inside].all()
    assert departures.mean.shape == departures.covariance.shape[:1]


def test_farther_rows_tell_of_nearer_places_as_a_line_and_a_walk_do() -> None:
    """A single line to the farthest place left what 25 rows tell of the walk untold."""
    configs = own(MOST, 4096)[KNOBS]
    departures, places, excess = pose_departures(donors(), configs)
    trail = departures.trail
    stretches = np.flatnonzero(np.isfinite(trail.end))
    assert len(stretches) == 4
    distance = trail.distances(places)[:, 0]
    at = [int(np.argmin(np.abs(distance - end))) for end in trail.end[stretches]]
    columns, distance = departures.columns(places[at]), distance[at]
    own_part = departures.covariance[-len(trail) :, -len(trail) :]
    expected = np.outer(distance, distance) + np.minimum.outer(distance, distance)
    variance = departures.variance[trail.direction[0]]
    np.testing.assert_allclose(columns @ own_part @ columns.T, variance * expected)
    np.testing.assert_allclose(departures.left(places[at], excess[at]), 0.0, atol=1e-12)
    longest = (trail.end - trail.start)[stretches].max()
    left = departures.left(places, excess)
    assert 0 < left.max() <= variance * longest / 4  # in the middle of a bridge


def test_within_the_range_there_is_nothing_to_learn() -> None:
    departures, places, excess = pose_departures(donors(), own(0, MOST)[KNOBS])
    assert departures.columns(places).shape == (len(places), 0)
    assert not departures.left(places, excess).any()


def test_no_effect_explains_how_deep_an_empty_corner_is() -> None:
    """A line and a walk, as beyond an end of the range: sd^2 (d^2 + d), of the last direction."""
    departures, places, excess = pose_departures(donors(), own(0, MOST)[KNOBS].head(4))
    variance = np.full(departures.variance.shape, 7.0)
    variance[-1] = 0.5
    excess[:, -1] = [0.0, 0.25, 1.0, 3.0]
    left = replace(departures, variance=variance).left(places, excess)
    np.testing.assert_allclose(left, [0.0, 0.15625, 1.0, 6.0])


def test_rows_beyond_the_range_are_expected_to_tell_the_way() -> None:
    """Until they were, candidates that all lie there were chosen by the noise of what is known."""
    posterior, far = Posterior(donors()), own(1500, 4096)
    batch = posterior.suggest(far[KNOBS], TARGET, 6)
    assert batch.outlook.mape[6] < 0.5 * batch.outlook.mape[0]
    contexts = batch.frame["context"]
    assert contexts.max() > 1.3 * contexts.min()
    calibrated_there = posterior.calibrate(far.loc[batch.frame.index], TARGET)
    blind, found = (
        np.abs(each.predict(far[KNOBS], TARGET).frame["prefill_point_ms"] / far["t_prefill_ms"] - 1)
        for each in (posterior, calibrated_there)
    )
    assert found.mean() < 0.6 * blind.mean()  # runs scatter

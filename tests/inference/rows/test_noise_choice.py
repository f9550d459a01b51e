"""What is settled of the noise, from rows whose noise is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bayeslat.inference.rows.noise_choice import NoiseChoice, choose_noise
from bayeslat.inference.rows.repeats import UNTOLD_SHARED, row_weights
from tests.regressions import Array, as_stage_rows, draw_errors, unit_basis

PRIOR_SD = np.full(2, 0.3)
CONFIGS = 400


def draw_rows(
    seed: int,
    dof: float = np.inf,
    slope: float = 0.0,
    repeats: int = 1,
    shared: float = 0.0,
    sd: float = 0.03,
) -> tuple[Array, Array, Array, NDArray[np.int64]]:
    """Draw design, response, coordinates and configuration numbers of a group."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(CONFIGS), repeats)
    raw = rng.uniform(-1, 1, (CONFIGS, 1))[labels]
    design = np.concatenate([np.ones_like(raw), raw], axis=1)
    misfit, runs = draw_errors(rng, CONFIGS, dof)[labels], draw_errors(rng, len(labels), dof)
    errors = np.sqrt(shared) * misfit + np.sqrt(1 - shared) * runs
    spread = sd * np.exp(slope * raw[:, 0])
    return design, design @ [0.2, -0.1] + spread * errors, raw, labels


def choose(*groups: tuple[Array, Array, Array, NDArray[np.int64]]) -> NoiseChoice:
    designs, responses, raw, labels = zip(*groups, strict=True)
    rows = [as_stage_rows(*pair) for pair in zip(raw, labels, strict=True)]
    return choose_noise(designs, responses, rows, unit_basis(), PRIOR_SD)


@pytest.mark.parametrize(("dof", "low", "high"), [(3.0, 3.0, 5.0), (np.inf, 20.0, np.inf)])
def test_the_tails_are_those_of_the_rows(dof: float, low: float, high: float) -> None:
    assert low <= choose(draw_rows(1, dof), draw_rows(2, dof)).dof <= high


def test_noise_of_a_shape_does_not_pass_for_heavy_tails() -> None:
    rows = draw_rows(3, slope=0.8)
    chosen = choose(rows)
    # A log scale has the information 2 dof / (dof + 3) a row; a flat column, the variance 1 / 3.
    error = np.sqrt(3 * 7 / 8 / CONFIGS)
    assert abs(chosen.shape.slopes[0] - 0.8) < 4 * error
    assert chosen.dof >= 20
    np.testing.assert_array_equal(chosen.spread[0], chosen.shape.spread(unit_basis(), rows[2]))
    # The broken twin: without its shape, the same noise looks heavy-tailed.
    design, response, raw, labels = rows
    assert choose((design, response, 0 * raw, labels)).dof < 20


def test_weights_are_those_of_the_part_that_repeats_share() -> None:
    half, none = draw_rows(4, repeats=4, shared=0.5), draw_rows(5, repeats=4, shared=0.0)
    chosen = choose(half, none)
    for weights, (_, _, _, labels), shared in zip(
        chosen.weights, (half, none), (0.5, 0), strict=True
    ):
        assert np.ptp(weights) == 0  # as many repeats everywhere
        low, high = (
            row_weights(labels, share)[0] for share in (shared + 0.15, max(shared - 0.15, 0))
        )
        assert low <= weights[0] <= high
    assert chosen.shared == pytest.approx(0.25, abs=0.15)  # both have as many repeats
    # Copies share all of it; the tails of few, often repeated rows are those of the few.
    design, response, raw, labels = draw_rows(6)
    tenfold = np.repeat(np.arange(CONFIGS), 10)
    copies = choose((design[tenfold], response[tenfold], raw[tenfold], labels[tenfold]))
    np.testing.assert_allclose(copies.weights[0], 0.1, rtol=1e-6)
    once = choose((design, response, raw, labels))
    assert copies.dof == once.dof
    # Residuals are corrected for the leverage of a row, of which a copy has a tenth.
    np.testing.assert_allclose(copies.shape.slopes, once.shape.slopes, atol=5e-3)


def test_the_level_of_a_group_is_left_to_its_scale() -> None:
    quiet, loud = choose(draw_rows(7, sd=0.01)), choose(draw_rows(7, sd=0.1))
    # Slightly different: the pilot fits shrink effects by their noise.
    np.testing.assert_allclose(loud.shape.slopes, quiet.shape.slopes, atol=0.02)
    np.testing.assert_allclose(loud.spread[0], quiet.spread[0], rtol=0.03)


def test_the_spread_is_one_on_log_average_over_configurations() -> None:
    groups = [draw_rows(8, slope=0.5), draw_rows(9, slope=0.5, repeats=3, shared=0.4)]
    log_spread = np.concatenate([np.log(each) for each in choose(*groups).spread])
    once = np.concatenate([row_weights(labels, 1.0) for *_, labels in groups])
    assert np.average(log_spread, weights=once) == pytest.approx(0, abs=1e-12)


def test_a_group_without_rows_takes_part_in_nothing() -> None:
    rows = draw_rows(10, dof=4.0, slope=0.3)
    nothing = (np.empty((0, 2)), np.empty(0), np.empty((0, 1)), np.empty(0, dtype=np.int64))
    alone, both = choose(rows), choose(nothing, rows)
    assert both.dof == alone.dof
    np.testing.assert_array_equal(both.shape.slopes, alone.shape.slopes)
    assert both.spread[0].shape == both.weights[0].shape == (0,)


def test_rows_are_repeats_to_a_stage_that_sees_no_difference() -> None:
    """Knobs of other stages set them apart as configurations: each counts for one row."""
    design, response, raw, labels = draw_rows(11, repeats=4, shared=0.5)
    apart = choose((design, response, raw, np.arange(len(labels))))
    np.testing.assert_array_equal(apart.weights[0], 1.0)
    assert apart.shared == pytest.approx(0.5, abs=0.15)
    # The broken twin, whose rows differ to the stage too: neighbours cannot tell as much.
    design, response, raw, labels = draw_rows(11, repeats=4, shared=0.0)
    moved = raw + 1e-9 * np.arange(len(raw))[:, None]
    known, guessed = (
        choose((design, response, each, np.arange(len(labels)))).shared for each in (raw, moved)
    )
    assert known < 0.1 < guessed < UNTOLD_SHARED


def test_repeats_of_configurations_tell_what_the_formulas_lack() -> None:
    """A knob moves the stage by a tenth of e, and neither terms nor features have it."""
    design, response, raw, inputs = draw_rows(13, repeats=6)
    knob = np.tile([1.0, 1.0, 1.0, -1.0, -1.0, -1.0], CONFIGS)
    moved = response + 0.1 * knob
    own = 0.1**2 / (0.1**2 + 0.03**2)
    repeated = choose((design, moved, raw, 2 * inputs + (knob > 0)))
    assert repeated.shared == pytest.approx(own, abs=0.05)
    # Of configurations measured once, those that the stage sees alike seem to be its noise.
    assert choose((design, moved, raw, np.arange(len(raw)))).shared < 0.1


def test_without_repeats_neighbours_tell_what_is_a_configurations_own() -> None:
    design, noise, raw, labels = draw_rows(12)
    misfit = 0.03 * np.sin(40.0 * raw[:, 0])  # smooth, but not to the effects
    smooth = choose((design, misfit + 0.1 * noise, raw, labels))
    assert smooth.shared > 0.9
    assert choose((design, noise, raw, labels)).shared < 0.4
    # Tasks have nothing in common: misfit that each has for itself is the noise of neighbours.
    tasks = np.random.default_rng(0).integers(0, 2, CONFIGS).astype(str)
    apart = np.where(tasks == "1", misfit, -misfit) + 0.1 * noise
    told, mixed = (
        choose_noise(
            [design], [apart], [as_stage_rows(raw, labels, task)], unit_basis(), PRIOR_SD
        ).shared
        for task in (list(tasks), None)
    )
    assert mixed < 0.5 < 0.9 < told

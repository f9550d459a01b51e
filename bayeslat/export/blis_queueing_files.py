"""The queueing delay for the program in Go: its coefficients, and vectors."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.export.blis_queueing import QueueingDelay, QueueingPoint
from bayeslat.export.blis_queueing_stage import STATE
from bayeslat.model.student_t import MOST_DOF

__all__ = ["queueing_json", "queueing_vectors"]

_SERVER = ("max_num_seqs", "max_num_batched_tokens", "kv_blocks", "kv_block_tokens")
_VECTORS = 64


def queueing_json(point: QueueingPoint) -> dict[str, Any]:
    """Return what the delay is computed from, level by level; times in ms.

    Parameters
    ----------
    point : QueueingPoint
    """
    part, view, basis = point.part, point.view, point.part.basis
    stage, own = point.stage_hurdle, point.hurdle
    unit_ms, held_unit_ms = point.units_ms()
    effects = view.effects[0]
    of_terms, of_columns = effects[: part.terms], effects[part.terms :]
    # Near where the physics was linearised: what its terms' shares add to the log of the delay, and
    # what makes the polynomial orthogonal to them.
    shares = [of_terms - view.departure, -view.point.projection @ of_columns]
    shape = part.noise_shape
    log_sd = float(np.log(view.noise_sd[0]) - shape.centre @ shape.slopes)
    reference = point.data.reference
    return {
        "server": {name: float(point.knobs[name]) for name in _SERVER},
        "hurdle": {
            "spans": _listed(stage.low, stage.high),
            "coefficients": _numbers(own.effects[0]),
            "below_ms": float(np.median(own.below_ms)),
        },
        "physics": {
            "unit_ms": _numbers(unit_ms),
            "coefficients": _numbers(np.exp(view.point.log_efficiency)),
        },
        "residual": {
            "state": {
                name: {"low": float(reference[name].min()), "high": float(reference[name].max())}
                for name in STATE
            },
            "held_unit_ms": _numbers(held_unit_ms),
            "spans": _listed(*(each[: len(basis.features)] for each in (basis.low, basis.high))),
            "exponents": basis.exponents.tolist(),
            "coefficients": _numbers(np.concatenate([*shares, of_columns])),
        },
        "noise": {
            "dof": min(float(part.noise_dof), MOST_DOF),
            "coefficients": [log_sd, *_numbers(shape.slopes)],
        },
    }


def queueing_vectors(point: QueueingPoint) -> list[dict[str, Any]]:
    """Return states with their features and delays.

    Parameters
    ----------
    point : QueueingPoint
    """
    states = point.states(_VECTORS, seed=0)
    found = point.delay(states)
    columns = {each.name: getattr(found, each.name).tolist() for each in fields(QueueingDelay)}
    return [
        {
            "state": {name: float(row[name]) for name in STATE},
            **{name: values[at] for name, values in columns.items()},
        }
        for at, (_, row) in enumerate(states.iterrows())
    ]


def _numbers(values: NDArray[np.float64]) -> list[float]:
    return [float(each) for each in values]


def _listed(low: NDArray[np.float64], high: NDArray[np.float64]) -> list[dict[str, float]]:
    """Return the training range of each feature."""
    return [{"low": float(a), "high": float(b)} for a, b in zip(low, high, strict=True)]

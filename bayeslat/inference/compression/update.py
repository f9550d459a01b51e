"""Updating a posterior: new rows join, old windows go, and the draws are made anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bayeslat.errors import InputError
from bayeslat.inference.compression.changed import refuse_changed
from bayeslat.inference.compression.compressed import Compressed, join_windows, retire_windows
from bayeslat.inference.compression.fit_compressed import (
    join_stages,
    rows_fingerprint,
    stage_problems,
)
from bayeslat.inference.compression.stream.settle import point_of
from bayeslat.inference.engines.draw_stages import OnProgress, draw_stages
from bayeslat.inference.engines.draws import StageDraws
from bayeslat.inference.engines.engine import EngineOptions, library_versions
from bayeslat.inference.hurdles.hurdle import HurdlePosterior
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.rows.windows import StageSums, Window, total_sums
from bayeslat.model.groups import name_group

__all__ = ["FIRST_WINDOW", "update_posterior", "windows_of"]

FIRST_WINDOW = "fit"
"""Of the rows of a posterior that was fitted from rows."""


def update_posterior(
    data: PosteriorData,
    new: Compressed | None,
    options: EngineOptions,
    *,
    retire: Sequence[str] = (),
    engine_address: str | None = None,
    on_progress: OnProgress | None = None,
) -> PosteriorData:
    """Add rows to a posterior, take windows out of it, and draw it anew.

    Parameters
    ----------
    data : PosteriorData
    new : Compressed or None
        Settled at the posterior's point.
    options : EngineOptions
    retire : sequence of str
        Windows to take out.
    engine_address : str, optional
        As for `bayeslat.parallel.run`.
    on_progress : callable (stage, done, total), optional

    Returns
    -------
    PosteriorData
        Converged or not: ask its `diagnostics`. The correlation of the stages' noise, the ranges
        of the fit and the settled point are those of before.

    Raises
    ------
    InputError
        If GPUs were calibrated since the fit, there is no such window, a new one has the name of
        one that stays, no row is left, or the new rows are of groups that have changed.
    """
    point = point_of(data)
    if data.targets:
        names = ", ".join(name_group(*group) for group in data.targets)
        raise InputError(
            f"the posterior holds {names}, calibrated from donors that would change; update the "
            "posterior without them, and calibrate them again"
        )
    windows = retire_windows(windows_of(data), retire)
    if new is not None:
        if new.point.hash != point.hash:
            raise InputError(
                "the new rows were settled at another point than the posterior; compress them "
                "with --like POSTERIOR"
            )
        windows = join_windows(windows, new.windows)
        refuse_changed(point, new.sample)
    if not windows:
        raise InputError("no window is left; retire fewer, or give new traces")
    sums = {stage: total_sums(windows.values(), stage) for stage in point.stages}
    problems = stage_problems(point, sums)
    drawn, diagnostics = draw_stages(
        problems, options, engine_address=engine_address, on_progress=on_progress
    )
    sources = {*data.attrs.get("sources", ()), *(new.attrs.get("sources", ()) if new else ())}
    return replace(
        data,
        stages=join_stages(point, problems, sums, drawn, _hurdles(data, drawn)),
        chains=next(iter(drawn.values())).scales.shape[0],
        statistics={stage: dict(each.statistics) for stage, each in drawn.items()},
        diagnostics=diagnostics,
        attrs={
            **data.attrs,
            "engine": options.engine,
            "seed": options.seed,
            "rows": sum(window.rows for window in windows.values()),
            "fingerprint": rows_fingerprint(windows),
            "sources": sorted(sources),
            "versions": library_versions(),
        },
        windows=windows,
        fitted_latencies=data.fitted_latencies if FIRST_WINDOW in windows else {},
    )


def windows_of(data: PosteriorData) -> Mapping[str, Window]:
    """Return the windows of a posterior; one of all its rows, if it was fitted from rows.

    Parameters
    ----------
    data : PosteriorData
    """
    if data.windows:
        return data.windows
    stages = {
        stage: StageSums.of(part.problem.statistics, part.measured)
        for stage, part in data.stages.items()
    }
    return {FIRST_WINDOW: Window(int(data.attrs.get("rows", 0)), stages)}


def _hurdles(
    data: PosteriorData, drawn: Mapping[str, StageDraws]
) -> dict[str, HurdlePosterior | None]:
    """Return the hurdles of the fit, with as many draws as the stages have now."""
    found = {}
    for stage, part in data.stages.items():
        count = drawn[stage].count
        kept = np.arange(count) * len(part.scales) // count  # some twice where it has fewer
        found[stage] = None if part.hurdle is None else part.hurdle.take(kept)
    return found

"""The posterior as users hold it: fitted, saved, loaded, and asked for predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bayeslat.arguments import check_tables, refuse, tell_kind
from bayeslat.counted import counted
from bayeslat.decisions.guard import Guard, check_guard
from bayeslat.decisions.predict import Of, predict
from bayeslat.decisions.prediction import Prediction
from bayeslat.decisions.suggest.choose import suggest
from bayeslat.decisions.suggest.options import Objective, SuggestOptions
from bayeslat.decisions.suggest.registry import DEFAULT_METHOD
from bayeslat.decisions.suggest.suggestion import Suggestion
from bayeslat.errors import InputError
from bayeslat.evaluation.drift import ALLOWANCE, Drift, find_drift
from bayeslat.evaluation.passes import passes_of
from bayeslat.evaluation.transfer import Transfer, choose_target, judge_transfer
from bayeslat.features.hardware import Gpu, HardwareTable, load_hardware
from bayeslat.features.spec import Spec
from bayeslat.finite import wrong_share
from bayeslat.inference.calibration.calibrate import calibrate
from bayeslat.inference.engines.diagnostics import Diagnostics
from bayeslat.inference.posteriors.caveats import caveats_of
from bayeslat.inference.posteriors.gross_errors import GrossError, find_gross_errors
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.storage.posterior_file import read_posterior, write_posterior
from bayeslat.paths import as_path
from bayeslat.traces.names import wrong_stack

if TYPE_CHECKING:
    import xarray as xr

    from bayeslat.export import Bundle

__all__ = ["Posterior", "load_posterior"]


@dataclass(frozen=True, eq=False, repr=False)
class Posterior:
    """What the traces say about every stage on every GPU, with its uncertainty.

    Every method returns a new value; nothing is changed in place.

    Attributes
    ----------
    data : PosteriorData
        Draws, statistics and linearisation points.
    """

    data: PosteriorData

    def __repr__(self) -> str:
        gross = len(self.gross_errors)
        more = f", {counted(gross, 'row')} set aside" if gross else ""
        return f"<Posterior of {self.data}{more}>"

    @property
    def spec(self) -> Spec:
        """The model specification that was fitted."""
        return self.data.spec

    @property
    def gpus(self) -> tuple[str, ...]:
        """Keys of the fitted GPUs."""
        return self.data.fitted_gpus

    @property
    def diagnostics(self) -> Diagnostics:
        """The verdict on the draws."""
        return self.data.diagnostics

    @property
    def caveats(self) -> tuple[str, ...]:
        """What this fit cannot know, from the GPUs that it had."""
        return caveats_of(self.data)

    @property
    def gross_errors(self) -> tuple[GrossError, ...]:
        """Rows that the fit and calibrations set aside: the GPU's others make them impossible."""
        return (*self.data.set_aside, *find_gross_errors(self.data))

    def predict(
        self,
        configs: pd.DataFrame,
        gpu: str,
        *,
        stack: str | None = None,
        of: Of = "run",
        seed: int = 0,
        hardware: HardwareTable | None = None,
    ) -> Prediction:
        """Predict the latency of configurations.

        Parameters
        ----------
        configs : DataFrame, one row a config
            With the spec's knobs; further columns pass through.
        gpu : str
            Key or alias. A GPU that was not fitted is predicted from its data sheet.
        stack : str, optional
            Serving software; a column `stack` takes precedence.
        of : {"run", "typical"}
            One further measured run, or the run-to-run median.
        seed : int
        hardware : HardwareTable, optional
            For GPUs that the shipped table lacks.

        Returns
        -------
        Prediction

        Raises
        ------
        HardwareError
            If the GPU is not in the hardware table, or lacks a field that the spec needs.
        TraceError
            With every config that the spec cannot take, by file and row.
        InputError
            If `of` is neither value, or `configs` is no table.
        """
        check_tables(hardware, seed, configs=configs)
        return predict(self.data, configs, self._gpu(gpu, hardware), stack=stack, of=of, seed=seed)

    def suggest(
        self,
        candidates: pd.DataFrame,
        gpu: str,
        n: int,
        *,
        objective: Objective = "total",
        budget_ms: float | None = None,
        cost: str = "none",
        exclude: pd.DataFrame | None = None,
        method: str = DEFAULT_METHOD,
        strata: str | None = None,
        stack: str | None = None,
        seed: int = 0,
        hardware: HardwareTable | None = None,
    ) -> Suggestion:
        """Choose the configurations to measure next, best first.

        Parameters
        ----------
        candidates : DataFrame, one row a candidate
            With the spec's knobs; further columns pass through. They are also the configurations
            whose uncertainty is to be lowered: those that the GPU was calibrated with are not
            chosen again.
        gpu : str
            Key or alias.
        n : int
        objective : {"total", "guardrail"}
            Uncertainty of the total over all candidates alike, or where it decides about a budget.
        budget_ms : float, optional
            Of the total; for the guardrail.
        cost : str
            `none`; `latency`: as much as possible per expected ms; or a column of costs in ms.
        exclude : DataFrame, one row a config, optional
            Configurations not to choose.
        method : str
            Of `bayeslat.decisions.suggest.registry.METHODS`.
        strata : str, optional
            Operating regions to cover: `latency`, five bands of the expected total with as many
            candidates each; or a column of the candidates, a stratum for each value (five bands,
            if it is a number with more than ten). Each stratum gets one measurement first, then in
            proportion to its candidates. What the GPU was calibrated with counts, candidate or not;
            for a column that is neither a knob nor the task, candidates alone, since a posterior
            keeps no more. Where there are more strata than `n`, the method chooses which get one.
        stack : str, optional
            The one that the candidates name, or else that of the GPU's rows that name none, or its
            only one, by default.
        seed : int
        hardware : HardwareTable, optional
            For GPUs that the shipped table lacks.

        Returns
        -------
        Suggestion
            Its `frame` holds the rows; its `outlook` what they will buy.

        Raises
        ------
        HardwareError
            If the GPU is not in the hardware table, or lacks a field that the spec needs.
        TraceError
            With every candidate that the spec cannot take.
        InputError
            With every argument that has an impossible value; if there are fewer candidates; or if
            the GPU was measured with several stacks and none is named.
        """
        excluded = {} if exclude is None else {"exclude": exclude}
        check_tables(hardware, seed, candidates=candidates, **excluded)
        return suggest(
            self.data,
            candidates,
            self._gpu(gpu, hardware),
            n,
            stack=stack,
            exclude=exclude,
            options=SuggestOptions(objective, budget_ms, cost, method, seed, strata),
        )

    def guard(
        self,
        gpu: str,
        budget_ms: float | None = None,
        *,
        max_risk: float = 0.05,
        stage_budgets_ms: Mapping[str, float] | pd.Series | None = None,
        stack: str | None = None,
        of: Of = "run",
        seed: int = 0,
        hardware: HardwareTable | None = None,
    ) -> Guard:
        """Return a guardrail, which decides about configurations by P(latency > budget).

        Parameters
        ----------
        gpu : str
            Key or alias.
        budget_ms : float, optional
            Of the total.
        max_risk : float
            The largest P(latency > budget) that is accepted.
        stage_budgets_ms : mapping of str to float, or Series, optional
            Further budgets: of one run of a stage (`llm_decode_per_token`: time per output token),
            or of several stages joined by + (`vision_encoder+projector+llm_prefill`: time to the
            first token).
        stack : str, optional
        of : {"run", "typical"}
            What has to keep the budget: each single request, or the run-to-run median.
        seed : int
        hardware : HardwareTable, optional
            For GPUs that the shipped table lacks.

        Returns
        -------
        Guard
            Its `decide(configs)` adds `p_exceed` and `decision` (accept, reject or measure).

        Raises
        ------
        HardwareError
            If the GPU is not in the hardware table, or lacks a field that the spec needs.
        InputError
            With every setting that breaks a rule.
        """
        check_tables(hardware, seed)
        budgets = check_guard(
            list(self.data.stages),
            budget_ms,
            {} if stage_budgets_ms is None else _as_mapping(stage_budgets_ms),
            max_risk,
            stack=stack,
            of=of,
        )
        return Guard(self.data, self._gpu(gpu, hardware), budgets, max_risk, stack, of, seed)

    def calibrate(
        self,
        traces: pd.DataFrame,
        gpu: str,
        *,
        stack: str | None = None,
        hardware: HardwareTable | None = None,
        seed: int = 0,
    ) -> Posterior:
        """Add a GPU from its measurements, or update one, without a new fit.

        Parameters
        ----------
        traces : DataFrame, one row a measurement
            Rows of other GPUs are passed over. Without any rows, the GPU is as its data sheet and
            the donors have it. Rows join those of earlier calibrations.
        gpu : str
            Key or alias.
        stack : str, optional
            Serving software of rows that name none; by default, that of the GPU's other such rows,
            or its only one.
        hardware : HardwareTable, optional
            For GPUs that the shipped table lacks.
        seed : int

        Returns
        -------
        Posterior
            A new one; the donors are as they were.

        Raises
        ------
        HardwareError
            If the GPU is not in the hardware table, or lacks a field that the spec needs.
        TraceError
            With every row of the GPU that breaks a rule.
        InputError
            If the trace has rows, but none of this GPU, or is no table.
        """
        check_tables(hardware, seed, traces=traces)
        table = self._table(hardware)
        return Posterior(calibrate(self.data, traces, self._gpu(gpu, table), stack, table, seed))

    def judge_transfer(
        self,
        gpu: str,
        *,
        stack: str | None = None,
        threshold: float = 0.10,
        traces: pd.DataFrame | None = None,
        seed: int = 0,
    ) -> Transfer:
        """Judge whether the predictions for a calibrated GPU can be trusted.

        Parameters
        ----------
        gpu : str
            Key or alias.
        stack : str, optional
            The one that it was calibrated with by default.
        threshold : float
            Of the MAPE of the total, between 0 and 1: 0.10 is 10 %.
        traces : DataFrame, one row a measurement, optional
            What it was calibrated with: how its passes over the configurations differ. Without, or
            where they do not tell, it counts as measured in one pass, like those of the donors.
        seed : int

        Returns
        -------
        Transfer
            With the verdict `trust`, `more data` or `refit as donor`, and its reasons.

        Raises
        ------
        InputError
            If the GPU was not calibrated, or with several stacks of which none is named; if the
            traces have rows, but none of it, or are no table; if the threshold is impossible.
        TraceError
            With every row that breaks a rule.
        """
        check_tables(seed=seed)
        refuse([wrong_share("threshold", threshold, "0.10 for 10 %")])
        entry = self._gpu(gpu, None)
        chosen = choose_target(self.data, entry.key, stack)
        passes = None
        if traces is not None:
            check_tables(traces=traces)
            passes = passes_of(self.data, traces, entry, chosen, self._table(None), seed=seed)
        return judge_transfer(
            self.data, entry, chosen, threshold=threshold, passes=passes, seed=seed
        )

    def find_drift(
        self,
        traces: pd.DataFrame,
        gpu: str | None = None,
        *,
        stack: str | None = None,
        alarm_rate: float = 0.01,
        allowance: float = ALLOWANCE,
        hardware: HardwareTable | None = None,
        seed: int = 0,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Drift:
        """Test whether new rows still follow the fit, and say what moved and since when.

        Parameters
        ----------
        traces : DataFrame, one row a measurement
            Measured after those of the fit; in order of `collected_at`, or as they stand.
        gpu : str, optional
            Key or alias; every GPU that the posterior holds by default.
        stack : str, optional
            Compare all rows with this stack of the posterior, whatever they name.
        alarm_rate : float
            Probability that anything is called a drift while nothing has changed.
        allowance : float
            How far the fit may be off while nothing has changed, in each direction of the features,
            as a part of the noise; 0 takes the posterior at its word.
        hardware : HardwareTable, optional
            For GPUs that the shipped table lacks.
        seed : int
        on_progress : callable (done, total), optional

        Returns
        -------
        Drift
            Its `stages` hold a verdict for each GPU, stack and stage; its `frame` a row for each;
            its `notes` what to know of the rows, such as times that cannot be read.

        Raises
        ------
        HardwareError
            If the GPU is not in the hardware table.
        TraceError
            With every row that breaks a rule.
        InputError
            If a number is impossible, or the posterior holds no group of the rows.
        """
        check_tables(hardware, seed, traces=traces)
        table = self._table(hardware)
        return find_drift(
            self.data,
            traces,
            gpu=None if gpu is None else self._gpu(gpu, table),
            stack=stack,
            alarm_rate=alarm_rate,
            allowance=allowance,
            hardware=table,
            seed=seed,
            on_progress=on_progress,
        )

    def with_history(self, command: str) -> Posterior:
        """Note a command that made it: `data.attrs["history"]` lists them, the first first.

        Parameters
        ----------
        command : str

        Raises
        ------
        InputError
            If it is no text.
        """
        if not isinstance(command, str):
            raise InputError(f"command is {tell_kind(command)}; give it as text")
        history = [*self.data.attrs.get("history", []), command]
        return Posterior(replace(self.data, attrs={**self.data.attrs, "history": history}))

    def save(self, path: str | Path) -> None:
        """Write the posterior file (NetCDF), whole or not at all.

        Parameters
        ----------
        path : str or Path
            Ends in .nc. Missing folders are made.

        Raises
        ------
        InputError
            If it is no path, the name does not end in .nc, or is a folder's.
        """
        write_posterior(self.data, path)

    def write_bundle(
        self,
        path: str | Path,
        gpu: str,
        *,
        stack: str | None = None,
        hardware: HardwareTable | None = None,
        seed: int = 0,
        reader: bool = True,
    ) -> Bundle:
        """Write the guardrail of a GPU into one file, for schedulers.

        Parameters
        ----------
        path : str or Path
            Missing folders are made.
        gpu : str
            Key or alias.
        stack : str, optional
            As for `guard`.
        hardware : HardwareTable, optional
            For GPUs that the shipped table lacks.
        seed : int
        reader : bool
            Whether to write `guard_reader.py` beside it, which decides from the file with NumPy
            alone.

        Returns
        -------
        Bundle
            What was written; its header tells how far it agrees with `guard`.

        Raises
        ------
        HardwareError
            If the GPU is not in the hardware table, or lacks a field that the spec needs.
        SpecError
            If the spec has what a bundle cannot hold, as a stage with a hurdle.
        InputError
            If an argument has an impossible value, the path is a folder's, or no configuration of
            the fit can be decided.
        """
        from bayeslat.export import write_bundle

        check_tables(hardware, seed)
        refuse([wrong_stack(stack)])
        entry = self._gpu(gpu, hardware)
        return write_bundle(
            self.data, entry, as_path(path, "guard.bundle"), stack=stack, seed=seed, reader=reader
        )

    def to_datatree(self) -> xr.DataTree:
        """Return a copy of the posterior file's content as ArviZ takes it."""
        from bayeslat.inference.storage.posterior_tree import to_tree

        return to_tree(self.data).copy(deep=True)

    def _gpu(self, name: str, hardware: HardwareTable | None) -> Gpu:
        """Find a GPU; one that was fitted keeps the data sheet that it was fitted with."""
        gpu = self._table(hardware).resolve(name, self.spec.hardware_fields)
        return self.data.hardware.get(gpu.key, gpu)

    def _table(self, hardware: HardwareTable | None) -> HardwareTable:
        """Return the hardware table, with the GPUs of the fit and of calibrations."""
        return (hardware or load_hardware()).extended(self.data.hardware)


def _as_mapping(budgets: Mapping[str, float] | pd.Series) -> Mapping[Any, float]:
    """Return budgets by name, as a Series has them, too."""
    return budgets.to_dict() if isinstance(budgets, pd.Series) else budgets


def load_posterior(path: str | Path) -> Posterior:
    """Read a posterior file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Posterior

    Raises
    ------
    PosteriorFileError
        If the file is missing, cut short, changed, of another format version, or no posterior.
    InputError
        If `path` is no path.
    """
    return Posterior(read_posterior(path))

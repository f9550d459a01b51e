"""Simulation-based calibration of a user's spec: fit what its priors made, and rank the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.arguments import no_hardware, no_spec, no_table, refuse
from bayeslat.counted import counted
from bayeslat.decisions.predict import predict
from bayeslat.errors import InputError
from bayeslat.evaluation.holm import adjust_holm
from bayeslat.evaluation.uniformity import KEPT, Ranks, rank_among, uniformity_p
from bayeslat.features.hardware import HardwareTable, load_hardware
from bayeslat.features.spec import Spec
from bayeslat.finite import is_count, tell_count
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.model.groups import label_group
from bayeslat.model.simulate import draw_parameters, simulate
from bayeslat.model.simulation_parameters import SimulationParameters
from bayeslat.parallel import check_workers, run

if TYPE_CHECKING:
    from bayeslat.inference.fitting.fit import Engine

__all__ = ["SimulatedCalibration", "simulation_based_calibration"]

_LEAST_SIMULATIONS = 20
_LATENCY = "latency"
_INSIDE = (0.05, 0.95)


@dataclass(frozen=True, eq=False, repr=False)
class SimulatedCalibration:
    """Ranks of what traces were simulated from, among what a fit drew.

    Attributes
    ----------
    labels : tuple over parameter of (stage, term, group)
        The term is one of physics, or `latency`. The group is `gpu`, or `gpu@stack`.
    ranks : Ranks
    """

    labels: tuple[tuple[str, str, str], ...]
    ranks: Ranks

    def __repr__(self) -> str:
        simulations, parameters = self.ranks.ranks.shape
        return (
            f"<SimulatedCalibration of {counted(parameters, 'parameter')} "
            f"over {counted(simulations, 'simulation')}>"
        )

    @property
    def worst(self) -> tuple[str, float]:
        """The parameter that is least uniform, and its p-value adjusted for their number."""
        return self.ranks.worst

    @property
    def frame(self) -> pd.DataFrame:
        """What the ranks say of each parameter.

        Returns
        -------
        DataFrame, one row a parameter
            `stage`, `term`, `group`; `p`, exact, that its ranks are uniform (Säilynoja, Bürkner and
            Vehtari 2022), and `p_adjusted` for the number of parameters (Holm 1979); `mean_rank`,
            0.5 without bias, smaller where the fit draws too large; and `coverage_90`, the share
            of simulations whose truth lies within the central 90 % of the draws.
        """
        share = (self.ranks.ranks + 0.5) / (KEPT + 1)
        inside = (share > _INSIDE[0]) & (share < _INSIDE[1])
        p = np.array([uniformity_p(each, KEPT) for each in self.ranks.ranks.T])
        table = pd.DataFrame(self.labels, columns=["stage", "term", "group"])
        return table.assign(
            p=p,
            p_adjusted=adjust_holm(p),
            mean_rank=share.mean(axis=0),
            coverage_90=inside.mean(axis=0),
        )


def simulation_based_calibration(
    spec: Spec,
    configs: pd.DataFrame,
    gpus: Sequence[str],
    *,
    stacks: Sequence[str] = (),
    repeats: int = 1,
    simulations: int = 100,
    engine: Engine = "laplace",
    hardware: HardwareTable | None = None,
    seed: int = 0,
    jobs: int = 1,
    engine_address: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> SimulatedCalibration:
    """Draw parameters from the spec's priors and a trace from these, fit it, and rank the truth.

    If the fit draws from the posterior of the model that simulates, the rank of each parameter's
    truth among draws is uniform (Talts, Betancourt, Simpson, Vehtari and Gelman 2018, theorem 1).
    Ranked are, for each stage and group, the coefficient exp(theta0 + u) of every term, and the
    typical latency of a configuration, another one in each simulation. All of the fit is judged, so
    its approximations are seen as well as faults of a spec: physics is simulated as it is, and
    fitted linearised round its mode. That costs coefficients which trade off against each other
    more than it costs latencies.

    Parameters
    ----------
    spec : Spec
    configs : DataFrame, one row a config
        With the spec's knobs.
    gpus : sequence of str
        Keys or aliases of the GPUs to simulate and fit.
    stacks : sequence of str, optional
        Every GPU runs every stack.
    repeats : int
        Measurements of each configuration.
    simulations : int
        At least 20; a hundred show coverage that is off by a tenth.
    engine : {"laplace", "nuts"}
    hardware : HardwareTable, optional
        The shipped table by default.
    seed : int
    jobs, engine_address
        Where simulations run, as for `bayeslat.parallel.run`; ranks do not depend on it.
    on_progress : callable (done, total), optional

    Returns
    -------
    SimulatedCalibration

    Raises
    ------
    InputError
        If there are too few simulations, or an argument is impossible.
    HardwareError
        If a GPU is not in the hardware table.
    TraceError
        With every config that the spec cannot take.
    WorkerError
        As for `bayeslat.parallel.run`.
    """
    check_workers(jobs, engine_address)
    refuse([no_spec(spec), no_table("configs", configs), no_hardware(hardware)])
    if not is_count(simulations, _LEAST_SIMULATIONS):
        raise InputError(
            f"simulations is {tell_count(simulations)}; it must be a whole number of at least "
            f"{_LEAST_SIMULATIONS}: fewer ranks show nothing"
        )
    table = hardware or load_hardware()
    setting = _Setting(
        spec,
        # Of a trace: a stack of its rows is none of the simulated ones.
        configs[spec.config_columns(configs)].reset_index(drop=True),
        tuple(gpus),
        tuple(stacks),
        repeats,
        engine,
        table,
        seed,
    )
    truth = setting.draw_truth(0)  # what is wrong with an argument is told before workers start
    ranks = run(
        _rank,
        range(simulations),
        setting,
        jobs=jobs,
        engine_address=engine_address,
        on_progress=on_progress,
    )
    labels = tuple(_labels(truth))
    names = tuple(f"{stage}: {term} of {group}" for stage, term, group in labels)
    return SimulatedCalibration(labels, Ranks(names, np.array(list(ranks))))


@dataclass(frozen=True)
class _Setting:
    """What all simulations share."""

    spec: Spec
    configs: pd.DataFrame
    gpus: tuple[str, ...]
    stacks: tuple[str, ...]
    repeats: int
    engine: Engine
    hardware: HardwareTable
    seed: int

    def own_seed(self, number: int) -> int:
        """Seed of a simulation: no two of a study share one, nor do studies of nearby seeds."""
        return int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])

    def draw_truth(self, number: int) -> SimulationParameters:
        """Draw the parameters of a simulation."""
        return draw_parameters(
            self.spec,
            self.gpus,
            configs=self.configs,
            stacks=self.stacks,
            seed=self.own_seed(number),
            hardware=self.hardware,
        )


def _rank(setting: _Setting, number: int) -> NDArray[np.int64]:
    """Simulate once, fit, and rank each truth. Shape (parameter,)."""
    # Samplers: not for those who only predict.
    from bayeslat.inference.fitting.fit import fit_posterior

    truth, seed = setting.draw_truth(number), setting.own_seed(number)
    trace = simulate(
        setting.spec,
        setting.configs,
        setting.gpus,
        stacks=setting.stacks,
        repeats=setting.repeats,
        parameters=truth,
        seed=seed,
        hardware=setting.hardware,
    )
    data = fit_posterior(
        setting.spec, trace, hardware=setting.hardware, engine=setting.engine, seed=seed
    )
    config = setting.configs.sample(1, random_state=seed)
    drawn = np.concatenate(
        [_drawn_stage(data, part.offset, stage, config) for stage, part in truth.stages.items()],
        axis=1,
    )
    true = np.concatenate([_true_stage(setting, truth, stage, config) for stage in truth.stages])
    return rank_among(true, drawn[np.arange(KEPT) * (len(drawn) // KEPT)])


def _labels(truth: SimulationParameters) -> Iterator[tuple[str, str, str]]:
    """Name what is ranked, in order."""
    for stage, part in truth.stages.items():
        for group, offset in part.offset.items():
            for term in (*offset, _LATENCY):
                yield stage, term, group


def _true_stage(
    setting: _Setting, truth: SimulationParameters, stage: str, config: pd.DataFrame
) -> NDArray[np.float64]:
    """Coefficients and typical latency of each group, in logs, in the order of `_labels`."""
    part = truth.stages[stage]
    still = {
        name: each.model_copy(update={"noise": dict.fromkeys(each.noise, 0.0)})
        for name, each in truth.stages.items()
    }
    typical = simulate(
        setting.spec,
        setting.configs,  # all: residual columns are scaled to their range
        setting.gpus,
        stacks=setting.stacks,
        parameters=truth.model_copy(update={"stages": still}),
        hardware=setting.hardware,
    )
    count = len(setting.configs)
    first = setting.configs.index.get_loc(config.index[0])
    latency = typical[setting.spec.stages[stage].column].to_numpy()[first::count]
    found: list[float] = []
    for (_, offset), own in zip(part.offset.items(), latency, strict=True):
        found += [part.shared_efficiency[term] + offset[term] for term in offset]
        found.append(np.log(own))
    return np.array(found)


def _drawn_stage(
    data: PosteriorData, labels: Iterable[str], stage: str, config: pd.DataFrame
) -> NDArray[np.float64]:
    """Draws of the same, in the order of the groups' labels. Shape (draw, parameter)."""
    place = {label_group(*group): number for number, group in enumerate(data.groups)}
    part = data.stages[stage]
    node_of = {int(group): node for node, group in enumerate(part.problem.tree.leaf)}
    found = []
    for group in map(place.__getitem__, labels):
        gpu, stack = data.groups[group]
        effects = part.effects[:, node_of[group], : part.terms]
        prediction = predict(data, config, data.hardware[gpu], stack=stack or None, of="typical")
        latency = prediction.typical(stage).reshape(len(effects), 1)
        found += [part.shared_efficiency + effects, np.log(latency)]
    return np.concatenate(found, axis=1)

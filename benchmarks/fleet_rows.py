"""Rows of a simulated fleet, on disk: as many as wanted, of several GPUs mixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bayeslat.features.design import linearise, stage_inputs
from bayeslat.features.hardware import HardwareTable, load_hardware
from bayeslat.features.knob_range import parse_knobs
from bayeslat.features.residual import span_basis
from bayeslat.features.spec import Spec
from bayeslat.model.sample_configs import sample_configs
from bayeslat.traces.formats.parquet import METADATA_KEY
from bayeslat.traces.provenance import Provenance

KNOBS = (
    "vision_tokens=144:2880",
    "image_crops=1:20",
    "prompt_tokens=16:4096:log",
    "top_k=1,2,4,8",
    "active_blocks=8,12,16,20,24,28,32,36,40,44,48",
    "batch_size=1,2,4,8,16,32",
    "output_tokens=16:512",
)
"""Of `models/vlm.toml`."""

ROW_GROUP = 500_000
_REFERENCE = 500  # configurations over which residuals are orthogonal to physics
_OFFSET_SD = {"flops": 0.15, "bytes": 0.1, "launch": 0.2, "cache": 0.2}
_SHARED = {"flops": 1.5, "bytes": 1.25, "launch": 1.5, "cache": 1.3}
_RESIDUAL_SD, _RESIDUAL_OFFSET_SD = 0.03, 0.01
_NOISE, _NOISE_DOF, _OUTLIERS = 0.04, 8, 1e-3


class Fleet:
    """A fleet whose rows follow a spec: what its stages take, and how runs scatter.

    Efficiencies differ between GPUs as those of measured ones do, the noise is a Student-t of eight
    degrees of freedom, and one run in a thousand takes three times as long.

    Parameters
    ----------
    spec : Spec
    gpus : int
        Number of them; where the hardware table has fewer, copies of its GPUs join, each with an
        efficiency of its own.
    seed : int
    knobs : sequence of str
        Their ranges.
    configs : int
        Configurations that the fleet runs.
    """

    def __init__(
        self,
        spec: Spec,
        gpus: int,
        seed: int = 0,
        knobs: tuple[str, ...] = KNOBS,
        configs: int = 50_000,
    ) -> None:
        self.spec = spec
        self.hardware, self.gpus = _table(spec, gpus)
        rng = np.random.default_rng([seed, 0])
        self.configs = sample_configs(parse_knobs(knobs), configs, seed)
        self._typical = {stage: self._draw_stage(stage, rng) for stage in spec.stages}

    def write(self, rows: int, folder: Path, files: int = 1, seed: int = 1) -> list[Path]:
        """Write rows, GPUs in random order.

        Parameters
        ----------
        rows : int
            Of all files together.
        folder : Path
        files : int
        seed : int

        Returns
        -------
        list of Path
        """
        folder.mkdir(parents=True, exist_ok=True)
        provenance = Provenance(source="simulated", tool="benchmarks.fleet_rows", software={})
        paths = []
        for number, part in enumerate(np.diff(np.linspace(0, rows, files + 1).astype(int))):
            rng = np.random.default_rng([seed, number])
            path = folder / f"fleet_{number:03d}.parquet"
            schema = self._table(1, rng).schema.with_metadata({METADATA_KEY: provenance.to_json()})
            latencies = [stage.column for stage in self.spec.stages.values()]
            plain = [name for name in schema.names if name not in latencies]
            with pq.ParquetWriter(path, schema, use_dictionary=plain) as writer:
                for start in range(0, part, ROW_GROUP):
                    writer.write_table(self._table(min(ROW_GROUP, part - start), rng).cast(schema))
            paths.append(path)
        return paths

    def frame(self, rows: int, seed: int = 1) -> pd.DataFrame:
        """Return rows as a table, as `write` would write them."""
        frame: pd.DataFrame = self._table(rows, np.random.default_rng([seed, 0])).to_pandas()
        return frame.astype({"gpu": str}).assign(repeat=np.arange(rows))

    def _table(self, rows: int, rng: np.random.Generator) -> pa.Table:
        gpu = rng.integers(len(self.gpus), size=rows, dtype=np.int16)
        config = rng.integers(len(self.configs), size=rows, dtype=np.int32)
        columns: dict[str, pa.Array] = {
            "gpu": pa.DictionaryArray.from_arrays(pa.array(gpu), pa.array(self.gpus))
        }
        for knob in self.spec.knobs:
            columns[knob] = pa.array(self.configs[knob].to_numpy(dtype=np.int16)[config])
        for stage, part in self.spec.stages.items():
            noise = _NOISE * rng.standard_t(_NOISE_DOF, rows)
            noise[rng.uniform(size=rows) < _OUTLIERS] += np.log(3.0)
            latency = np.exp(self._typical[stage][gpu, config] + noise)
            columns[part.column] = pa.array(latency.astype(np.float32))
        return pa.table(columns)

    def _draw_stage(self, stage: str, rng: np.random.Generator) -> NDArray[np.float64]:
        """Log of the run-to-run median, in ms. Shape (gpu, config)."""
        terms = self.spec.stages[stage].physics.values()
        shared = np.log([_SHARED[term.kind.value] for term in terms])
        spread = np.array([_OFFSET_SD[term.kind.value] for term in terms])
        basis, weights, typical = None, np.empty(0), []
        for name in self.gpus:
            gpu = self.hardware.gpus[name]
            inputs = stage_inputs(self.spec, stage, self.configs, gpu)
            reference = stage_inputs(self.spec, stage, self.configs.head(_REFERENCE), gpu)
            if basis is None:
                residual = self.spec.stages[stage].residual
                features = [each.text for each in residual.features] if residual else []
                basis = span_basis(features, residual.degree if residual else 0, inputs.raw)
                weights = _RESIDUAL_SD * basis.multiplier * rng.standard_normal(len(basis.names))
            theta = shared + spread * rng.standard_normal(len(shared))
            log_ms, design = linearise(theta, reference, basis).design(inputs, basis)
            own = _RESIDUAL_OFFSET_SD * basis.multiplier * rng.standard_normal(len(weights))
            typical.append(log_ms + design[:, len(theta) :] @ (weights + own))
        return np.array(typical)


def _table(spec: Spec, count: int) -> tuple[HardwareTable, list[str]]:
    """Return a hardware table with so many GPUs that have all that a spec needs, and their keys."""
    table = load_hardware()
    full = [
        gpu
        for gpu in table.gpus.values()
        if all(gpu.fields().get(name) for name in spec.hardware_fields)
    ]
    copies = {}
    for number in range(len(full), count):
        base = full[number % len(full)]
        key = f"{base.key}_{number // len(full)}"
        update = {"key": key, "name": f"{base.name} {number}", "aliases": ()}
        copies[key] = base.model_copy(update=update)
    keys = [gpu.key for gpu in full][:count] + list(copies)
    return table.extended(copies), keys[:count]

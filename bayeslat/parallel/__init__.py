"""Many tasks at once: on the cores of this machine, or on a Dask cluster that is already there."""

from __future__ import annotations

from bayeslat.parallel.fan_out import check_workers, run

__all__ = ["check_workers", "run"]

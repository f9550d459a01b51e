"""The class that vLLM finds under its entry-point group `vllm.stat_logger_plugins`."""

from __future__ import annotations

import abc

from vllm.v1.metrics.loggers import StatLoggerBase

from bayeslat.serving.engine_logger import open_logger

__all__ = ["StatLogger"]


class StatLogger(StatLoggerBase):  # type: ignore[misc]
    """Writes every engine iteration and finished request into `BAYESLAT_LOG_DIR`.

    Without that variable it does nothing. Arguments that later versions of vLLM add are accepted
    and not used.
    """

    def __init__(
        self, vllm_config: object, engine_index: int = 0, *rest: object, **more: object
    ) -> None:
        self._logger = open_logger(vllm_config, engine_index)

    def record(
        self,
        scheduler_stats: object = None,
        iteration_stats: object = None,
        *rest: object,
        **more: object,
    ) -> None:
        """Take what one iteration told."""
        if self._logger is not None:
            self._logger.record(scheduler_stats, iteration_stats)

    def log_engine_initialized(self) -> None:
        """Do nothing: the configuration is in every file."""


def _nothing(self: object, *rest: object, **more: object) -> None:
    """Stand for a method that a later version of vLLM asks for."""


# A class that lacks a method cannot be made, and a server that cannot make its logger does not
# start.
for _name in StatLogger.__abstractmethods__:
    setattr(StatLogger, _name, _nothing)
abc.update_abstractmethods(StatLogger)

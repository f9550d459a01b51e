"""`python -m bayeslat`, and the command `bayeslat`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

__all__ = ["main"]

_INTERRUPTED = 130  # as shells have it: 128 and the number of the signal
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_SHORTLY_S = 0.1  # until a signal that was dropped is sent again


class _Ending:
    """A signal to end is an interrupt, which unwinds: workers end, and temporary files go.

    Once is enough. But Python drops an interrupt that strikes while it throws an object away: the
    signal is then sent again.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.tell_dropped = sys.unraisablehook

    def hear(self) -> None:
        """Listen to signals from now on, but for those that are ignored, as under `nohup`."""
        for number in _ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, self._interrupt)
        sys.unraisablehook = self._send_again

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self.number = number
            raise KeyboardInterrupt

    def _send_again(self, dropped: UnraisableHookArgs) -> None:
        number = self.number
        if number is None or not issubclass(dropped.exc_type, KeyboardInterrupt):
            self.tell_dropped(dropped)
            return
        self.number = None
        again = threading.Timer(_SHORTLY_S, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()


def main() -> None:
    """Run the command line; a signal ends it quietly, while libraries are imported too."""
    ending = _Ending()
    ending.hear()
    try:
        from bayeslat.cli import main as run  # takes most of the time until a command starts

        run()
    except (KeyboardInterrupt, SystemExit) as ended:
        if isinstance(ended, SystemExit) and ended.code != _INTERRUPTED:
            raise
        # As in `bayeslat.cli.main`, which is not there yet.
        exec("")  # noqa: S102
        sys.exit(_INTERRUPTED if ending.number is None else 128 + ending.number)


if __name__ == "__main__":
    main()

"""`python -m bayeslat`, and the command `bayeslat`."""

from __future__ import annotations

import signal
import sys
from types import FrameType

__all__ = ["main"]

_INTERRUPTED = 130  # as shells have it: 128 and the number of the signal
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def main() -> None:
    """Run the command line; a signal ends it quietly, while libraries are imported too.

    A signal to end is an interrupt, which unwinds: workers end, and temporary files go.
    """
    heard = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # once is enough
        heard.append(number)
        raise KeyboardInterrupt

    for number in _ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` has it ignored
            signal.signal(number, interrupt)
    try:
        from bayeslat.cli import main as run  # takes most of the time until a command starts

        run()
    except (KeyboardInterrupt, SystemExit) as ended:
        if isinstance(ended, SystemExit) and ended.code != _INTERRUPTED:
            raise
        # As in `bayeslat.cli.main`, which is not there yet.
        exec("")  # noqa: S102
        sys.exit(128 + heard[0] if heard else _INTERRUPTED)


if __name__ == "__main__":
    main()

"""`python -m bayeslat`, and the command `bayeslat`."""

from __future__ import annotations

import sys

__all__ = ["main"]

_INTERRUPTED = 130  # as shells have it


def main() -> None:
    """Run the command line; an interrupt ends it quietly, while libraries are imported too."""
    try:
        from bayeslat.cli import main as run  # takes most of the time until a command starts

        run()
    except KeyboardInterrupt:
        # As in `bayeslat.cli.main`, which is not there yet.
        exec("")  # noqa: S102
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()

"""`python -m bayeslat`, and the command `bayeslat`."""

from __future__ import annotations

from bayeslat.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()

"""Files for other programs: the guard bundle."""

from __future__ import annotations

__all__: list[str] = []

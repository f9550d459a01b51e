"""How good predictions are: metrics, and checks against measurements."""

from __future__ import annotations

__all__: list[str] = []

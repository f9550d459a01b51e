"""Tables, figures and progress: what results look like. Nothing here computes one."""

from __future__ import annotations

__all__: list[str] = []

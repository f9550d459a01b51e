"""Model specifications, their expressions, GPU data sheets and design matrices."""

from __future__ import annotations

__all__: list[str] = []

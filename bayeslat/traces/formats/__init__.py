"""The file formats of tables: one module each, which reads and writes it."""

from __future__ import annotations

__all__: list[str] = []

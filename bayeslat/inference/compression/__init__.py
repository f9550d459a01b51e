"""More rows than fit in memory: statistics that stand for them, fits of these, and updates."""

__all__: list[str] = []

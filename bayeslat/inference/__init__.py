"""From traces to a posterior, and from a posterior to a target's: the one layer that samples."""

__all__: list[str] = []

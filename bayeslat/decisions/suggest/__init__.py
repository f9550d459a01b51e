"""Which configurations to measure next, and what the measurements will buy."""

__all__: list[str] = []

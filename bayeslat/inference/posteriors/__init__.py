"""What a fit knows, and what was left out of it."""

__all__: list[str] = []

"""The hierarchical model: what it is, in plain and collapsed form. Builds, never samples."""

__all__: list[str] = []

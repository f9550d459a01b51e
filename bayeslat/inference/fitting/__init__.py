"""Every stage of a spec on every GPU of a trace."""

__all__: list[str] = []

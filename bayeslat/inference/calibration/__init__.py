"""A GPU or stack joins a posterior by its own measurements, without a new fit."""

__all__: list[str] = []

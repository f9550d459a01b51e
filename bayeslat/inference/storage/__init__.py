"""Posteriors as trees of labelled arrays, and the sealed NetCDF files that hold them."""

__all__: list[str] = []

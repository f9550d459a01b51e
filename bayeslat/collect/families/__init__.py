"""Families of vision-language models: where their stages are and what their inputs look like."""

from __future__ import annotations

from bayeslat.collect.families.family import Family, Parts, text_limits
from bayeslat.collect.families.registry import family_of

__all__ = ["Family", "Parts", "family_of", "text_limits"]

"""Compression: traces of any length as sufficient statistics, in one pass and constant memory."""

from __future__ import annotations

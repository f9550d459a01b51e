"""Files for other programs: the guard bundle."""

from __future__ import annotations

from bayeslat.export.bundle import READER_NAME, Bundle, make_bundle, write_bundle

__all__ = ["READER_NAME", "Bundle", "make_bundle", "write_bundle"]

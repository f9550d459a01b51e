"""Measuring real models: knobs, requests, stage timers and the trace that they fill.

torch and transformers are imported inside the functions that need them, so importing this package
is cheap and works without them. PyMC and ArviZ are never imported.
"""

from bayeslat.collect.knobs import Knobs

__all__ = ["Knobs"]

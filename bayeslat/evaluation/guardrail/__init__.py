"""How good a guardrail is: rates, trade-off, calibration and finite-sample bounds."""

from __future__ import annotations

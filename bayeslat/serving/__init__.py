"""The logger that vLLM loads: every engine iteration and finished request, into files.

It runs in the environment of the server, where nothing else of bayeslat does: standard library
only, and Python from 3.10 on, whatever the rest of the package needs.
"""

from __future__ import annotations

"""The part of a report's page that says where its numbers come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from bayeslat.counted import counted
from bayeslat.report.page import html_table

__all__ = ["origin_section"]

_DASH = "\u2013"


def origin_section(record: Mapping[str, Any]) -> Iterator[str]:
    """Traces, posterior and commands."""
    yield "<h2>Where the numbers come from</h2>"
    for caveat in record["caveats"]:
        yield f"<p>{escape(caveat)}</p>"
    if not record["converged"]:
        yield "<p><b>The posterior did not converge</b>: <code>bayeslat check</code> it.</p>"
    heads = ["trace", "rows", "source", "collected", "tool", "on"]
    rows = [[each["file"], f"{each['rows']:,}", *_origin(each)] for each in record["traces"]]
    yield html_table(heads, rows, numbers=False)
    fitted = record["posterior"]
    versions = ", ".join(f"{name} {each}" for name, each in (fitted["versions"] or {}).items())
    donors = ", ".join(record["donors"])
    rows = [
        ["donors", donors or _DASH],
        ["spec", f"{fitted['spec']} ({fitted['spec_hash'][:12]})"],
        ["fit", f"{fitted['engine']}, seed {fitted['seed']}, {counted(fitted['rows'], 'row')}"],
        ["fitted data", f"SHA-256 {fitted['fingerprint'][:16]}\u2026"],
        ["libraries", versions],
    ]
    yield html_table(["posterior", ""], rows, numbers=False)
    yield "<h2>The commands that made it</h2>"
    yield f"<pre>{escape(chr(10).join(record['commands']))}</pre>"


def _origin(trace: Mapping[str, Any]) -> list[str]:
    """Say how a trace came about, in four cells."""
    about = trace["provenance"] or {}
    gpu = about.get("gpu")
    name = gpu.get("name") if isinstance(gpu, Mapping) else gpu
    cells = (about.get("source", "unknown"), about.get("collected_at"), about.get("tool"), name)
    return [str(cell) if cell else _DASH for cell in cells]

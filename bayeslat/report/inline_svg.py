"""Figures inside a page: vector images that take the page's colours."""

from __future__ import annotations

import io
import re
from html import escape
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from bayeslat.report.palette import INK, lay_out

__all__ = ["inline_svg"]

_RC: dict[Any, Any] = {"svg.hashsalt": "bayeslat", "svg.fonttype": "none"}
# What comes before the image, what says who made it, what would style the whole page, and what
# would hold its size and font against the page's.
_SURPLUS = (
    re.compile(r"^.*?(?=<svg)", re.DOTALL),
    re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL),
    re.compile(r"\s*<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL),
    re.compile(r'(?<=\s)(width|height)="[\d.]+pt"\s?'),
    re.compile(r"font-family:[^;\"]*;\s?"),
)


def inline_svg(figure: Figure, name: str, title: str) -> str:
    """Return a figure as an SVG element.

    Text stays text, in the page's font, and ink takes the page's text colour, so that the figure is
    readable in light and dark.

    Parameters
    ----------
    figure : Figure
    name : str
        Unique within the page: ids begin with it.
    title : str
        What a screen reader says.
    """
    lay_out(figure)
    buffer = io.StringIO()
    with rc_context(_RC):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    for pattern in _SURPLUS:
        text = pattern.sub("", text)
    text = text.replace('id="', f'id="{name}-')
    text = text.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    text = text.replace(INK, "currentColor")
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)

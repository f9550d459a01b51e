"""A self-contained HTML page: its frame and its tables."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["html_figure", "html_page", "html_table"]

_STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --soft: #57606a; }
@media (prefers-color-scheme: dark) { :root { --line: #3d444d; --soft: #9198a1; } }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.7rem; overflow-wrap: anywhere; } h2 { margin-top: 2.2rem; }
h3 { margin-bottom: .3rem; font-size: 1.05rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { vertical-align: bottom; line-height: 1.25; }
.numbers th:not(:first-child), .numbers td:not(:first-child) { text-align: right; }
.numbers td { white-space: nowrap; }
figure { margin: 1.5rem 0; } figure img { max-width: 100%; background: #fff; border-radius: 6px; }
figure svg { display: block; width: 100%; min-width: 34rem; }
figure svg * { stroke-linejoin: round; stroke-linecap: butt; }
.lead { font-size: 1.15rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .8rem;
  margin: 1.5rem 0; }
.tile { border: 1px solid var(--line); border-radius: 8px; padding: .7rem .9rem; }
.tile b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .88rem; }
.note { color: var(--soft); }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem;
  font-size: .85rem; }
figcaption { color: var(--soft); font-size: .9rem; }
@media print { body { max-width: none; margin: 0; } h2 { break-after: avoid; }
  figure, tr, .tile { break-inside: avoid; } figure svg { min-width: 0; }
  .scroll, pre { overflow: visible; } pre { white-space: pre-wrap; } }
"""


def html_page(title: str, body: str) -> str:
    """Frame a page.

    Parameters
    ----------
    title : str
    body : str
        HTML.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )


def html_figure(image: str, caption: str) -> str:
    """Frame an image; a wide one scrolls sideways on a narrow screen.

    Parameters
    ----------
    image : str
        HTML.
    caption : str
    """
    return (
        f'<figure><div class="scroll">{image}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def html_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = True) -> str:
    """Write a table; it scrolls sideways on a narrow screen.

    Parameters
    ----------
    heads : sequence of str
    rows : sequence of sequence of str
    numbers : bool
        Whether all columns but the first are aligned to the right.
    """
    kind = ' class="numbers"' if numbers else ""
    # A long name may be broken after its underscores.
    head = "".join(f"<th>{escape(name).replace('_', '_<wbr>')}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )

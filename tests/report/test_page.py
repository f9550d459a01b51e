"""The frame of a page, and its tables."""

from __future__ import annotations

from bayeslat.report.page import html_figure, html_page, html_table
from tests.report.html import Outline

NAME = '<b>&"l40s"'


def test_text_is_escaped_everywhere() -> None:
    table = html_table([NAME, "rows"], [[NAME, "1"]])
    page = html_page(NAME, html_figure("<svg></svg>", NAME) + table)
    outline = Outline.of(page)
    assert outline.problems == []
    assert "b" not in outline.tags
    assert outline.text_of("h1") == [NAME]
    assert outline.text_of("title") == [NAME]
    assert outline.text_of("figcaption") == [NAME]
    assert outline.text_of("th") == [NAME, "rows"]
    assert outline.text_of("td") == [NAME, "1"]


def test_tables_and_figures_scroll_in_a_box_of_their_own() -> None:
    for part in (html_table(["a"], [["b"]]), html_figure("<svg></svg>", "c")):
        assert '<div class="scroll">' in part
    assert 'class="numbers"' in html_table(["a"], [])
    assert 'class="numbers"' not in html_table(["a"], [], numbers=False)


def test_long_heads_may_be_broken_after_underscores() -> None:
    table = html_table(["vision_tokens"], [["a_b"]])
    assert "vision_<wbr>tokens" in table
    assert "a_b" in table


def test_the_page_says_its_language_and_fits_a_phone() -> None:
    page = html_page("t", "")
    assert page.startswith("<!doctype html>")
    assert '<html lang="en">' in page
    assert '<meta charset="utf-8">' in page
    assert 'name="viewport" content="width=device-width' in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page

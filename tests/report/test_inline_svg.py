"""Figures inside a page: they take its colours and its font, and keep their text."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from bayeslat.report.inline_svg import inline_svg
from bayeslat.report.palette import COLOURS, INK, make_figure, styled

SVG = "{http://www.w3.org/2000/svg}"
NAME = 'l40s <&"> co'


@styled
def draw() -> Figure:
    figure = make_figure(3.0, 2.0)
    axis = figure.subplots()
    axis.plot([1, 2], [3, 4], "o-", color=COLOURS[0], label=NAME)
    axis.fill_between([1, 2], [3, 4], color=COLOURS[1], alpha=0.2)
    axis.axhline(3.5, color=COLOURS[6])  # the palette's black
    axis.legend()
    axis.set_title(f"What {NAME} does")
    return figure


@pytest.fixture
def svg() -> str:
    return inline_svg(draw(), "roc", f"About {NAME}")


def test_it_is_one_element_of_valid_xml(svg: str) -> None:
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root.get("aria-label") == f"About {NAME}"
    assert root.get("viewBox") == "0 0 216 144"
    assert root.get("width") is None  # the page decides
    assert root.get("height") is None


def test_text_stays_text_without_a_font_of_its_own(svg: str) -> None:
    texts = ["".join(each.itertext()) for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert f"What {NAME} does" in texts
    assert NAME in texts
    assert "font-family" not in svg
    assert "DejaVu" not in svg
    assert "font-size" in svg


def test_ink_is_the_pages_and_colours_stay(svg: str) -> None:
    assert INK not in svg
    assert "#000000" not in svg  # nobody would see it on a dark page
    assert svg.count("currentColor") > 5
    assert COLOURS[0].lower() in svg
    [title] = [
        each
        for each in ElementTree.fromstring(svg).iter(f"{SVG}text")
        if "".join(each.itertext()).startswith("What")
    ]
    assert "fill: currentColor" in (title.get("style") or "")


def test_ids_are_the_figures_own_and_each_reference_has_its_target(svg: str) -> None:
    ids = re.findall(r'\bid="([^"]*)"', svg)
    assert len(ids) == len(set(ids)) > 5
    assert all(each.startswith("roc-") for each in ids)
    used = re.findall(r"url\(#([^)]*)\)", svg) + re.findall(r'href="#([^"]*)"', svg)
    assert len(used) > 3
    assert set(used) <= set(ids)


def test_two_figures_share_no_id(svg: str) -> None:
    other = inline_svg(draw(), "coverage", "")
    ids = [set(re.findall(r'\bid="([^"]*)"', each)) for each in (svg, other)]
    assert not ids[0] & ids[1]


def test_nothing_else_comes_along(svg: str) -> None:
    assert svg.startswith("<svg ")
    assert "<metadata" not in svg
    assert "<style" not in svg  # it would hold for the whole page
    assert "DOCTYPE" not in svg
    assert set(re.findall(r"https?://[^\"' ]*", svg)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_the_same_figure_is_the_same_text(svg: str) -> None:
    assert inline_svg(draw(), "roc", f"About {NAME}") == svg

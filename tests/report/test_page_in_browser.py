"""The page in a real browser: nothing overflows, nothing is asked of the network, it prints."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import lru_cache
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from tests.assessments import drawn, page_of

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.xdist_group("small posterior"),
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
]

PHONE, DESKTOP = 390, 1200
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--virtual-time-budget=2000",
)  # fmt: skip
# Runs inside the page, and leaves what it sees at its end.
_PROBE = """
<script>
const seen = {errors: []};
addEventListener("error", event => seen.errors.push(String(event.message)));
addEventListener("load", () => {
  const box = element => element.getBoundingClientRect();
  const scrolled = element => element.closest(".scroll, pre") !== null;
  seen.width = innerWidth;
  seen.scrollWidth = document.documentElement.scrollWidth;
  seen.wide = [...document.querySelectorAll("body *")]
    .filter(each => !scrolled(each) && box(each).right > innerWidth + 1)
    .map(each => each.tagName);
  seen.images = [...document.querySelectorAll("svg")].map(each => {
    const {width, height} = box(each);
    return {width, height, texts: each.querySelectorAll("text").length};
  });
  seen.clipped = [...document.querySelectorAll("svg")].flatMap(each => {
    const frame = box(each);
    return [...each.querySelectorAll("text")].map(text => [text.textContent.trim(), box(text)])
      .filter(([_, at]) => at.left < frame.left - 2 || at.right > frame.right + 2
        || at.top < frame.top - 2 || at.bottom > frame.bottom + 2).map(([text]) => text);
  });
  seen.requests = performance.getEntriesByType("resource").map(each => each.name);
  const style = element => getComputedStyle(element);
  seen.colours = {
    page: style(document.documentElement).backgroundColor,
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    text: style(document.body).color,
    ink: style(document.querySelector("svg text")).fill,
    axes: style(document.querySelector("svg path[style*=currentColor]")).stroke,
    font: [style(document.body).fontFamily, style(document.querySelector("svg text")).fontFamily],
  };
  const out = document.createElement("pre");
  out.id = "seen";
  out.textContent = JSON.stringify(seen);
  document.body.append(out);
});
</script>
"""
# A window cannot be as narrow as a phone, but a frame can.
_FRAME = """<!doctype html><html><body>
<iframe width="{width}" height="900" srcdoc="{page}"></iframe>
<script>addEventListener("load", () => {{
  const inner = document.querySelector("iframe").contentDocument.getElementById("seen");
  document.body.append(inner);
}});</script></body></html>"""


def browse(page: str, folder: Path, *flags: str) -> str:
    """Open a page, and return what the browser says."""
    assert BROWSER is not None
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    words = [BROWSER, *_FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, file.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def look_at(page: str, folder: Path, width: int, *flags: str) -> dict[str, Any]:
    """Return what the probe sees in a window of some width."""
    framed = _FRAME.format(width=width, page=escape(page.replace("<body>", f"<body>{_PROBE}", 1)))
    window = f"--window-size={max(width + 100, 600)},1000"
    shown = browse(framed, folder, window, "--dump-dom", *flags)
    found = re.search(r'<pre id="seen">(.*?)</pre>', shown, re.DOTALL)
    assert found is not None, shown[-500:]
    seen: dict[str, Any] = json.loads(unescape(found[1]))
    return seen


@lru_cache
def look(folder: Path, kind: str, width: int, *flags: str) -> dict[str, Any]:
    """Look at the page of a kind of GPU."""
    return look_at(page_of(kind), folder, width, *flags)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_page_is_as_wide_as_the_window(folder: Path, width: int) -> None:
    seen = look(folder, "calibrated", width)
    assert seen["width"] == width
    assert seen["scrollWidth"] <= seen["width"]
    assert seen["wide"] == []
    assert seen["errors"] == []


def test_no_request_leaves_the_page(folder: Path) -> None:
    assert look(folder, "calibrated", DESKTOP)["requests"] == []


def test_the_probe_finds_what_is_wrong(folder: Path) -> None:
    wrong = (
        '<div style="width: 70rem">wide</div>',
        '<img src="http://127.0.0.1:9/x.png">',
        "<script>throw 1</script>",
    )
    spoilt = page_of("nothing").replace("<h2>", f"{''.join(wrong)}<h2>", 1)
    seen = look_at(spoilt, folder, PHONE)
    assert seen["scrollWidth"] > seen["width"]
    assert seen["wide"] == ["DIV"]
    assert len(seen["requests"]) == 1
    assert len(seen["errors"]) == 1


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_every_figure_is_shown_with_its_text(folder: Path, width: int) -> None:
    seen = look(folder, "calibrated", width)
    assert len(seen["images"]) == len(drawn("calibrated"))
    assert all(each["width"] > 300 and each["height"] > 200 for each in seen["images"])
    assert all(each["texts"] > 5 for each in seen["images"])
    assert seen["clipped"] == []


def test_text_of_figures_is_the_pages(folder: Path) -> None:
    light = look(folder, "calibrated", DESKTOP)["colours"]
    assert light["font"][0] == light["font"][1]
    assert light["ink"] == light["text"] == light["axes"] == "rgb(0, 0, 0)"


def test_a_dark_page_has_light_ink(folder: Path) -> None:
    dark = look(folder, "calibrated", DESKTOP, "--blink-settings=preferredColorScheme=0")["colours"]
    if not dark["dark"]:
        pytest.skip("this browser cannot be told to prefer dark pages")
    assert dark["ink"] == dark["text"] == dark["axes"]
    red, *_ = re.findall(r"\d+", dark["text"])
    assert int(red) > 200


def test_a_page_without_measurements_fits_a_phone_too(folder: Path) -> None:
    seen = look(folder, "nothing", PHONE)
    assert seen["scrollWidth"] <= seen["width"]
    assert seen["wide"] == []


def test_it_prints(folder: Path) -> None:
    target = folder / "page.pdf"
    browse(page_of("calibrated"), folder, f"--print-to-pdf={target}", "--no-pdf-header-footer")
    content = target.read_bytes()
    assert content.startswith(b"%PDF")
    pages = max(int(count) for count in re.findall(rb"/Count (\d+)", content))
    assert 1 < pages < 15

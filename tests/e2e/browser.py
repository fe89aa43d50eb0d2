"""Opens a report in a browser and checks what a reader would see there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PLOTS = (
    "plot-waveform",
    "plot-zoom",
    "plot-spectrum",
    "plot-voltage",
    "plot-duration",
    "plot-window-voltage",
    "plot-loading",
    "plot-network",
)
WIDTHS = ((1280, 900), (390, 844))
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
_VERDICTS = {"pass", "fail", "cannot tell", "not applicable"}
_BUTTONS = {"Download plot as a PNG", "Zoom", "Pan", "Reset axes"}
_SETTLE_MS = 300  # for whatever a script might ask for once the page stands
_INSIDE = ("file:", "data:", "blob:")
_LOOK = """id => {
    const place = document.getElementById(id);
    if (!place) return null;
    const drawing = place.querySelector("svg.main-svg, canvas");
    const box = drawing ? drawing.getBoundingClientRect() : {width: 0, height: 0};
    const curves = [...place.querySelectorAll(".scatterlayer .trace")].filter(t => t.querySelector("path"));
    const points = (place.data || []).map(t => (t.x && t.x.length) || 0);
    return {width: box.width, height: box.height, room: place.clientWidth, curves: curves.length,
            visible: drawing ? drawing.checkVisibility() : false,
            points: points, text: place.innerText.slice(0, 300),
            buttons: [...place.querySelectorAll(".modebar-btn")].map(b => b.dataset.title)};
}"""


def chromium() -> str:
    """Return the path of a Chromium; without one, skip the test, or fail it where CI=true."""
    named = os.environ.get("GRIDEDGE_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        refuse("no Chromium on this machine (looked for chromium, chromium-browser, google-chrome)")
    return str(found)


def refuse(reason: str) -> None:
    """Skip the test for a reason, or fail it where CI=true: there, nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}; CI must have it")
    pytest.skip(reason)


def check_report(path: Path, strategies: list[str]) -> None:
    """Check a report in Chromium, at the width of a desk and of a phone.

    Parameters
    ----------
    path : Path
        The HTML file.
    strategies : list of str
        Labels of the strategies that it must judge.

    Raises
    ------
    AssertionError
        If the page asks any host for anything, says anything on the console, lacks a verdict row or a plot, or is
        wider than the screen.
    """
    with browser() as open_browser:
        for width, height in WIDTHS:
            problems = problems_at(open_browser, path, strategies, width, height)
            assert not problems, f"at {width} px: " + "; ".join(problems)


@contextmanager
def browser() -> Iterator[Any]:
    """Start a Chromium for the length of a block; skip or fail where there is none."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        refuse("playwright is not installed")
    executable = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=ARGS)
        try:
            yield started
        finally:
            started.close()


def problems_at(open_browser: Any, path: Path, strategies: Sequence[str], width: int, height: int) -> list[str]:
    """Return all that is wrong with a report on a screen of one size."""
    said: list[str] = []
    asked: list[str] = []
    context = open_browser.new_context(viewport={"width": width, "height": height}, offline=True)
    try:
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(Path(path).resolve().as_uri(), wait_until="load")
        page.wait_for_timeout(_SETTLE_MS)
        problems = list(_page_problems(page, strategies, width))
    finally:
        context.close()
    problems += [f"the page asked a host: {url}" for url in asked if not url.startswith(_INSIDE)]
    return problems + [f"the console is not silent: {words}" for words in said]


def _page_problems(page: Any, strategies: Sequence[str], width: int) -> Iterator[str]:
    if not page.title().strip():
        yield "the page has no title"
    judged = [label.strip() for label in page.locator("#verdicts tbody tr th").all_inner_texts()]
    if judged != list(strategies) or not page.locator("#verdicts").is_visible():
        yield f"the verdict table judges {judged}, not {list(strategies)}"
    for words in page.locator("#verdicts tbody tr td:nth-child(2)").all_inner_texts():
        if words.strip(" ✓✗?–") not in _VERDICTS:
            yield f"a verdict is no verdict: {words!r}"
    stored = page.locator("#plot-soc").count()
    for plot in (*PLOTS, "plot-soc") if stored else PLOTS:
        seen = page.evaluate(_LOOK, plot)
        yield from (f"{plot} {problem}" for problem in _plot_problems(seen))
    wide = page.evaluate("document.documentElement.scrollWidth")
    if wide > width:
        yield f"the page is {wide} px wide on a screen of {width} px"


def _plot_problems(seen: dict[str, Any] | None) -> Iterator[str]:
    if seen is None:
        yield "is not on the page"
        return
    if not (seen["visible"] and seen["width"] > 100 and seen["height"] > 100):
        yield f"is not drawn: {seen}"
    if seen["width"] > seen["room"] + 1:
        yield f"is wider than its place: {seen}"
    if not seen["curves"]:
        yield f"holds no curve: {seen}"
    if max(seen["points"], default=0) > 10_000:
        yield f"has a trace of more than 10,000 points: {seen['points']}"
    if not set(seen["buttons"]) <= _BUTTONS:
        yield f"offers more than it should: {seen['buttons']}"

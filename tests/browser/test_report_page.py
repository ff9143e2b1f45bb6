"""The page of `aptsched report` in a browser: on a phone, on a screen, in the dark, in print."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from chromium import opened

SIMULATE = ("--policy", "fcfs,sarathi,aptserve", "--rate", "1,2")
ROWS = [(at / 2, 50 + 97 * at % 900, 20 + 61 * at % 400, f"team-{at % 7}") for at in range(150)]
CAPACITY = ("--workload", "humaneval", "--policy", "fcfs,sarathi", "--setting", "paper", "--num-requests", "20")


def aptsched(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "aptsched", *words], check=True, capture_output=True)


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    rows = "".join(f"{','.join(map(str, row))}\n" for row in ROWS)
    (folder / "trace.csv").write_text(f"arrived_at_s,prompt_tokens,output_tokens,tenant\n{rows}", encoding="utf-8")
    aptsched("simulate", "--trace", str(folder / "trace.csv"), *SIMULATE, "--out", str(folder / "study"))
    aptsched("capacity", *CAPACITY, "--seeds", "2", "--out", str(folder / "found"))
    aptsched("report", str(folder / "study"), str(folder / "found"), "--out", str(folder / "page.html"))
    return folder / "page.html"


@pytest.mark.parametrize("width", [390, 1440])
def test_it_opens_alone_and_fits(browser: Browser, file: Path, width: int) -> None:
    """No request but for itself, nothing on the console, nothing to scroll sideways, each figure within the window."""
    found = opened(browser, file.as_uri(), width)
    assert found.requests == [file.as_uri()] and found.said == found.raised == []
    assert found.page.evaluate("document.documentElement.scrollWidth") == width
    boxes = [box for each in found.page.locator("svg:visible").all() if (box := each.bounding_box())]
    assert len(boxes) > 15
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= width and box["height"] > 10 for box in boxes)
    found.page.context.close()


def test_text_in_figures_can_be_read_on_a_phone(browser: Browser, file: Path) -> None:
    """At 390 pixels no text of a figure is lower than 8 pixels."""
    found = opened(browser, file.as_uri(), 390)
    sizes = found.page.evaluate(
        "[...document.querySelectorAll('svg.chart text')].map((t) => t.getBoundingClientRect())"
        ".filter((r) => r.width).map((r) => Math.min(r.width, r.height))"
    )
    assert len(sizes) > 50 and min(sizes) >= 4 and sorted(sizes)[len(sizes) // 2] >= 8
    found.page.context.close()


def test_what_requests_did_can_be_zoomed(browser: Browser, file: Path) -> None:
    """By buttons, by the wheel with Ctrl, by dragging; "all" shows the whole run again, and ticks follow."""
    page = opened(browser, file.as_uri(), 1440).page
    gantt = page.locator(".gantt").first
    rows = gantt.locator(".rows")

    def seen() -> list[float]:
        return [float(part) for part in str(rows.get_attribute("viewBox")).split()]

    whole, ticks = seen(), gantt.locator(".ticks").inner_text()
    gantt.get_by_role("button", name="zoom in").click()
    zoomed = seen()
    assert zoomed[2] == pytest.approx(whole[2] / 2) and zoomed[0] == pytest.approx(whole[2] / 4)
    assert gantt.locator(".ticks").inner_text() != ticks
    gantt.get_by_role("button", name="later").click()
    assert seen()[0] == pytest.approx(zoomed[0] + zoomed[2] / 4)
    rows.scroll_into_view_if_needed()
    box = rows.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 20)
    before = seen()[0]
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 20)
    page.mouse.up()
    assert seen()[0] < before
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    page.wait_for_function("([e, w]) => e.viewBox.baseVal.width < w", arg=[rows.element_handle(), zoomed[2]])
    gantt.get_by_role("button", name="whole run").click()
    assert seen() == whole
    page.context.close()


def test_dark_mode_has_its_own_colours(browser: Browser, file: Path) -> None:
    """Paper is dark and text light, and lines of policies are of other colours than by day."""
    colours = {}
    for scheme in ("light", "dark"):
        page = opened(browser, file.as_uri(), 1440, scheme).page
        script = "([of, name]) => getComputedStyle(document.querySelector(of))[name]"
        body = [page.evaluate(script, ["body", name]) for name in ("backgroundColor", "color")]
        colours[scheme] = [body, page.evaluate(script, ["path.line.c0", "stroke"])]
        page.context.close()
    (paper, ink), (dark_paper, dark_ink) = colours["light"][0], colours["dark"][0]
    light = [sum(map(int, colour[4:-1].split(","))) for colour in (paper, ink, dark_paper, dark_ink)]
    assert light[0] > 700 > light[1] and light[2] < 100 and light[3] > 600
    assert colours["light"][1] != colours["dark"][1]


def test_in_print_controls_are_gone_and_figures_whole(browser: Browser, file: Path) -> None:
    """On paper of A4's width nothing is wider than it, and a figure is not cut between two pages."""
    page = opened(browser, file.as_uri(), 800).page
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") == 800
    assert not page.locator(".controls").first.is_visible() and not page.locator("nav").is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.figure')).breakInside") == "avoid"
    assert len(page.pdf()) > 10_000
    page.context.close()


def test_without_a_script_figures_and_tables_are_there(browser: Browser, file: Path) -> None:
    """But for the buttons that zoom."""
    page = opened(browser, file.as_uri(), 1440, scripted=False).page
    assert page.locator("svg.chart:visible").count() > 10 and page.locator("table:visible").count() >= 3
    assert page.locator(".rows:visible").count() == 3 and page.locator("button:visible").count() == 0
    page.locator("figcaption summary").first.click()
    assert page.locator("figcaption table:visible").count() == 1
    page.context.close()

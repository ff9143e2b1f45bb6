"""The live page of `aptsched serve` in a browser: a request from its arrival to its end, a restart of the server."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser

from chromium import Opened, opened
from http_server import Served, free_port, serving

POLICIES = ("fcfs", "sarathi", "aptserve")
BODY: dict[str, Any] = {"prompt": "abcd", "max_tokens": 110, "ignore_eos": True}


def live(browser: Browser, served: Served, width: int = 1440, scheme: str = "light") -> Opened:
    """The page, once events come."""
    found = opened(browser, served.url, width, scheme)
    found.page.locator("#state", has_text="live").wait_for()
    return found


def test_a_request_is_seen_from_its_arrival_to_its_end(browser: Browser) -> None:
    """A row with its phases while it is served, then its outcome, then none; no other host is asked."""
    with serving(policies=POLICIES) as served:
        found = live(browser, served)
        page = found.page
        page.evaluate(
            """() => { window.phases = new Set(); new MutationObserver(() => {
                for (const row of document.querySelectorAll(".row")) window.phases.add(row.dataset.phase);
            }).observe(document.querySelector("#rows"), { subtree: true, childList: true, attributes: true }); }"""
        )
        for _ in range(5):
            assert served.complete(**BODY).status_code == 200
        page.wait_for_function("() => Number(document.body.dataset.ended) >= 5")
        page.wait_for_function("() => window.phases.has('decode') && window.phases.has('finished')")
        page.wait_for_function("() => !document.querySelector('.row')")
        assert page.locator("#empty").is_visible() and page.locator("#attained").inner_text().endswith("%")
        assert all(url.startswith((served.url, "data:")) for url in found.requests) and found.raised == []
        page.context.close()


def test_load_and_policy_are_changed_on_the_page(browser: Browser) -> None:
    """By the slider and the switch; the page shows what the server then does."""
    with serving(policies=POLICIES) as served:
        page = live(browser, served).page
        page.locator("#load").evaluate(
            "e => { e.value = 60; for (const k of ['input', 'change']) e.dispatchEvent(new Event(k)); }"
        )
        page.wait_for_function("() => document.querySelectorAll('.row').length > 1")
        assert served.live.load.rate_per_s == 36
        page.select_option("#policy", "aptserve")
        page.wait_for_function("() => document.querySelector('#gap').textContent.endsWith('%')")
        assert served.live.policy.name == "aptserve"
        page.context.close()


def test_a_restart_of_the_server_is_survived(browser: Browser) -> None:
    """The page says that the server is gone, and goes on by itself with the new one's requests."""
    port = free_port()
    with serving(port=port) as served:
        found = live(browser, served)
    page = found.page
    page.locator("#state", has_text="gone").wait_for()
    with serving(port=port) as again:
        page.locator("#state", has_text="live").wait_for()
        page.wait_for_function("() => document.body.dataset.restarts === '1'")
        assert again.complete(**BODY).status_code == 200
        page.wait_for_function("() => document.body.dataset.ended === '1'")
    assert found.raised == []
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_fits(browser: Browser, width: int, scheme: str) -> None:
    """Nothing to scroll sideways while requests are shown, on a phone and on a screen."""
    with serving(policies=POLICIES) as served:
        page = live(browser, served, width, scheme).page
        served.client.post("/live/load", json={"rate_per_s": 30})
        page.wait_for_function("() => document.querySelectorAll('.row').length > 1")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert not page.locator("#key").is_visible()  # where no key is asked for
        page.context.close()

"""A page in Chromium, the addresses that it asked for, and what its console said."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import Browser, Page

PROGRAM = "/usr/bin/chromium"
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
)


@dataclass
class Opened:
    """A page, what it asked for, what its console said, and which errors nothing in it caught."""

    page: Page
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    raised: list[str] = field(default_factory=list)


def opened(browser: Browser, url: str, width: int, scheme: str = "light", scripted: bool = True) -> Opened:
    """The page at an address, in a window of its own."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=scripted,
    )
    found = Opened(context.new_page())
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.on("console", lambda message: found.said.append(message.text))
    found.page.on("pageerror", lambda error: found.raised.append(str(error)))
    found.page.goto(url)
    return found

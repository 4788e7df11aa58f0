"""A real browser, Debian's Chromium, for the pages of a real server."""

import os
import shutil

import pytest

from tests.system.conftest import (
    fill,
    free_port,
    hub_is_free,
    launch,
    put_cutter,
    serve,
    serve_all,
    server,
)
from tests.system.server import need

__all__ = [
    "fill",
    "free_port",
    "hub_is_free",
    "launch",
    "put_cutter",
    "serve",
    "serve_all",
    "server",
]


@pytest.fixture(scope="session")
def chromium():
    """The browser; pages of it are closed with it."""
    need("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            # Root, as CI is, has no sandbox; without a display there is no GPU.
            args=["--no-sandbox", "--disable-gpu"] if os.geteuid() == 0 else [],
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """A verb: open_page(url, …) returns a page; any error in its console fails the test.

    may_fail: what the network is expected to say meanwhile.
    """
    contexts, errors = [], []

    def open_page(url, *, may_fail=(), **how):
        def note(text):
            if not any(each in text for each in may_fail):
                errors.append(text)

        contexts.append(chromium.new_context(**how))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: note(str(error)))
        page.on("console", lambda said: note(said.text) if said.type == "error" else None)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []

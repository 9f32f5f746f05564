"""A real browser for the tests of the page, and how they wait and look. Whoever imports the fixtures
has them. Nothing here judges but that no page asks anybody else or complains.
"""

import json
import urllib.request

import pytest
from conftest import wait_until
from playwright.sync_api import expect, sync_playwright

PATIENCE_MS = 60_000
LEAVING = "#value-rows .id"


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        # As root in a container there is no sandbox to be had.
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser):
    """Opens pages; none may ask anybody else, or complain."""
    contexts, complaints = [], []

    def look(url, **settings):
        context = browser.new_context(
            **{"locale": "en-US", "viewport": {"width": 1280, "height": 900}, **settings}
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))

        def heard(message):
            # The browser notes refused and failed requests by itself.
            if message.type == "error" and "Failed to load resource" not in message.text:
                complaints.append(message.text)

        page.on("console", heard)
        page.goto(url)
        page.origin = "/".join(url.split("/")[:3])
        return page

    expect.set_options(timeout=PATIENCE_MS)
    yield look
    for context in contexts:
        for page in context.pages:
            foreign = [asked for asked in page.asked if not asked.startswith(page.origin)]
            assert not foreign, foreign
        context.close()
    assert not complaints, complaints


def until(page, expression):
    """Waits until an expression is true on the page, whose policy forbids it to wait by itself."""
    wait_until(expression, lambda: page.evaluate(expression))


def signals(url):
    """The newest thousand signals."""
    found = []
    with urllib.request.urlopen(f"{url}/signals?last=1000", timeout=20) as answer:
        for line in answer:
            if line.startswith(b":"):
                return found
            if line.startswith(b"data: "):
                found.append(json.loads(line.removeprefix(b"data: ")))
    return found

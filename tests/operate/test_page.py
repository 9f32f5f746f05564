"""The page in a real browser: what people see, click and hear. Figures are printed: `pytest -s`."""

import json
import re
from datetime import date

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import get, get_json, wait_until
from looking import LEAVING, browser, opened, signals, until  # noqa: F401
from playwright.sync_api import expect

# What the page may weigh in all, uncompressed.
WEIGHT_BYTES_MAX = 64_000


def test_the_page_is_light_and_shows_how_things_stand(demo, opened):
    page = opened(demo)
    expect(page.locator("#state-text")).to_contain_text("Healthy")
    first_ms = page.evaluate(
        """() => performance.getEntriesByType("resource")
          .find((entry) => entry.name.endsWith("/overview")).responseEnd"""
    )
    parts = {url for url in page.asked if url == f"{demo}/" or "/page/" in url}
    weight = sum(len(get(url)[1]) for url in parts)
    print(f"\npage weight {weight} bytes in {len(parts)} files, first data after {first_ms:.0f} ms")
    assert len(parts) > 5 and weight < WEIGHT_BYTES_MAX
    summary = page.locator("#health summary")
    expect(summary).to_contain_text("4 of 4 partitions")
    expect(page.locator("#commit")).to_be_hidden()
    summary.click()
    expect(page.locator("#lag")).to_contain_text(" s")
    expect(page.locator("#commit")).to_contain_text("ago")
    expect(page.locator("#partitions")).to_have_text("4 of 4")
    overview = get_json(f"{demo}/overview")
    tiers = page.locator("#tiers th[scope=col]").all_inner_texts()
    assert tiers == ["State", *reversed(overview["tiers"])]
    states = page.locator("#tiers th[scope=row]").all_inner_texts()
    assert states[:2] == ["at risk", "declining"] and len(states) == 6
    expect(page.locator("#tiers td").first).to_contain_text("$")


def test_what_moved_the_total_is_told_net_with_its_unit_and_since_when(demo, opened):
    page = opened(demo)
    expect(page.locator("#drivers-note")).to_contain_text("In USD, since this process began on")
    expect(page.locator("#drivers-note")).to_contain_text(re.compile(r"each bar is \d+ (s|min)"))
    until(page, "document.querySelectorAll('#drivers rect').length > 3")
    # However many bars there are, they are as wide as before.
    width = page.locator("#drivers rect").first.get_attribute("width")
    bars = "document.querySelectorAll('#drivers g').length"
    until(page, f"{bars} !== {page.evaluate(bars)}")
    expect(page.locator("#drivers rect").last).to_have_attribute("width", width)
    # Of one moment: the overview is asked for again and again.
    rows = page.evaluate(
        """() => [...document.querySelectorAll("#drivers-rows tr")].map((row) => ({
          name: row.querySelector("th").firstChild.nextSibling?.textContent ?? "all together",
          figures: [...row.querySelectorAll("td")].map((it) => it.textContent),
          color: row.querySelector("i") && getComputedStyle(row.querySelector("i")).backgroundColor,
        }))"""
    )
    *drivers, total = rows
    assert total["name"] == "all together" and "new" in [row["name"] for row in drivers]
    assert len({row["color"] for row in drivers}) == len(drivers)
    for row in rows:
        (net, gained, lost), rounded = zip(*map(dollars, row["figures"]))
        assert abs(gained + lost - net) <= sum(rounded), row


def dollars(text):
    """What a compact figure says, and by how much it may be off."""
    sign, figure, unit = re.fullmatch(r"(-?)\$([\d.]+)([KM]?)", text).groups()
    # Thousands and millions have one decimal place, single dollars none.
    factor, off = {"": (1, 0.5), "K": (1e3, 50), "M": (1e6, 5e4)}[unit]
    return float(f"{sign}{figure}") * factor, off


def test_who_leaves_is_listed_and_a_click_shows_their_history(demo, opened):
    page = opened(demo)
    customer = page.locator(LEAVING).first.inner_text()
    # By name: the list may have changed meanwhile.
    page.locator("#value-rows").get_by_role("button", name=customer, exact=True).click()
    expect(page.locator("#customer-head")).to_have_text(f"Customer {customer}")
    drawing = page.locator("#history svg")
    expect(drawing).to_have_attribute("aria-label", re.compile("^Purchases from"))
    assert page.locator("#history .bead").count() >= 1
    expect(page.locator(".sentences li").first).to_contain_text("bought")
    assert page.url.endswith(f"#customer={customer}")
    # The address can be shared, and the way back leads back.
    again = opened(page.url)
    expect(again.locator("#customer-head")).to_have_text(f"Customer {customer}")
    page.go_back()
    expect(page.locator("#customer")).to_be_hidden()


@pytest.mark.long
def test_the_reason_is_that_of_today_where_an_alarm_is_older_than_the_last_order(
    demo, scratch, opened
):
    wait_until("the story's end", lambda: story_over(scratch / "demo.log"))
    listed = get_json(f"{demo}/customers?lifecycle=declining&limit=200")["customers"]
    customer = next(it["customer_id"] for it in listed if it.get("driver") == "silence")
    page = opened(f"{demo}/#customer={customer}")
    expect(page.locator(".facts")).to_contain_text("bought again, not yet as before")
    expect(page.locator(".facts")).to_contain_text("alarm of decline raised")
    assert "alarm raised: " in page.locator("#history svg").get_attribute("aria-label")
    page.select_option("#filter-state", "declining")
    expect(page.locator("#value-rows")).to_contain_text("bought again, not yet as before")
    expect(page.locator("#value-rows")).to_contain_text("last order")
    expect(page.locator("#value-rows")).not_to_contain_text("has gone quiet")
    expect(page.locator("#value-note")).to_contain_text(re.compile("by events up to .* 202[45]"))


@pytest.mark.long
def test_the_drawing_marks_the_next_order_and_the_day_on_which_silence_tells(
    demo, scratch, opened
):
    wait_until("the story's end", lambda: story_over(scratch / "demo.log"))
    turns = {"active": "at risk", "at_risk": "lapsed"}
    for lifecycle, turn in turns.items():
        customer = get_json(f"{demo}/customers?lifecycle={lifecycle}")["customers"][0]
        known = get_json(f"{demo}/customers/{customer['customer_id']}")
        (turns_on, *_) = (
            step["on"] for step in known["explanation"]["ahead"]
            if step.get("lifecycle") == turn.replace(" ", "_")
        )
        page = opened(f"{demo}/#customer={customer['customer_id']}")
        next_on = known["score"]["churn"]["next_order_expected_on"]
        for mark, kind, on in [("next order expected", "next", next_on), (turn, "turn", turns_on)]:
            words = f"{date.fromisoformat(on):%b} {date.fromisoformat(on).day}, {on[:4]}"
            drawing = page.locator("#history svg")
            expect(drawing).to_have_attribute("aria-label", re.compile(f"{mark}: {words}"))
            assert drawing.get_by_text(f"{mark}, {words}").count() == 1
            assert drawing.locator(f"line.{kind}").count() == 1


def test_the_list_can_be_narrowed_and_shows_more(demo, opened):
    page = opened(demo)
    page.locator(LEAVING).first.wait_for()
    page.select_option("#filter-state", "at_risk,declining,lapsed")
    expect(page.locator(LEAVING)).to_have_count(25)
    page.click("#value-more")
    until(page, "document.querySelectorAll('#value-rows .id').length > 25")
    page.select_option("#filter-tier", "medium")
    tags = "[...document.querySelectorAll('#value-rows .tag')]"
    until(page, f"{tags}.length > 0 && {tags}.every((tag) => tag.textContent === 'medium')")


@pytest.mark.long
def test_whom_the_demo_says_to_follow_is_found_for_the_right_reason(demo, scratch, opened):
    said = wait_until("the story's end", lambda: story_over(scratch / "demo.log"))
    reasons = {
        "buys for the last time": ("lapse/silence",),
        # Who orders often and then half as often is first noticed between two orders.
        "orders half as often": ("spend_decline/frequency", "spend_decline/silence"),
        "fills baskets half as full": ("spend_decline/basket", "spend_decline/both"),
    }
    followed = re.findall(r"(http://\S+#customer=(\S+))  (.+?) (?:before|from) (\S+)", said)
    assert len(followed) == 3, said
    for link, customer, what, changed_on in followed:
        page = opened(link)
        expect(page.locator("#customer-head")).to_have_text(f"Customer {customer}")
        raised = [
            signal for signal in signals(demo)
            if signal["customer_id"] == customer and signal["raised_at"] >= changed_on
        ]
        found = {f"{it['kind']}/{it.get('driver', '')}".removesuffix("/") for it in raised}
        assert found & set(reasons[what]), (customer, what, found)


def story_over(log):
    text = log.read_text()
    return text if "The story is over" in text else ""


def test_the_keyboard_alone_finds_a_customer_and_leaves_them(demo, opened):
    page = opened(demo)
    page.locator(LEAVING).first.wait_for()
    customer = page.locator(LEAVING).first.inner_text()
    page.keyboard.press("/")
    page.keyboard.type(customer)
    page.keyboard.press("Enter")
    expect(page.locator("#customer-head")).to_have_text(f"Customer {customer}")
    until(page, "document.activeElement.id === 'customer'")
    page.keyboard.press("Escape")
    expect(page.locator("#customer")).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "find-id"
    page.keyboard.type("n/o such & <b>one</b>")
    page.keyboard.press("Enter")
    expect(page.locator("#customer-body")).to_contain_text("Nobody is known")
    expect(page.locator("#customer-head")).to_contain_text("<b>one</b>")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_it_is_readable_in_the_dark_on_a_phone_and_by_a_screen_reader(demo, opened, scheme, width):
    page = opened(demo, color_scheme=scheme, viewport={"width": width, "height": 812})
    page.locator(LEAVING).first.click()
    page.locator("#history svg").wait_for()
    page.locator("#live li").first.wait_for()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(ground.removeprefix("rgb(").split(",")[0])
    assert (red < 60) == (scheme == "dark"), ground
    page.evaluate("document.querySelectorAll('details').forEach((it) => (it.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = "(it) => it.scrollWidth > it.clientWidth"
    assert not page.evaluate(f"[...document.querySelectorAll('.scroll')].some({cut})")
    rules = ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]
    report = Axe().run(page, options={"runOnly": rules})
    assert report.violations_count == 0, report.generate_report()

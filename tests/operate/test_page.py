"""The page in a real browser: what people see, click and hear, and what they are told when the
process is gone. Figures are printed: `pytest -s`.
"""

import json
import re
import time
import urllib.request
from datetime import date

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import Process, free_port, get, get_json, wait_until
from playwright.sync_api import expect, sync_playwright
from test_signals import produce

# What the page may weigh in all, uncompressed.
WEIGHT_BYTES_MAX = 64_000
# The longest that the page may keep a reader waiting under a thousand signals a minute.
TASK_MS_MAX = 400
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


@pytest.fixture
def short_demo(lifetide, scratch):
    """Starts demos that can be stopped and started again on one port."""
    running = []

    def start(port, *arguments):
        log = scratch / f"demo-{port}.log"
        process = Process([lifetide, "demo", "--listen", f"127.0.0.1:{port}", *arguments], log)
        running.append(process)

        def is_up():
            process.assert_runs()
            return get(f"http://127.0.0.1:{port}/live")[0] == 200

        wait_until("the demo", is_up)
        return process

    yield start
    for process in running:
        process.stop()


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


def until(page, expression):
    """Waits until an expression is true on the page, whose policy forbids it to wait by itself."""
    wait_until(expression, lambda: page.evaluate(expression))


def story_over(log):
    text = log.read_text()
    return text if "The story is over" in text else ""


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


def test_signals_are_of_those_who_leave_until_others_are_asked_for(demo, opened):
    page = opened(demo)
    wait_until("the top tier", lambda: "high_value_reached" in {it["kind"] for it in signals(demo)})
    page.reload()
    page.locator("#live li").first.wait_for()
    assert page.locator("#live li.good").count() == 0
    page.select_option("#live-kind", "high_value_reached")
    expect(page.locator("#live li").first).to_contain_text("reached the top tier")
    expect(page.locator("#live li").first).to_contain_text("reached the tier “high”")
    assert page.locator("#live li:not(.good)").count() == 0
    assert "`" not in page.locator("body").inner_text()
    page.select_option("#live-kind", "")
    page.locator("#live li:not(.good)").first.wait_for()


def test_signals_come_while_one_looks_and_can_be_paused(short_demo, opened):
    port = free_port()
    short_demo(port, "--duration", "60s")
    page = opened(f"http://127.0.0.1:{port}/")
    page.select_option("#live-kind", "")
    page.locator("#live li .id").first.wait_for()
    n_raised = """Number(document.querySelector("#customers-note").textContent
      .match(/[\\d,]+/)[0].replaceAll(",", ""))"""
    shown = "document.getElementById('live').textContent"
    before = page.evaluate(shown)
    until(page, f"{shown} !== {json.dumps(before)}")
    page.click("#live-pause")
    frozen = page.evaluate(shown)
    expect(page.locator("#live-note")).to_contain_text("Paused")
    until(page, f"{n_raised} > {page.evaluate(n_raised)} + 5")
    assert page.evaluate(shown) == frozen
    page.click("#live-pause")
    until(page, f"{shown} !== {json.dumps(frozen)}")


@pytest.mark.long
def test_a_thousand_signals_a_minute_leave_it_smooth(short_demo, opened):
    port = free_port()
    # The demo raises over a thousand, all in its second half.
    short_demo(port, "--duration", "70s")
    page = opened(f"http://127.0.0.1:{port}/")
    page.select_option("#live-kind", "")
    page.evaluate(
        """() => {
          window.tasks_ms = [];
          new PerformanceObserver((list) =>
            window.tasks_ms.push(...list.getEntries().map((entry) => entry.duration))
          ).observe({ type: "longtask" });
        }"""
    )
    raised = []
    wait_until("signals", lambda: get_json(f"http://127.0.0.1:{port}/overview")["signals"] > 50)
    for _ in range(2):
        n_raised = get_json(f"http://127.0.0.1:{port}/overview")["signals"]
        raised.append((n_raised, time.monotonic()))
        page.wait_for_timeout(15_000)
    tasks_ms = page.evaluate("window.tasks_ms")
    (n_first, first_s), (n_last, last_s) = raised
    per_minute = 60 * (n_last - n_first) / (last_s - first_s)
    longest_ms = max(tasks_ms, default=0)
    print(f"\n{per_minute:.0f} signals a minute, {len(tasks_ms)} long tasks, {longest_ms:.0f} ms")
    assert per_minute > 900
    # One pause of the machine is none of the page's.
    assert len([task_ms for task_ms in tasks_ms if task_ms > TASK_MS_MAX]) <= 1, tasks_ms
    assert 50 <= page.locator("#live li").count() <= 100


def test_it_says_when_it_is_disconnected_and_when_it_is_back(short_demo, opened):
    port = free_port()
    process = short_demo(port)
    page = opened(f"http://127.0.0.1:{port}/")
    expect(page.locator("#state-text")).to_contain_text("Healthy")
    process.stop()
    alert = page.get_by_role("alert").filter(has_text="Disconnected")
    expect(alert).to_contain_text("may be wrong by now")
    expect(page.locator("#state-text")).to_have_text("Disconnected.")
    short_demo(port)
    expect(page.locator("#disconnected")).to_be_hidden()
    expect(page.locator("#state-text")).to_contain_text("Healthy")
    # The stream has come back by itself too.
    expect(page.locator("#live-note")).not_to_contain_text("Trying again")


@pytest.mark.parametrize("path", ["/overview", "/customers"])
@pytest.mark.parametrize(
    "body", ['{"at":"2026', "<html>", "{}"], ids=["cut off", "of a proxy", "of nothing"]
)
def test_an_answer_that_is_none_is_outlived(demo, opened, path, body):
    page = opened(demo)
    expect(page.locator("#state-text")).to_contain_text("Healthy")
    page.locator(LEAVING).first.wait_for()
    asked = f"{demo}{path}**"
    page.route(asked, lambda route: route.fulfill(status=200, body=body))
    with page.expect_response(lambda answer: path in answer.url):
        pass
    if path == "/overview":
        expect(page.locator("#state-text")).to_have_text("Disconnected.")
    page.evaluate("document.getElementById('value-rows').replaceChildren()")
    page.unroute(asked)
    expect(page.locator("#disconnected")).to_be_hidden()
    expect(page.locator("#state-text")).to_contain_text("Healthy")
    page.locator(LEAVING).first.wait_for()


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


@pytest.mark.long
def test_a_new_token_shows_no_signal_twice(processor, opened, tmp_path):
    tokens = ["0123456789abcdef-first", "0123456789abcdef-second"]
    file = tmp_path / "token"
    file.write_text(tokens[0])
    one = processor({"http.token_file": str(file), "processing.idle_lag_s": -1}, partitions=1)
    page = opened(one.url)
    page.fill("#token-text", tokens[0])
    page.keyboard.press("Enter")
    page.select_option("#live-kind", "")
    produce(one, ["ana", "ben"])
    expect(page.locator("#live li")).to_have_count(2)
    file.write_text(tokens[1])
    expect(page.locator("#token")).to_be_visible()
    # The stream ends with its token too, but at its next comment.
    expect(page.locator("#live-note")).to_contain_text("Enter the token above")
    page.fill("#token-text", tokens[1])
    page.keyboard.press("Enter")
    produce(one, ["cy"])
    expect(page.locator("#live li").first).to_contain_text("cy")
    expect(page.locator("#live li")).to_have_count(3)


def test_a_token_is_asked_for_and_kept_for_the_tab(processor, opened, tmp_path):
    file = tmp_path / "token"
    file.write_text("0123456789abcdef-right")
    one = processor({"http.token_file": str(file)})
    page = opened(one.url)
    expect(page.locator("#value-rows")).to_contain_text("Enter the token above")
    expect(page.locator("#live-note")).to_contain_text("Enter the token above")
    edges = "(id) => document.getElementById(id).getBoundingClientRect()"
    token, card = (page.evaluate(f"({edges})('{name}')") for name in ("token", "leaving"))
    assert (token["left"], token["right"]) == (card["left"], card["right"])
    page.fill("#token-text", "0123456789abcdef-wrong")
    page.click("#token button")
    expect(page.locator("#token-fault")).to_contain_text("not accepted")
    page.fill("#token-text", "0123456789abcdef-right")
    page.keyboard.press("Enter")
    expect(page.locator("#value-rows")).to_contain_text("Nobody at the moment")
    expect(page.locator("#token")).to_be_hidden()
    page.reload()
    expect(page.locator("#value-rows")).to_contain_text("Nobody at the moment")
    assert "0123456789abcdef" not in page.content() + " ".join(page.asked)

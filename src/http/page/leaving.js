// Who is leaving: the customers with most value at risk, and signals as they come.

import { ask } from "./api.js";
import {
  byId,
  clock,
  count,
  day,
  make,
  moment,
  money,
  percent,
  reason,
  say,
  standing,
} from "./dom.js";

const ROWS = 25;
/** Signals that stay on the page; older ones are on their topic. */
const SIGNALS_SHOWN = 100;
/** The page is touched so often at most, however many signals come. */
const BEAT_MS = 500;
/** How often new signals are said aloud, as a number. */
const SAID_MS = 30_000;

let look = () => {};
let n_rows = ROWS;
let pending = [];
let n_unsaid = 0;
let is_paused = false;

/** Sets up; `onLook` is called with the id of a customer that somebody wants to see. */
export function begin(onLook) {
  look = onLook;
  byId("filter").addEventListener("change", () => {
    n_rows = ROWS;
    refresh();
  });
  byId("value-more").addEventListener("click", () => {
    n_rows += ROWS;
    refresh();
  });
  byId("live-pause").addEventListener("click", () => {
    is_paused = !is_paused;
    byId("live-pause").setAttribute("aria-pressed", String(is_paused));
    paint();
  });
  setInterval(paint, BEAT_MS);
  setInterval(() => {
    if (n_unsaid) say(byId("live-said"), `${n_unsaid} new signals`);
    n_unsaid = 0;
  }, SAID_MS);
}

/** Fills the choice of tiers, once they are known. */
export function tiers(names) {
  const select = byId("filter-tier");
  if (select.options.length > 1) return;
  select.append(...[...names].reverse().map((name) => make("option", { value: name }, name)));
}

const link = (id) => make("button", { class: "id", type: "button", onclick: () => look(id) }, id);

/** Asks for the list anew. */
export async function refresh() {
  const query = new URLSearchParams({ lifecycle: byId("filter-state").value });
  if (byId("filter-tier").value) query.set("segment", byId("filter-tier").value);
  const customers = [];
  let page;
  do {
    query.set("limit", Math.min(200, n_rows - customers.length));
    page = await ask(`/customers?${query}`);
    customers.push(...page.customers);
    query.set("after", page.next ?? "");
  } while (page.next && customers.length < n_rows);
  const rows = customers.map((customer) => row(customer, page.currency));
  const nobody = make(
    "tr",
    {},
    make("td", { colspan: 5, class: "empty" }, "Nobody at the moment."),
  );
  keepFocus(byId("value-rows"), rows.length ? rows : [nobody]);
  const restoring = page.restoring ? " Some are still being read back." : "";
  say(
    byId("value-note"),
    `${count(customers.length)} of ${count(page.total)}, as of ${clock(page.as_of)}.${restoring}`,
  );
  byId("value-more").hidden = !page.next;
}

function row(customer, currency) {
  const { customer_id, segment, value_at_risk, p_alive, lapses_on } = customer;
  return make(
    "tr",
    {},
    make("td", {}, link(customer_id), " ", make("span", { class: "tag" }, segment.value)),
    make("td", {}, standing(customer)),
    make(
      "td",
      { class: "number" },
      value_at_risk === undefined ? "–" : money(value_at_risk, currency),
    ),
    make("td", { class: "number" }, p_alive === undefined ? "–" : percent(p_alive)),
    make("td", {}, lapses_on ? day(lapses_on) : "–"),
  );
}

/** Who reads the list by keyboard stays on the customer on whom they were. */
function keepFocus(body, rows) {
  const focused = body.contains(document.activeElement)
    ? document.activeElement.textContent
    : undefined;
  body.replaceChildren(...rows);
  if (focused === undefined) return;
  [...body.querySelectorAll(".id")].find((button) => button.textContent === focused)?.focus();
}

/** Takes a signal; it is on the page within a beat. */
export function signal(data) {
  pending.push(data);
  if (pending.length > SIGNALS_SHOWN) pending.shift();
  n_unsaid += 1;
}

/** Says something that is no signal, between the signals. */
export function note(text) {
  pending.push({ note: text });
}

function paint() {
  if (is_paused) {
    return say(
      byId("live-note"),
      `Paused; ${pending.length === SIGNALS_SHOWN ? "at least " : ""}${pending.length} wait.`,
    );
  }
  if (!pending.length) return;
  const list = byId("live");
  list.querySelectorAll(".fresh").forEach((old) => old.classList.remove("fresh"));
  list.prepend(...pending.reverse().map(item));
  pending = [];
  while (list.children.length > SIGNALS_SHOWN) list.lastChild.remove();
  say(byId("live-note"), `The newest ${list.children.length}, newest first.`);
}

function item(data) {
  if (data.note) return make("li", { class: "note" }, data.note);
  const is_good = data.kind === "recovered" || data.kind === "high_value_reached";
  const at_risk = data.value_at_risk ? money(data.value_at_risk, data.currency) : "";
  return make(
    "li",
    { class: is_good ? "fresh good" : "fresh", "data-severity": is_good ? "" : data.severity },
    make("span", {}, link(data.customer_id), ` ${reason(data.kind, data.driver)}`),
    make("span", { class: "number" }, at_risk),
    make("p", {}, `${moment(data.raised_at)} · ${data.evidence.sentence}`),
  );
}

/** Says why no signals come, or that they do. */
export function live(is_open, why) {
  if (!is_open)
    return say(byId("live-note"), why ? `No live signals: ${why}. Trying again.` : "Trying again.");
  const n = byId("live").children.length;
  say(byId("live-note"), n ? `The newest ${n}, newest first.` : "Waiting for the first signal.");
}

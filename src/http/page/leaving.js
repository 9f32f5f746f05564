// Who needs attention: the customers with most value at risk, and signals as they come.

import { ask } from "./api.js";
import {
  byId,
  count,
  day,
  make,
  moment,
  money,
  percent,
  plain,
  reason,
  say,
  standing,
} from "./dom.js";

const ROWS = 25;
/** Signals that stay on the page, and those of them that are kept; older ones are on their topic. */
const SIGNALS_SHOWN = 100;
const SIGNALS_KEPT = 1_000;
/** The page is touched so often at most, however many signals come. */
const BEAT_MS = 500;
/** How often new signals are said aloud, as a number. */
const SAID_MS = 30_000;

let look = () => {};
let n_rows = ROWS;
let pending = [];
/** Newest first, of all kinds. */
let kept = [];
/** The newest day of which anything has come: what the dates of the list are measured by. */
let newest_on = "";
let n_unsaid = 0;
let is_paused = false;
/** What the model in use cannot say. */
let caveat = "";

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
  byId("live-filter").addEventListener("submit", (event) => event.preventDefault());
  byId("live-kind").addEventListener("change", () => {
    byId("live").replaceChildren(...kept.filter(isWanted).slice(0, SIGNALS_SHOWN).map(item));
    paint();
    tell();
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

/** Takes note of the model that is in use, if there is one. */
export function predictedBy(model) {
  if (!model) caveat = " No model yet: nothing is predicted.";
  else if (model.identifiable) caveat = "";
  else caveat = " The model cannot tell who has left from who buys rarely.";
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
  customers.forEach(({ last_order_on }) => reach(last_order_on));
  const rows = customers.map((customer) => row(customer, page.currency));
  keepFocus(byId("value-rows"), rows.length ? rows : [nobody("Nobody at the moment.")]);
  const until = newest_on ? `, by events up to ${day(newest_on)}` : "";
  const restoring = page.restoring ? " Some are still being read back." : "";
  say(
    byId("value-note"),
    `${count(customers.length)} of ${count(page.total)}${until}.${restoring}${caveat}`,
  );
  byId("value-more").hidden = !page.next;
}

/** Takes note of a day, or of the day of a moment. */
function reach(on = "") {
  if (on.slice(0, 10) > newest_on) newest_on = on.slice(0, 10);
}

const nobody = (why) =>
  make("tr", { role: "row" }, make("td", { role: "cell", colspan: 5, class: "empty" }, why));

/** Says that a token is wanted before anybody is shown. */
export function closed() {
  byId("value-rows").replaceChildren(nobody("Enter the token above to see customers."));
  say(byId("value-note"), "");
  byId("value-more").hidden = true;
}

function row(customer, currency) {
  const { customer_id, segment, value_at_risk, p_alive, lapses_on, last_order_on } = customer;
  const cell = (label, attributes, ...children) =>
    make("td", { role: "cell", "data-label": label, ...attributes }, ...children);
  return make(
    "tr",
    { role: "row" },
    cell("", {}, link(customer_id), " ", make("span", { class: "tag" }, segment.value)),
    cell(
      "",
      {},
      standing(customer),
      last_order_on && make("small", {}, `last order ${day(last_order_on)}`),
    ),
    cell(
      "Value at risk",
      { class: "number" },
      value_at_risk === undefined ? "–" : money(value_at_risk, currency),
    ),
    cell("Still a customer", { class: "number" }, p_alive === undefined ? "–" : percent(p_alive)),
    cell(
      segment.lifecycle === "lapsed" ? "Lapsed on" : "Lapses on",
      {},
      lapses_on ? day(lapses_on) : "–",
    ),
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

const isWanted = ({ note, kind }) =>
  note || !byId("live-kind").value || byId("live-kind").value.split(",").includes(kind);

/** Takes a signal; it is on the page within a beat. */
export function signal(data) {
  pending.push(data);
  if (pending.length > SIGNALS_KEPT) pending.shift();
  reach(data.raised_at);
}

/** Says something that is no signal, between the signals. */
export function note(text) {
  pending.push({ note: text });
}

function paint() {
  if (is_paused) {
    const n = pending.filter(isWanted).length;
    return say(
      byId("live-note"),
      `Paused; ${pending.length === SIGNALS_KEPT ? "at least " : ""}${count(n)} wait.`,
    );
  }
  if (!pending.length) return;
  const list = byId("live");
  list.querySelectorAll(".fresh").forEach((old) => old.classList.remove("fresh"));
  const come = pending.reverse();
  const wanted = come.filter(isWanted);
  kept = [...come, ...kept].slice(0, SIGNALS_KEPT);
  pending = [];
  n_unsaid += wanted.length;
  list.prepend(...wanted.slice(0, SIGNALS_SHOWN).map(item));
  while (list.children.length > SIGNALS_SHOWN) list.lastChild.remove();
  tell();
}

/** Says what is shown. */
function tell() {
  if (is_paused) return;
  const n = byId("live").children.length;
  const none = kept.length
    ? `None of these among the newest ${count(kept.length)}.`
    : "Waiting for the first signal.";
  say(byId("live-note"), n ? `The newest ${n}, newest first.` : none);
}

function item(data) {
  if (data.note) return make("li", { class: "note" }, data.note);
  const is_good = data.kind === "recovered" || data.kind === "high_value_reached";
  const at_risk = data.value_at_risk ? `${money(data.value_at_risk, data.currency)} at risk` : "";
  return make(
    "li",
    { class: is_good ? "fresh good" : "fresh", "data-severity": is_good ? "" : data.severity },
    make("span", {}, link(data.customer_id), ` ${reason(data.kind, data.driver)}`),
    make("span", { class: "number" }, at_risk),
    make("p", {}, `${moment(data.raised_at)} · ${plain(data.evidence.sentence)}`),
  );
}

/** Says why no signals come, or that they do. */
export function live(is_open, refused) {
  if (is_open) return tell();
  const why = refused
    ? `No live signals: ${plain(refused.message)}. Trying again.`
    : "Trying again.";
  say(byId("live-note"), refused?.status === 401 ? "Enter the token above to see signals." : why);
}

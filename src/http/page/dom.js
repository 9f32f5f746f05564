// Elements and words: how anything here is put on the page. No text from outside becomes markup.

export const byId = (id) => document.getElementById(id);

/** An element with attributes and children; a child that is text stays text. */
export function make(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for a part of a drawing. */
export function draw(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value !== undefined && value !== false)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return element;
}

/** Changes a text only where it differs, so that nothing is read out twice. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const percents = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat(undefined, { style: "percent", maximumSignificantDigits: 1 });
const days = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });
const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clocks = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

export const count = (number) => (number < 100_000 ? whole : short).format(number);
export const percent = (share) => (share > 0 && share < 0.01 ? fine : percents).format(share);
export const day = (date) => days.format(new Date(`${date}T00:00:00Z`));
export const moment = (instant) => moments.format(new Date(instant));
export const clock = (instant) => clocks.format(new Date(instant));

/** Money in its currency; a code that no browser knows stays in front of the figure. */
export function money(amount, currency, notation = "standard") {
  const digits =
    notation === "compact"
      ? { maximumFractionDigits: Math.abs(amount) < 1000 ? 0 : 1, minimumFractionDigits: 0 }
      : {};
  try {
    return new Intl.NumberFormat(undefined, {
      style: "currency",
      currency,
      notation,
      ...digits,
    }).format(amount);
  } catch {
    return `${currency} ${whole.format(amount)}`;
  }
}

/** A time in the unit that people would say. */
export function span(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export const words = (name) => name.replaceAll("_", " ");

/** A sentence of the server for people: what it has between backticks stands in quotation marks. */
export const plain = (text) => text.replace(/`([^`]*)`/g, "“$1”");

const REASONS = {
  lapse: { "": "has lapsed", silence: "silent for too long" },
  spend_decline: {
    "": "spends less",
    frequency: "orders less often",
    basket: "smaller baskets",
    both: "fewer and smaller orders",
    silence: "has gone quiet",
  },
  usage_decline: { "": "uses it less" },
  recovered: { "": "is back" },
  high_value_reached: { "": "reached the top tier" },
};

/** Why a signal was raised, in a few words. */
export function reason(kind, driver) {
  const known = REASONS[kind];
  return known?.[driver ?? ""] ?? known?.[""] ?? words(kind);
}

/**
 * Why a customer is on the list today. An alarm stands on when they buy again: one of silence is
 * raised about customers at risk alone, so who is no longer at risk has bought since.
 */
export function standing({ segment: { lifecycle }, driver }) {
  if (lifecycle === "at_risk") return "silent for unusually long";
  if (lifecycle !== "declining") return words(lifecycle);
  return driver === "silence" ? "bought again, not yet as before" : reason("spend_decline", driver);
}

// One customer: sentences, figures, and their history drawn up to the day on which silence alone
// changes the judgement.

import { Refused, ask } from "./api.js";
import {
  byId,
  count,
  day,
  draw,
  make,
  money,
  percent,
  plain,
  say,
  standing,
  words,
} from "./dom.js";

const HEIGHT = 246;
const MARGIN = { left: 56, right: 14, top: 78, bottom: 26 };
const DAY_MS = 86_400_000;

let shown;

/** Looks a customer up and shows them; `is_asked` moves the reader there. */
export async function show(id, is_asked = true) {
  shown = id;
  byId("customer").hidden = false;
  say(byId("customer-head"), `Customer ${id}`);
  let found;
  try {
    found = body(await ask(`/customers/${encodeURIComponent(id)}`));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    found = [refusal(error)];
  }
  if (shown !== id) return;
  byId("customer-body").replaceChildren(...found);
  if (is_asked) {
    byId("customer").scrollIntoView({ block: "nearest" });
    byId("customer").focus({ preventScroll: true });
  }
}

export function close() {
  shown = undefined;
  byId("customer").hidden = true;
}

function refusal({ status, message, body }) {
  if (status === 404 && !body.owned_partitions) {
    return make("p", {}, "Nobody is known by this id. Ids are compared letter by letter.");
  }
  const others = (body.members ?? []).filter(({ instance }) => instance !== body.instance);
  const where = others.map(({ instance, address }) => {
    return make("li", {}, address ? `${instance}, at ${address}` : instance);
  });
  return make(
    "div",
    {},
    make("p", {}, `${plain(message)}.`),
    where.length ? make("ul", {}, where) : null,
  );
}

function body({ score, explanation }) {
  const { currency, clv, churn = {}, history, segment, trend } = score;
  const { driver } = trend ?? {};
  const months = explanation.pieces.predicted?.months;
  const raised_on = alarmDay(explanation);
  const is_listed = ["declining", "at_risk"].includes(segment.lifecycle);
  const facts = [
    ["State", `${words(segment.lifecycle)}, tier ${segment.value}`],
    is_listed && [
      "Why",
      [
        standing({ segment, driver }),
        raised_on && make("small", {}, `alarm of decline raised ${day(raised_on)}`),
      ],
    ],
    ["Brought so far", money(clv.historic, currency)],
    clv.predicted !== undefined && [`Predicted, ${months} months`, money(clv.predicted, currency)],
    churn.p_alive !== undefined && ["Chance they are still a customer", percent(churn.p_alive)],
    ["Orders", `${count(history.orders)} on ${count(history.purchase_days)} days`],
    churn.next_order_expected_on && ["Next order expected", day(churn.next_order_expected_on)],
    churn.lapses_on && [
      segment.lifecycle === "lapsed" ? "Lapsed on" : "Lapses on, if they buy nothing",
      day(churn.lapses_on),
    ],
  ].filter(Boolean);
  const days = explanation.purchase_days.length;
  const shown_days =
    days < history.purchase_days ? `the newest ${days} of ${count(history.purchase_days)}` : "all";
  return [
    make(
      "ul",
      { class: "sentences" },
      explanation.sentences.map((sentence) => make("li", {}, plain(sentence))),
    ),
    make(
      "dl",
      { class: "facts" },
      facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
    ),
    make("h3", {}, "Purchases"),
    make("p", { class: "note" }, `Net of each purchase day in ${currency}, ${shown_days} of them.`),
    make("div", { class: "chart", id: "history" }, timeline(score, explanation)),
    ahead(explanation),
    make(
      "p",
      { class: "note" },
      `As of ${day(score.as_of.slice(0, 10))}, by ${score.model === "none" ? "no model" : `the model ${score.model}`}.`,
    ),
  ].filter(Boolean);
}

/** The day on which the oldest alarm of decline that stands was raised. */
function alarmDay({ decline: { orders, basket } = {} }) {
  return [orders, basket].flatMap((one) => one?.alarm?.raised_on ?? []).sort()[0];
}

function ahead({ ahead: steps = [], purchase_today: purchase }) {
  const { before, after } = purchase?.lifecycle ?? {};
  const change =
    before === after
      ? `They stay ${words(after ?? "")}.`
      : `They go from ${words(before)} to ${words(after)}.`;
  return make(
    "div",
    {},
    steps.length ? make("h3", {}, "If they buy nothing more") : null,
    make(
      "ul",
      { class: "ahead" },
      steps.map((step) =>
        make("li", {}, make("time", { datetime: step.on }, day(step.on)), plain(step.says)),
      ),
    ),
    after ? make("h3", {}, "If they bought today") : null,
    after ? make("p", {}, change) : null,
  );
}

const at = (date) => Date.parse(`${date}T00:00:00Z`);

/** Purchases on a line of time, the silence since, and the days on which something changes. */
function timeline(score, explanation) {
  const purchases = [...explanation.purchase_days].reverse();
  if (!purchases.length) return make("p", { class: "empty" }, "No order stands.");
  const width = Math.max(
    280,
    byId("customer-body").clientWidth || byId("customer").clientWidth - 32,
  );
  const now = at(score.as_of.slice(0, 10));
  const turn = explanation.ahead.find(
    (step) => step.lifecycle && step.lifecycle !== score.segment.lifecycle,
  );
  const marks = [
    { on: now, name: "as of", level: 2, kind: "now" },
    alarmDay(explanation) >= purchases[0].on && {
      on: at(alarmDay(explanation)),
      name: "alarm raised",
      level: 3,
      kind: "alarm",
    },
    score.churn.next_order_expected_on && {
      on: at(score.churn.next_order_expected_on),
      name: "next order expected",
      level: 1,
      kind: "next",
    },
    turn && { on: at(turn.on), name: words(turn.lifecycle), level: 0, kind: "turn" },
    score.segment.lifecycle === "lapsed" && {
      on: at(score.churn.lapses_on),
      name: "lapsed",
      level: 0,
      kind: "turn",
    },
  ].filter(Boolean);
  const first = at(purchases[0].on);
  const last = Math.max(now, ...marks.map((mark) => mark.on));
  const pad = Math.max(DAY_MS * 3, (last - first) * 0.03);
  const x = (ms) =>
    MARGIN.left +
    ((ms - first + pad) / (last - first + 2 * pad)) * (width - MARGIN.left - MARGIN.right);
  const nets = purchases.map((purchase) => Number(purchase.net));
  const most = Math.max(...nets, 0.01);
  const ground = HEIGHT - MARGIN.bottom;
  const y = (net) => ground - (Math.max(0, net) / most) * (ground - MARGIN.top);
  const label = `Purchases from ${day(purchases[0].on)} to ${day(purchases.at(-1).on)}: ${purchases.length} days shown. ${marks.map((mark) => `${mark.name}: ${day(iso(mark.on))}`).join(". ")}.`;
  const svg = draw("svg", {
    viewBox: `0 0 ${width} ${HEIGHT}`,
    height: HEIGHT,
    role: "img",
    "aria-label": label,
  });
  svg.append(
    draw("rect", {
      class: "silence",
      x: x(at(purchases.at(-1).on)),
      y: MARGIN.top,
      width: Math.max(0, x(now) - x(at(purchases.at(-1).on))),
      height: ground - MARGIN.top,
    }),
    draw("line", {
      class: "zero",
      x1: MARGIN.left,
      x2: width - MARGIN.right,
      y1: ground,
      y2: ground,
    }),
    draw(
      "text",
      { x: MARGIN.left - 6, y: MARGIN.top + 8, "text-anchor": "end" },
      money(most, score.currency, "compact"),
    ),
    draw(
      "text",
      { x: MARGIN.left - 6, y: ground + 4, "text-anchor": "end" },
      money(0, score.currency, "compact"),
    ),
    draw("text", { x: x(first), y: HEIGHT - 6 }, day(purchases[0].on)),
    draw("text", { x: width - MARGIN.right, y: HEIGHT - 6, "text-anchor": "end" }, day(iso(last))),
  );
  purchases.forEach((purchase, i) => {
    const place = x(at(purchase.on));
    svg.append(
      draw(
        "g",
        {},
        draw("title", {}, `${day(purchase.on)}: ${money(purchase.net, score.currency)}`),
        draw("line", { class: "stem", x1: place, x2: place, y1: ground, y2: y(nets[i]) }),
        draw("circle", { class: "bead", cx: place, cy: y(nets[i]), r: 3.5 }),
      ),
    );
  });
  svg.append(...marks.flatMap((mark) => flag(mark, x(mark.on), width, ground)));
  return svg;
}

const iso = (ms) => new Date(ms).toISOString().slice(0, 10);

/** A line over the whole height with its name above, on the side that has room. */
function flag({ on, name, level, kind }, place, width, ground) {
  const top = 14 + level * 16;
  const is_left = place > width * 0.6;
  return [
    draw("line", { class: kind, x1: place, x2: place, y1: top - 8, y2: ground }),
    draw(
      "text",
      {
        class: "strong",
        x: place + (is_left ? -5 : 5),
        y: top,
        "text-anchor": is_left ? "end" : "start",
      },
      `${name}, ${day(iso(on))}`,
    ),
  ];
}

// What is at stake: predicted value by lifecycle and tier, and what has moved it over time.

import { byId, clock, count, draw, make, moment, money, percent, say, span, words } from "./dom.js";

const LIFECYCLES = ["at_risk", "declining", "lapsed", "recovered", "new", "active"];
/** What moves the total, each in a sentence. */
const DRIVERS = {
  retention: "silence lowers the chance that they are still customers, an order restores it",
  frequency: "more or fewer orders expected",
  basket: "larger or smaller orders expected",
  new: "first orders",
  lost: "customers who lapsed",
  recovered: "lapsed customers who bought again",
  model: "another model was taken up",
  erased: "customers who were forgotten",
};
const NAMES = Object.keys(DRIVERS);
/** Places for bars, and how long a bar may be: the shortest that leaves room for all since then. */
const BARS = 24;
const BARS_S = [
  5, 10, 15, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400,
  172_800, 604_800,
];
/** Points come every few seconds, not to the millisecond. */
const LATE_MS = 1_000;
const HEIGHT = 240;
/** What two moments below the bars need, side by side. */
const LABELS_WIDTH = 300;
const MARGIN = { left: 62, right: 8, top: 10, bottom: 24 };

/** Shows lifecycles, those that need attention first, against tiers, highest first. */
export function matrix({ population, tiers, currency, partitions, n_partitions }) {
  const cell = (segment, lifecycle) =>
    population.find((one) => one.segment === segment && one.lifecycle === lifecycle);
  const most = Math.max(1, ...population.map((one) => one.clv));
  const total = population.reduce((sum, one) => sum + one.clv, 0);
  const exposed = population
    .filter((one) => ["declining", "at_risk"].includes(one.lifecycle))
    .reduce((sum, one) => sum + one.clv, 0);
  const columns = [...tiers].reverse();
  byId("tiers").tHead.replaceChildren(
    make(
      "tr",
      {},
      make("th", { scope: "col" }, "State"),
      columns.map((tier) => make("th", { scope: "col" }, tier)),
    ),
  );
  byId("tiers").tBodies[0].replaceChildren(
    ...LIFECYCLES.map((lifecycle) =>
      make(
        "tr",
        {},
        make("th", { scope: "row" }, words(lifecycle)),
        columns.map((tier) => {
          const { clv = 0, customers = 0 } = cell(tier, lifecycle) ?? {};
          const td = make(
            "td",
            {},
            money(clv, currency, "compact"),
            make("small", {}, `${count(customers)} ${customers === 1 ? "customer" : "customers"}`),
          );
          const share = Math.round(36 * Math.sqrt(Math.max(0, clv) / most));
          const hue = ["declining", "at_risk", "lapsed"].includes(lifecycle) ? "--bad" : "--accent";
          td.style.background = `color-mix(in srgb, var(${hue}) ${share}%, var(--sheet))`;
          return td;
        }),
      ),
    ),
  );
  const whose =
    partitions.length < n_partitions
      ? `customers of this process (${partitions.length} of ${n_partitions} partitions)`
      : "all customers together";
  const share =
    total > 0
      ? ` ${money(exposed, currency, "compact")} of it, ${percent(exposed / total)}, is with customers who decline or are at risk.`
      : " Without a model nothing is predicted.";
  say(
    byId("tiers-note"),
    `${money(total, currency, "compact")} are predicted of ${whose}, within the horizon of 12 months or as configured.${share}`,
  );
}

/** Shows what moved the total, as bars over time and as a table. */
export function drivers({ drivers: samples, currency }) {
  const newest = samples.at(-1) ?? { up: {}, down: {} };
  const used = NAMES.filter((name) => newest.up[name] || newest.down[name]);
  const number = (value, more = "") =>
    make("td", { class: `number ${more}` }, money(value, currency, "compact"));
  const line = (head, up, down) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, head),
      number(up - down),
      number(up, "wide"),
      number(down && -down, "wide"),
    );
  const all = (side) => NAMES.reduce((sum, name) => sum + (side[name] ?? 0), 0);
  byId("drivers-rows").replaceChildren(
    ...used.map((name) => {
      const swatch = make("i", { class: "swatch" });
      swatch.style.background = `var(--${name})`;
      const head = [swatch, name, make("small", {}, DRIVERS[name])];
      return line(head, newest.up[name] ?? 0, newest.down[name] ?? 0);
    }),
    line("all together", all(newest.up), all(newest.down)),
  );
  const began = samples.length ? Date.parse(samples[0].at) : 0;
  const lasts_s = samples.length ? (Date.parse(newest.at) - began) / 1000 : 0;
  const bar_s = barLength(lasts_s);
  say(
    byId("drivers-note"),
    samples.length
      ? `In ${currency}, since this process began on ${moment(samples[0].at)}. Gains stand above the line, losses below; each bar is ${span(bar_s).replace(".0", "")} by the clock.`
      : "",
  );
  byId("drivers").replaceChildren(
    used.length
      ? chart(bin(samples, bar_s), bar_s, currency)
      : make("p", { class: "empty" }, "Nothing has moved yet."),
  );
}

function barLength(lasts_s) {
  let bar_s = BARS_S.find((one) => one * BARS >= lasts_s) ?? BARS_S.at(-1);
  while (bar_s * BARS < lasts_s) bar_s *= 2;
  return bar_s;
}

/** What each driver brought in each bar, gains less losses, from the first sample on. */
function bin(samples, bar_s) {
  const began = Date.parse(samples[0].at);
  const ends = [];
  for (const sample of samples.slice(1)) {
    const since_ms = Date.parse(sample.at) - began;
    ends[Math.max(0, Math.ceil((since_ms - LATE_MS) / (1000 * bar_s)) - 1)] = sample;
  }
  const net = ({ up, down }, name) => (up[name] ?? 0) - (down[name] ?? 0);
  let before = samples[0];
  return Array.from(ends, (end = before, i) => {
    const bar = {
      from: began + 1000 * bar_s * i,
      to: Math.min(began + 1000 * bar_s * (i + 1), Date.parse(samples.at(-1).at)),
      net: Object.fromEntries(NAMES.map((name) => [name, net(end, name) - net(before, name)])),
    };
    before = end;
    return bar;
  });
}

/** The parts of a bar on one side of the line: `sign` is 1 for gains, -1 for losses. */
function side(bar, sign) {
  return NAMES.map((name) => [name, sign * bar.net[name]]).filter(([, value]) => value > 0);
}

const length = (bar, sign) => side(bar, sign).reduce((total, [, value]) => total + value, 0);

function chart(bars, bar_s, currency) {
  const width = Math.max(280, byId("drivers").clientWidth);
  const top = Math.max(...bars.map((bar) => length(bar, 1)), 0);
  const bottom = Math.max(...bars.map((bar) => length(bar, -1)), 0);
  const y = (value) =>
    MARGIN.top + ((top - value) / (top + bottom || 1)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const step = (width - MARGIN.left - MARGIN.right) / BARS;
  const title = `What moved the predicted value, from ${moment(bars[0].from)} to ${moment(bars.at(-1).to)}, ${span(bar_s).replace(".0", "")} a bar: gains above the line, losses below`;
  const svg = draw("svg", {
    viewBox: `0 0 ${width} ${HEIGHT}`,
    height: HEIGHT,
    role: "img",
    "aria-label": title,
  });
  for (const value of [...new Set([top, 0, -bottom])]) {
    svg.append(
      draw("line", {
        class: value ? "axis" : "zero",
        x1: MARGIN.left,
        x2: width - MARGIN.right,
        y1: y(value),
        y2: y(value),
      }),
      draw(
        "text",
        { x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" },
        money(value, currency, "compact"),
      ),
    );
  }
  bars.forEach((bar, i) => {
    const x = MARGIN.left + i * step;
    const group = draw("g", {}, draw("title", {}, tip(bar, currency)));
    for (const sign of [1, -1]) {
      let from = 0;
      for (const [name, value] of side(bar, sign)) {
        const to = from + sign * value;
        const [high, low] = [y(Math.max(from, to)), y(Math.min(from, to))];
        const part = draw("rect", {
          x: x + 0.5,
          width: Math.max(1, step - 1),
          y: high,
          height: low - high,
        });
        part.style.fill = `var(--${name})`;
        group.append(part);
        from = to;
      }
    }
    svg.append(group);
  });
  const ends = MARGIN.left + bars.length * step;
  const label = (x, anchor, text) =>
    svg.append(draw("text", { x, y: HEIGHT - 6, "text-anchor": anchor }, text));
  label(MARGIN.left, "start", moment(bars[0].from));
  if (ends - MARGIN.left > LABELS_WIDTH) label(ends, "end", moment(bars.at(-1).to));
  return svg;
}

function tip(bar, currency) {
  const lines = NAMES.filter((name) => bar.net[name]).map(
    (name) => `${name}: ${money(bar.net[name], currency)}`,
  );
  return [`${clock(bar.from)} – ${clock(bar.to)}`, ...lines].join("\n");
}

// What is at stake: predicted value by tier and lifecycle, and what has moved it over time.

import { byId, clock, count, draw, make, money, percent, say, words } from "./dom.js";

const LIFECYCLES = ["active", "new", "recovered", "declining", "at_risk", "lapsed"];
const DRIVERS = ["retention", "frequency", "basket", "new", "lost", "recovered", "model", "erased"];
const BARS_MAX = 48;
const HEIGHT = 240;
const MARGIN = { left: 62, right: 8, top: 10, bottom: 24 };

/** Shows tiers, highest first, against lifecycles. */
export function matrix({ population, tiers, currency }) {
  const cell = (segment, lifecycle) =>
    population.find((one) => one.segment === segment && one.lifecycle === lifecycle);
  const most = Math.max(1, ...population.map((one) => one.clv));
  const total = population.reduce((sum, one) => sum + one.clv, 0);
  const exposed = population
    .filter((one) => ["declining", "at_risk"].includes(one.lifecycle))
    .reduce((sum, one) => sum + one.clv, 0);
  byId("tiers").tHead.replaceChildren(
    make(
      "tr",
      {},
      make("th", { scope: "col" }, "Tier"),
      ...LIFECYCLES.map((lifecycle) => make("th", { scope: "col" }, words(lifecycle))),
    ),
  );
  byId("tiers").tBodies[0].replaceChildren(
    ...[...tiers].reverse().map((tier) =>
      make(
        "tr",
        {},
        make("th", { scope: "row" }, tier),
        ...LIFECYCLES.map((lifecycle) => {
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
  const share =
    total > 0
      ? ` ${money(exposed, currency, "compact")} of it, ${percent(exposed / total)}, is with customers who decline or are at risk.`
      : " Without a model nothing is predicted.";
  say(
    byId("tiers-note"),
    `${money(total, currency, "compact")} are predicted of the customers here.${share}`,
  );
}

/** Shows what moved the total, as bars over time and as a table. */
export function drivers({ drivers: samples, currency }) {
  const newest = samples.at(-1) ?? { up: {}, down: {} };
  byId("drivers-rows").replaceChildren(
    ...DRIVERS.filter((name) => newest.up[name] || newest.down[name]).map((name) =>
      make(
        "tr",
        {},
        make("th", { scope: "row" }, name),
        make("td", { class: "number" }, money(newest.up[name] ?? 0, currency)),
        make("td", { class: "number" }, money(-(newest.down[name] ?? 0), currency)),
      ),
    ),
  );
  const bars = bin(samples);
  const used = DRIVERS.filter((name) => bars.some((bar) => bar.net[name]));
  byId("drivers-legend").replaceChildren(
    ...used.map((name) => {
      const swatch = make("i");
      swatch.style.background = `var(--${name})`;
      return make("li", {}, swatch, name);
    }),
  );
  byId("drivers").replaceChildren(
    bars.length ? chart(bars, currency) : make("p", { class: "empty" }, "Nothing has moved yet."),
  );
}

/** What each driver brought between samples, gains less losses; at most `BARS_MAX` bars. */
function bin(samples) {
  const stride = Math.max(1, Math.ceil((samples.length - 1) / BARS_MAX));
  // From the newest backwards: the last bar is whole, the first may be short.
  const marks = [];
  for (let i = samples.length - 1; i > 0; i -= stride) marks.unshift(samples[i]);
  if (samples.length) marks.unshift(samples[0]);
  const net = ({ up, down }, name) => (up[name] ?? 0) - (down[name] ?? 0);
  return marks.slice(1).map((mark, i) => ({
    from: marks[i].at,
    to: mark.at,
    net: Object.fromEntries(DRIVERS.map((name) => [name, net(mark, name) - net(marks[i], name)])),
  }));
}

/** The parts of a bar on one side of the line: `sign` is 1 for gains, -1 for losses. */
function side(bar, sign) {
  return DRIVERS.map((name) => [name, sign * bar.net[name]]).filter(([, value]) => value > 0);
}

const length = (bar, sign) => side(bar, sign).reduce((total, [, value]) => total + value, 0);

function chart(bars, currency) {
  const width = Math.max(280, byId("drivers").clientWidth);
  const top = Math.max(...bars.map((bar) => length(bar, 1)), 0);
  const bottom = Math.max(...bars.map((bar) => length(bar, -1)), 0);
  const y = (value) =>
    MARGIN.top + ((top - value) / (top + bottom || 1)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const step = (width - MARGIN.left - MARGIN.right) / bars.length;
  const title = `What moved the predicted value, from ${clock(bars[0].from)} to ${clock(bars.at(-1).to)}: gains above the line, losses below`;
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
  svg.append(
    draw("text", { x: MARGIN.left, y: HEIGHT - 6 }, clock(bars[0].from)),
    draw(
      "text",
      { x: width - MARGIN.right, y: HEIGHT - 6, "text-anchor": "end" },
      clock(bars.at(-1).to),
    ),
  );
  return svg;
}

function tip(bar, currency) {
  const lines = DRIVERS.filter((name) => bar.net[name]).map(
    (name) => `${name}: ${money(bar.net[name], currency)}`,
  );
  return [`${clock(bar.from)} – ${clock(bar.to)}`, ...lines].join("\n");
}

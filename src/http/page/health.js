// Is it healthy: the line at the top, the tiles, and what is still being read back.

import { byId, clock, count, make, percent, plain, say, span } from "./dom.js";

/** Behind by more than this is worth a word, by more than that a loud one. */
const LAG_S = { warn: 30, bad: 300 };

/** Says how things stand, in one word for the eye and one sentence for everybody. */
export function state(level, sentence) {
  byId("state").dataset.state = level;
  say(byId("state-text"), sentence);
}

function tile(id, text, note = "", level = "") {
  say(byId(id), text);
  say(byId(`${id}-note`), note);
  byId(id).dataset.state = level;
}

/** Shows an overview. */
export function show(overview) {
  const { partitions } = overview;
  const restoring = partitions.filter((partition) => partition.state === "restoring");
  const lags = partitions
    .map((partition) => partition.lag_seconds)
    .filter((lag) => lag !== undefined);
  const lag_s = lags.length ? Math.max(...lags) : undefined;
  const n_waiting = partitions.reduce((sum, partition) => sum + (partition.lag_records ?? 0), 0);
  const level = lag_s > LAG_S.bad ? "bad" : lag_s > LAG_S.warn ? "warn" : "";
  tile(
    "lag",
    lag_s === undefined ? "–" : span(lag_s),
    n_waiting ? `${count(n_waiting)} events wait` : "nothing waits",
    level,
  );
  const since_s = (Date.parse(overview.at) - Date.parse(overview.last_commit_at)) / 1000;
  const ago = Number.isNaN(since_s) ? "none yet" : `${span(Math.max(0, since_s))} ago`;
  tile("commit", ago, `${count(overview.events)} events since the process began`);
  const running = partitions.length - restoring.length;
  tile(
    "partitions",
    `${running} of ${overview.n_partitions}`,
    restoring.length ? `${restoring.length} being restored` : "",
  );
  tile("customers", count(overview.customers), `${count(overview.signals)} signals raised`);
  const line = [
    lag_s === undefined ? "lag unknown" : `${span(lag_s)} behind`,
    `last commit ${ago}`,
    `${running} of ${overview.n_partitions} partitions`,
    `${count(overview.customers)} customers`,
  ];
  say(byId("health-line"), line.join(" · "));
  restores(restoring);
  sentence(overview, restoring, lag_s, level);
  const where =
    overview.n_partitions > partitions.length
      ? `, of whose group it has ${partitions.length} of ${overview.n_partitions} partitions`
      : "";
  say(byId("process"), `Lifetide ${overview.version}, process ${overview.instance}${where}.`);
}

function sentence(overview, restoring, lag_s, level) {
  if (overview.stalls.length)
    return state("bad", `A partition stands still: ${plain(overview.stalls[0])}`);
  if (restoring.length)
    return state(
      "warn",
      `${restoring.length === 1 ? "One partition is" : `${restoring.length} partitions are`} being read back.`,
    );
  if (!overview.ready) return state("warn", "Starting: not every lane has joined its group yet.");
  if (level) return state(level, `Behind by ${span(lag_s)}: scores and signals are that late.`);
  return state("good", "Healthy: all that has come is counted.");
}

function restores(restoring) {
  byId("restores").replaceChildren(
    ...restoring.map(({ partition, restore = {} }) => {
      const { progress_ratio: ratio, eta_seconds: eta_s } = restore;
      const left = eta_s === undefined ? "" : `about ${span(eta_s)} more`;
      return make(
        "div",
        { class: "restore" },
        make("span", {}, `Restoring partition ${partition}`),
        make("progress", { max: 1, value: ratio, "aria-label": `partition ${partition}` }),
        make("span", {}, ratio === undefined ? "" : `${percent(ratio)}, ${left}`),
      );
    }),
  );
}

/** Says that what is on the page is from `since` and no longer true. */
export function disconnected(since, error) {
  const from = since
    ? `What you see is from ${clock(since)} and may be wrong by now.`
    : "Nothing has come yet.";
  say(
    byId("disconnected"),
    `Disconnected: ${error.message} from ${location.host}. ${from} Trying again.`,
  );
  byId("disconnected").hidden = false;
  document.body.classList.add("stale");
  state("bad", "Disconnected.");
}

export function connected() {
  byId("disconnected").hidden = true;
  document.body.classList.remove("stale");
}

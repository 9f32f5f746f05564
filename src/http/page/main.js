// Wires the page: asks for the overview, follows the signals, and reacts to what people do.

import { Refused, Unreachable, ask, dropToken, follow, keepToken } from "./api.js";
import * as customer from "./customer.js";
import { byId, plain, say } from "./dom.js";
import * as health from "./health.js";
import * as leaving from "./leaving.js";
import * as stakes from "./stakes.js";

const OVERVIEW_MS = 2_000;
const LIST_MS = 5_000;
/** Of all kinds; those of the kind that is looked at are shown. */
const SIGNALS_AT_FIRST = 200;

let overview;
let is_following = false;

/** Calls `work` again and again, each time a while after it has ended; not on a hidden page. */
async function repeat(every_ms, work) {
  for (;;) {
    if (!document.hidden) await work();
    await new Promise((resolve) => setTimeout(resolve, every_ms));
  }
}

async function overlook() {
  try {
    const now = await ask("/overview");
    health.show(now);
    leaving.tiers(now.tiers);
    leaving.predictedBy(now.model);
    stakes.matrix(now);
    stakes.drivers(now);
    overview = now;
    health.connected();
  } catch (error) {
    // Whatever the answer is, it is no overview: what is shown is from before.
    health.disconnected(overview?.at, error);
  }
}

/** Runs what needs a token, and asks for one where it is refused. */
async function guarded(work) {
  try {
    await work();
    byId("token").hidden = true;
  } catch (error) {
    // That nobody answers is said at the top.
    if (error instanceof Unreachable) return;
    if (error.status === 401) askForToken();
    else say(byId("value-note"), `${plain(error.message)}.`);
  }
}

function askForToken() {
  dropToken();
  leaving.closed();
  byId("token").hidden = false;
}

async function signals() {
  if (is_following) return;
  is_following = true;
  const told = (name, data) => {
    if (name === "signal") leaving.signal(JSON.parse(data));
    else if (name === "gap") leaving.note(data);
  };
  await follow(SIGNALS_AT_FIRST, told, (is_open, error) => {
    if (error?.status === 401) askForToken();
    leaving.live(is_open, error instanceof Refused ? error : undefined);
  });
  is_following = false;
}

/** The customer in the address: `#customer=…`, so that it can be shared and gone back to. */
function fromAddress() {
  const id = new URLSearchParams(location.hash.slice(1)).get("customer");
  if (id) guarded(() => customer.show(id));
  else customer.close();
}

function look(id) {
  const hash = `#${new URLSearchParams({ customer: id })}`;
  if (location.hash === hash) fromAddress();
  else location.hash = hash;
}

function close() {
  if (location.hash) history.pushState(null, "", location.pathname);
  customer.close();
  byId("find-id").focus();
}

byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  look(byId("find-id").value.trim());
});
byId("token").addEventListener("submit", async (event) => {
  event.preventDefault();
  keepToken(byId("token-text").value.trim());
  await guarded(leaving.refresh);
  say(byId("token-fault"), byId("token").hidden ? "" : "That token is not accepted.");
  if (byId("token").hidden) {
    signals();
    fromAddress();
  }
});
byId("customer-close").addEventListener("click", close);
addEventListener("hashchange", fromAddress);
addEventListener("popstate", fromAddress);
addEventListener("keydown", (event) => {
  const is_typing = event.target.closest("input, select, textarea");
  if (event.key === "/" && !is_typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    byId("find-id").focus();
  } else if (event.key === "Escape" && !byId("customer").hidden) {
    close();
  }
});
addEventListener("visibilitychange", () => {
  if (!document.hidden) overlook();
});
let resized;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => {
    if (overview) stakes.drivers(overview);
    if (!byId("customer").hidden) fromAddress();
  }, 200);
});

leaving.begin(look);
repeat(OVERVIEW_MS, overlook);
repeat(LIST_MS, () => guarded(leaving.refresh));
signals();
fromAddress();

// The way to the server: documents, and the stream of signals. Keeps the token for this tab alone.

const TOKEN = "lifetide.token";
/** How long an answer may take. */
const ANSWER_MS = 10_000;
/** Pauses between two attempts to open the stream: the first, and the longest. */
const PAUSE_MS = { first: 1_000, longest: 30_000 };
/** A stream that is silent for longer is dead: the server says something every 15 s. */
const SILENCE_MS = 40_000;

export const keepToken = (token) => sessionStorage.setItem(TOKEN, token);
export const dropToken = () => sessionStorage.removeItem(TOKEN);

function headers(more = {}) {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { ...more, authorization: `Bearer ${token}` } : more;
}

/** An answer that is none: its status, and the server's sentence with the fields beside it. */
export class Refused extends Error {
  constructor(status, body) {
    super(body.error ?? `the answer was ${status}`);
    Object.assign(this, { status, body });
  }
}

const WHY = { TimeoutError: "no answer in time", SyntaxError: "an answer that is none" };

/** There is no answer, or not in time, or one that somebody else gave or cut off. */
export class Unreachable extends Error {
  constructor(cause) {
    super(WHY[cause.name] ?? "no answer", { cause });
  }
}

/** The document at `path`. */
export async function ask(path) {
  const wanted = { headers: headers(), signal: AbortSignal.timeout(ANSWER_MS) };
  const unreachable = (cause) => {
    throw new Unreachable(cause);
  };
  const answer = await fetch(path, wanted).catch(unreachable);
  if (answer.ok) return await answer.json().catch(unreachable);
  throw new Refused(answer.status, await answer.json().catch(() => ({})));
}

/** The place behind the last event that came: also what comes after a new token goes on there. */
let id;

/**
 * Follows the signals for good, `last` old ones first, and goes on behind the last one that came.
 * `told` gets each event's name and data, `changed` whether the stream is open, or why not.
 */
export async function follow(last, told, changed) {
  let pause_ms = PAUSE_MS.first;
  for (;;) {
    try {
      await stream(
        id ? "/signals" : `/signals?last=${last}`,
        id,
        (event) => {
          pause_ms = PAUSE_MS.first;
          id = event.id ?? id;
          if (event.data !== undefined) told(event.name, event.data);
        },
        () => changed(true),
      );
      changed(false, undefined);
    } catch (error) {
      changed(false, error);
      if (error.status === 401 || error.status === 403) return;
    }
    await new Promise((resolve) => setTimeout(resolve, pause_ms * (0.5 + Math.random() / 2)));
    pause_ms = Math.min(pause_ms * 2, PAUSE_MS.longest);
  }
}

/** Not an EventSource: that cannot send a token. */
async function stream(path, id, take, opened) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const more = id ? { "last-event-id": id } : {};
    const answer = await fetch(path, { headers: headers(more), signal: silence.signal });
    if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => ({})));
    opened();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      const events = (text + value).split(/\r?\n\r?\n/);
      text = events.pop();
      events.map(parse).forEach(take);
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

function parse(text) {
  const event = { name: "message" };
  for (const line of text.split(/\r?\n/)) {
    const [, field, value] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
    if (field === "event") event.name = value;
    else if (field === "id") event.id = value;
    else if (field === "data")
      event.data = event.data === undefined ? value : `${event.data}\n${value}`;
  }
  return event;
}

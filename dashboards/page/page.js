// Plant live: reads the event stream of /api/v1/live and keeps one card per machine up to date.
//
// The stream is read with fetch, not EventSource, so that a login travels in a header and never in an
// address. Nothing is computed here: every figure is shown as the server sent it.

import {
  LoginNeeded, NONE, STATES, asCount, asPercent, asReading, asSpan, askLogin, byId, hint, icon, knownZone, mark,
  oeeAddress, put, request, timeFormat,
} from "/session.js";

const LIVE = "/api/v1/live";
const STALE_MS = 4000;        // the server sends once a second
const SILENT_MS = 30000;      // a connection without an event for this long is given up
const RETRY_MS = [500, 1000, 2000, 5000, 10000];
const SIGNALS_SHOWN = 6;
const AGED_S = 60;

const cards = new Map();
const announced = new Map();
const view = { zone: "UTC", serverOffsetMs: 0, lastMessageMs: 0, connected: false, waiting: "connecting" };

const serverNowMs = () => Date.now() + view.serverOffsetMs;

// ---- cards ---------------------------------------------------------------------------------------

function newCard(path) {
  const card = byId("machine").content.firstElementChild.cloneNode(true);
  card.dataset.equipment = path;
  const fields = {};
  for (const node of card.querySelectorAll("[data-field]")) fields[node.dataset.field] = node;
  const bars = {};
  for (const node of card.querySelectorAll("[data-bar]")) bars[node.dataset.bar] = node;
  const [first, rest] = card.querySelectorAll(".signals");
  return { card, fields, bars, first, rest, more: card.querySelector("details"), icon: card.querySelector(".icon"), link: card.querySelector("h2 a"), rows: new Map() };
}

function showState(parts, machine) {
  const category = machine.category in STATES ? machine.category : "unknown";
  const { word, path } = STATES[category];
  if (parts.card.dataset.category !== category) {
    mark(parts.card, "category", category);
    parts.icon.replaceChildren(icon(path));
  }
  mark(parts.card, "state", machine.state ?? category);
  put(parts.fields.word, word);
  // The reason first: where room is short, it is what people act on.
  const detail = [machine.state_reason, machine.state].filter((text) => text && text.toLowerCase() !== word.toLowerCase());
  put(parts.fields.detail, detail.join(" · "));
  hint(parts.fields.detail, detail.join(" · "));
  const since = machine.since ? Date.parse(machine.since) : NaN;
  parts.since = since;
  showSince(parts);
  // What a screen reader hears: a change of the state's word, not every tick of its age.
  const said = `${machine.name}: ${word}`;
  const changed = announced.has(machine.path) && announced.get(machine.path) !== said;
  announced.set(machine.path, said);
  return changed ? said : null;
}

function showSince(parts) {
  if (Number.isNaN(parts.since)) return put(parts.fields.since, "");
  put(parts.fields.since, `for ${asSpan((serverNowMs() - parts.since) / 1000)}`);
  hint(parts.fields.since, `since ${timeFormat(view.zone, { dateStyle: "medium", timeStyle: "medium" }).format(parts.since)}`);
}

/** Nothing ever came from it. */
const isSilent = (machine) => !machine.state && !machine.work_order && !machine.signals.length;

function showOee(parts, machine) {
  const shift = machine.shift ?? { oee: null, reason: isSilent(machine) ? "nothing is known of this machine yet" : "no shift is running" };
  mark(parts.card, "oee", shift.oee);
  put(parts.fields.oee, asPercent(shift.oee));
  hint(parts.fields.oee, shift.oee === null ? shift.reason ?? "not enough data in this shift yet" : "");
  put(parts.fields.shift, machine.shift ? `of shift ${shift.shift}` : isSilent(machine) ? "not known yet" : "outside shifts");
  for (const [name, bar] of Object.entries(parts.bars)) {
    const value = shift[name] ?? null;
    mark(bar, "value", value);
    put(bar.querySelector("b"), asPercent(value));
    hint(bar, value === null ? shift.reason : "");
    bar.querySelector("i").style.inlineSize = `${Math.min(100, Math.max(0, (value ?? 0) * 100))}%`;
  }
}

function showFacts(parts, machine) {
  for (const name of ["work_order", "product", "unit"]) {
    put(parts.fields[name], machine[name] ?? NONE);
    hint(parts.fields[name], machine[name]);
  }
  const { order } = machine;
  if (order) {
    hint(parts.fields.work_order, `${order.work_order} here since ${timeFormat(view.zone, { dateStyle: "medium", timeStyle: "short" }).format(Date.parse(order.start))}: OEE ${asPercent(order.oee)}, ${asCount(order.good)} good of ${asCount(order.total)}${order.reason ? `; ${order.reason}` : ""}`);
  }
  for (const name of ["good", "scrap", "total"]) {
    const value = machine.shift?.[name] ?? null;
    put(parts.fields[name], asCount(value));
    mark(parts.fields[name], "value", value);
  }
}

function qualityWord(status) {
  const severity = Math.floor((status ?? 0) / 2 ** 30) % 4; // OPC UA: the two top bits
  return severity === 0 ? "good" : severity === 1 ? "uncertain" : "bad";
}

function showSignal(row, signal) {
  const [name, value] = row.children;
  const quality = qualityWord(signal.quality);
  const ageS = (serverNowMs() - Date.parse(signal.time)) / 1000;
  const figure = signal.text ?? asReading(signal.value);
  mark(row, "quality", quality);
  row.toggleAttribute("data-aged", ageS > AGED_S);
  put(name, signal.signal);
  put(value, [quality === "good" ? null : "⚠", figure, signal.uom].filter(Boolean).join(" "));
  hint(row, `${signal.signal}: ${asSpan(ageS)} ago${quality === "good" ? "" : `, quality ${quality}`}`);
}

// A sensor is no machine: it has values, and neither states nor counts. Its card shows the values alone.
function showKind(parts, machine) {
  const works = machine.state || (machine.shift?.total ?? null) !== null || machine.signals.some((signal) => signal.bound);
  parts.card.toggleAttribute("data-sensor", !works && machine.signals.length > 0);
}

function showSignals(parts, signals) {
  // What states and counts are made of comes last, and out of the way: the card says it better.
  const shown = Math.min(SIGNALS_SHOWN, signals.filter((signal) => !signal.bound).length);
  const gone = new Set(parts.rows.keys());
  signals.forEach((signal, index) => {
    let row = parts.rows.get(signal.signal);
    if (!row) {
      row = document.createElement("div");
      row.dataset.signal = signal.signal;
      row.append(document.createElement("dt"), document.createElement("dd"));
      parts.rows.set(signal.signal, row);
    }
    gone.delete(signal.signal);
    const list = index < shown ? parts.first : parts.rest;
    const place = index < shown ? index : index - shown;
    if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
    showSignal(row, signal);
  });
  for (const name of gone) {
    parts.rows.get(name).remove();
    parts.rows.delete(name);
  }
  const hidden = signals.length - shown;
  parts.more.hidden = hidden <= 0;
  put(parts.more.querySelector("summary"), `${hidden} more`);
}

function showPlant(message) {
  view.serverOffsetMs = Date.parse(message.time) - Date.now();
  view.zone = knownZone(message.plant.zone);
  put(byId("plant"), message.plant.name);
  document.title = `${message.plant.name} · live`;
  byId("empty").hidden = message.equipment.length > 0;

  const section = byId("machines");
  const gone = new Set(cards.keys());
  const changes = [];
  message.equipment.forEach((machine, index) => {
    let parts = cards.get(machine.path);
    if (!parts) cards.set(machine.path, (parts = newCard(machine.path)));
    gone.delete(machine.path);
    if (section.children[index] !== parts.card) section.insertBefore(parts.card, section.children[index] ?? null);
    put(parts.fields.name, machine.name);
    parts.link.href = oeeAddress(machine.path);
    put(parts.fields.path, machine.path);
    const change = showState(parts, machine);
    if (change) changes.push(change);
    showOee(parts, machine);
    showFacts(parts, machine);
    showKind(parts, machine);
    showSignals(parts, machine.signals);
  });
  for (const path of gone) {
    cards.get(path).card.remove();
    cards.delete(path);
    announced.delete(path);
  }
  if (changes.length) put(byId("announcements"), changes.join(". "));
}

// ---- connection ----------------------------------------------------------------------------------

function showConnection() {
  const now = serverNowMs();
  const time = document.querySelector("#clock time");
  put(time, timeFormat(view.zone, { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(now));
  time.dateTime = new Date(now).toISOString();
  put(byId("zone"), view.zone);

  const ageMs = view.lastMessageMs ? performance.now() - view.lastMessageMs : 0;
  const stale = view.lastMessageMs > 0 && ageMs > STALE_MS;
  document.body.toggleAttribute("data-stale", stale);
  const state = stale ? "stale" : view.connected && view.lastMessageMs ? "live" : "connecting";
  byId("connection").dataset.connection = state;
  // Ages are rounded so that a screen reader is not told a new one every second.
  const age = ageMs < 60000 ? Math.floor(ageMs / 5000) * 5 : ageMs / 1000;
  const text = stale ? `stale: last values ${asSpan(age)} ago, ${view.connected ? "waiting" : view.waiting}` : state === "live" ? "live" : view.waiting;
  put(byId("connection-text"), text);
  for (const parts of cards.values()) showSince(parts);
}

function trouble(text) {
  byId("trouble").hidden = !text;
  put(byId("trouble"), text ?? "");
}

function take(event, data) {
  view.lastMessageMs = performance.now();
  if (event === "plant") {
    trouble(null);
    showPlant(JSON.parse(data));
  } else if (event === "trouble") {
    trouble(JSON.parse(data).message);
  }
  showConnection();
}

// Splits a text stream into server-sent events: a field per line, an empty line ends the event.
function eventReader(deliver) {
  let rest = "";
  let event = "message";
  let data = [];
  return (chunk) => {
    rest += chunk;
    const lines = rest.split(/\r\n|\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (data.length) deliver(event, data.join("\n"));
        event = "message";
        data = [];
      } else if (line.startsWith("event:")) {
        event = line.slice(6).trim();
      } else if (line.startsWith("data:")) {
        data.push(line.slice(line[5] === " " ? 6 : 5));
      }
    }
  };
}

async function follow() {
  const stop = new AbortController();
  let silence = setTimeout(() => stop.abort(), SILENT_MS);
  try {
    const response = await request(LIVE, { headers: { Accept: "text/event-stream" }, signal: stop.signal });
    view.connected = true;
    // Only events count as signs of life: a proxy can keep a dead feed's connection open.
    const feed = eventReader((event, data) => {
      clearTimeout(silence);
      silence = setTimeout(() => stop.abort(), SILENT_MS);
      take(event, data);
    });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      feed(value);
    }
  } finally {
    clearTimeout(silence);
    stop.abort();
    view.connected = false;
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function run() {
  let failures = 0;
  for (;;) {
    const before = view.lastMessageMs;
    try {
      view.waiting = "connecting";
      await follow();
      view.waiting = "the server closed the connection, trying again";
    } catch (error) {
      if (error instanceof LoginNeeded) {
        view.waiting = "log in";
        showConnection();
        await askLogin(error.message, byId("machines"));
        continue;
      }
      const network = error instanceof TypeError || error.name === "AbortError";
      view.waiting = network ? "no connection to the server, trying again" : error.message;
    }
    failures = view.lastMessageMs > before ? 0 : failures + 1;
    showConnection();
    await pause(RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]);
  }
}

setInterval(showConnection, 1000);
showConnection();
run();

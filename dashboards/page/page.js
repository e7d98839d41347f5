// Plant live: reads the event stream of /api/v1/live and keeps one card per machine up to date.
//
// The stream is read with fetch, not EventSource, so that a login travels in a header and never in an
// address. Nothing is computed here: every figure is shown as the server sent it.

const LIVE = "/api/v1/live";
const LOGIN_KEY = "takt.authorization";
const STALE_MS = 4000;        // the server sends once a second
const SILENT_MS = 30000;      // a connection without an event for this long is given up
const RETRY_MS = [500, 1000, 2000, 5000, 10000];
const SIGNALS_SHOWN = 6;
const AGED_S = 60;

const STATES = {
  run: { word: "Running", path: "M6 3l15 9-15 9z" },
  unplanned: { word: "Stopped", path: "M8 2h8l6 6v8l-6 6H8l-6-6V8zM7 10v4h10v-4z" },
  changeover: { word: "Changeover", path: "M12 3a9 9 0 0 1 8.5 6H23l-4 5-4-5h2.3A6 6 0 0 0 6.7 9H3.5A9 9 0 0 1 12 3zM12 21a9 9 0 0 1-8.5-6H1l4-5 4 5H6.7a6 6 0 0 0 10.6 0h3.2A9 9 0 0 1 12 21z" },
  planned: { word: "Planned stop", path: "M5 3h5v18H5zM14 3h5v18h-5z" },
  no_order: { word: "No order", path: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm0 3a7 7 0 1 1 0 14 7 7 0 0 1 0-14z" },
  unknown: { word: "Unknown", path: "M10.5 17h3v3h-3zM12 3c3.3 0 6 2.2 6 5.3 0 2.6-1.6 3.7-2.9 4.7-1 .8-1.6 1.3-1.6 2.5h-3c0-2.7 1.6-3.9 2.8-4.8 1.1-.9 1.7-1.3 1.7-2.4C15 7 13.7 6 12 6S9 7.1 9 9H6c0-3.6 2.7-6 6-6z" },
};

const byId = (id) => document.getElementById(id);
const cards = new Map();
const announced = new Map();
const view = { zone: "UTC", serverOffsetMs: 0, lastMessageMs: 0, connected: false, waiting: "connecting" };

// ---- figures -------------------------------------------------------------------------------------

const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const count = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const reading = new Intl.NumberFormat("en", { maximumSignificantDigits: 5, useGrouping: false });
const NONE = "–";

const asPercent = (value) => (value === null || value === undefined ? NONE : percent.format(value));
const asCount = (value) => (value === null || value === undefined ? NONE : count.format(value));

function asSpan(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d`;
}

function clockFormat(options) {
  try {
    return new Intl.DateTimeFormat("en-GB", { ...options, timeZone: view.zone });
  } catch {
    view.zone = "UTC"; // this browser does not know the plant's zone
    return new Intl.DateTimeFormat("en-GB", { ...options, timeZone: "UTC" });
  }
}

const serverNowMs = () => Date.now() + view.serverOffsetMs;

// ---- cards ---------------------------------------------------------------------------------------

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function mark(node, name, value) {
  const text = value === null || value === undefined ? "" : String(value);
  if (node.dataset[name] !== text) node.dataset[name] = text;
}

function hint(node, text) {
  if (!text) node.removeAttribute("title");
  else if (node.title !== text) node.title = text;
}

function icon(path) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  const shape = document.createElementNS(space, "path");
  shape.setAttribute("d", path);
  shape.setAttribute("fill-rule", "evenodd");
  svg.append(shape);
  return svg;
}

function newCard(path) {
  const card = byId("machine").content.firstElementChild.cloneNode(true);
  card.dataset.equipment = path;
  const fields = {};
  for (const node of card.querySelectorAll("[data-field]")) fields[node.dataset.field] = node;
  const bars = {};
  for (const node of card.querySelectorAll("[data-bar]")) bars[node.dataset.bar] = node;
  const [first, rest] = card.querySelectorAll(".signals");
  return { card, fields, bars, first, rest, more: card.querySelector("details"), icon: card.querySelector(".icon"), rows: new Map() };
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
  hint(parts.fields.since, `since ${clockFormat({ dateStyle: "medium", timeStyle: "medium" }).format(parts.since)}`);
}

function showOee(parts, machine) {
  mark(parts.card, "oee", machine.oee);
  put(parts.fields.oee, asPercent(machine.oee));
  hint(parts.fields.oee, machine.oee === null ? machine.reason ?? "not enough data in this shift yet" : "");
  put(parts.fields.shift, machine.shift ? `of shift ${machine.shift}` : "outside shifts");
  for (const [name, bar] of Object.entries(parts.bars)) {
    const value = machine[name];
    mark(bar, "value", value);
    put(bar.querySelector("b"), asPercent(value));
    hint(bar, value === null ? machine.reason : "");
    bar.querySelector("i").style.inlineSize = `${Math.min(100, Math.max(0, (value ?? 0) * 100))}%`;
  }
}

function showFacts(parts, machine) {
  for (const name of ["work_order", "product", "unit"]) {
    put(parts.fields[name], machine[name] ?? NONE);
    hint(parts.fields[name], machine[name]);
  }
  for (const name of ["good", "scrap", "total"]) {
    put(parts.fields[name], asCount(machine[name]));
    mark(parts.fields[name], "value", machine[name]);
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
  const figure = signal.text ?? (signal.value === null ? NONE : reading.format(signal.value));
  mark(row, "quality", quality);
  row.toggleAttribute("data-aged", ageS > AGED_S);
  put(name, signal.signal);
  put(value, [quality === "good" ? null : "⚠", figure, signal.uom].filter(Boolean).join(" "));
  hint(row, `${signal.signal}: ${asSpan(ageS)} ago${quality === "good" ? "" : `, quality ${quality}`}`);
}

// A sensor is no machine: it has values, and neither states nor counts. Its card shows the values alone.
function showKind(parts, machine) {
  const works = machine.state || machine.total !== null || machine.signals.some((signal) => signal.bound);
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
  view.zone = message.plant.zone;
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
  put(time, clockFormat({ hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(now));
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

class LoginNeeded extends Error {}

async function follow() {
  const stop = new AbortController();
  let silence = setTimeout(() => stop.abort(), SILENT_MS);
  try {
    const headers = { Accept: "text/event-stream" };
    const login = sessionStorage.getItem(LOGIN_KEY);
    if (login) headers.Authorization = login;
    const response = await fetch(LIVE, { headers, signal: stop.signal, cache: "no-store", credentials: "omit" });
    if (!response.ok) {
      const body = await response.json().catch(() => null);
      const message = body?.error?.message ?? `the server answered ${response.status}`;
      if (response.status === 401) throw new LoginNeeded(login ? message : "");
      throw new Error(message);
    }
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

function askLogin(reason) {
  sessionStorage.removeItem(LOGIN_KEY);
  put(byId("login-reason"), reason || "This server asks who is looking.");
  byId("login").hidden = false;
  byId("machines").hidden = true;
  byId("login-secret").focus();
  return new Promise((resolve) => {
    byId("login").onsubmit = (submitted) => {
      submitted.preventDefault();
      const user = byId("login-user").value.trim();
      const secret = byId("login-secret").value;
      const utf8 = String.fromCharCode(...new TextEncoder().encode(`${user}:${secret}`));
      sessionStorage.setItem(LOGIN_KEY, user ? `Basic ${btoa(utf8)}` : `Bearer ${secret.trim()}`);
      byId("login-secret").value = "";
      byId("login").hidden = true;
      byId("machines").hidden = false;
      resolve();
    };
  });
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
        await askLogin(error.message);
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

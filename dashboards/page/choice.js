// What is chosen on a page, and its period. What is chosen is in the address, so that it can be shared and the
// browser's back button goes back; one turn after another brings the page to it.

import { LoginNeeded, ask, askLogin, byId, knownZone, mark, put, quoted, timeFormat } from "/session.js";
import { asWall } from "/chart.js";
import { Words, advice, draw, panels, timeSql } from "/panel.js";

const DAY_MS = 86400000;

/** What is chosen, by its name in the address. */
export let state = {};
/** The window: { from, to, now } as instants the server wrote, and its shift; from and to are NULL for all there is. */
export let span = null;

let page = null;

/**
 * Starts a page. Its parts:
 * - `path`, its address; `known`, the names in it, in order; `starting`, what holds of them where it says nothing;
 *   `among`, of what a name must be one; `maybeEmpty`, names for which an empty text is a choice as well;
 * - `away`, changes that take back what was chosen of the period before;
 * - `plant`, whose `equipment` has the machines by their paths; `isKnown` says whether it was read, and `read` reads it;
 * - `settle`, which chooses what the address leaves open, and says what cannot be chosen;
 * - `otherSpan`, which reads the window of a period that is no shift, and `noCalendar`, words where there are no shifts;
 * - `controls` and `titles`, which show what is chosen, and `present`, which shows of panels that are drawn what is
 *   chosen of them.
 */
export function begin(parts) {
  page = { maybeEmpty: [], ...parts };
  readAddress();
  show();
}

// ---- the address ---------------------------------------------------------------------------------

function readAddress() {
  const asked = new URLSearchParams(location.search);
  state = { ...page.starting };
  for (const name of page.known) if (asked.get(name) || (page.maybeEmpty.includes(name) && asked.has(name))) state[name] = asked.get(name);
  if (state.from || state.to) state.period = "custom";
  for (const [name, those] of Object.entries(page.among)) if (!(state[name] in those)) state[name] = page.starting[name];
}

function address() {
  const shown = new URLSearchParams();
  for (const name of page.known) {
    if (name === "period" && (state.from || state.to)) continue;
    // The period is said even where it is the usual one.
    if (state[name] === undefined || (name !== "period" && state[name] === page.starting[name])) continue;
    if (state[name] !== "" || page.maybeEmpty.includes(name)) shown.set(name, state[name]);
  }
  return `${page.path}?${shown}`;
}

/** Chooses something; `undefined` takes a choice back. What depends on it is asked anew. */
export function go(changes, { replace = false } = {}) {
  state = { ...state, ...changes };
  history[replace ? "replaceState" : "pushState"](null, "", address());
  return show();
}

// ---- machines and times --------------------------------------------------------------------------

/** Rows of `equipment` by their paths, each with a name and a zone that can be shown. */
export const machinesOf = (rows) => new Map(rows.map((row) => [row.equipment, { ...row, name: row.name ?? row.equipment, zone: knownZone(row.zone ?? "UTC") }]));
export const machine = () => page.plant.equipment.get(state.equipment);
export const machineName = (path) => page.plant.equipment.get(path)?.name ?? path;
export const zone = () => (machine() ?? page.plant.equipment.values().next().value)?.zone ?? "UTC";
export const at = (time) => Date.parse(time);
export const written = (time, options) => timeFormat(zone(), options).format(at(time));
export const SHORT = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
export const EXACT = { ...SHORT, second: "2-digit" };
export const FULL = { year: "numeric", ...SHORT };

// ---- the period ----------------------------------------------------------------------------------

async function readSpan() {
  if (state.period === "custom") {
    const [row] = await ask(`SELECT ${timeSql(state.from, "From", zone())} AS "from", ${timeSql(state.to, "To", zone())} AS "to", now() AS now`);
    if (at(row.from) >= at(row.to)) throw new Words("“From” must be before “To”.");
    return row;
  }
  if (state.period !== "shift" && state.period !== "last-shift") return page.otherSpan();
  const calendar = machine()?.calendar;
  if (!calendar) throw new Words(page.noCalendar);
  const begun = state.period === "shift" ? `start <= now() AND "end" > now()` : `"end" <= now()`;
  const [row] = await ask(`SELECT start AS "from", "end" AS "to", now() AS now, shift FROM shifts WHERE calendar = ${quoted(calendar)} AND ${begun} ORDER BY start DESC LIMIT 1`);
  if (!row) throw new Words(state.period === "shift" ? "No shift is running now. Choose the last shift, or another period." : "No shift has ended yet. Choose another period.");
  return row;
}

function showSpan(from, to) {
  byId("from").value = asWall(zone(), from);
  byId("to").value = asWall(zone(), to);
}

/** Fields that are hidden are disabled too: else the browser asks for them and the form does nothing. */
function showCustom(shown) {
  byId("custom").hidden = !shown;
  byId("custom").disabled = !shown;
}

function showControls() {
  page.controls();
  byId("period").value = state.period ?? "";
  showCustom(state.period === "custom");
  put(byId("show"), state.period === "custom" ? "Show" : "Refresh");
  if (span && state.period === "custom") showSpan(at(span.from), at(span.to));
}

/** Says of what the figures are, in which window and as of when. */
export function showWindow(what) {
  const times = span.from ? `${written(span.from, { weekday: "short", ...SHORT })} – ${written(span.to, { weekday: "short", ...SHORT })}` : "all there is";
  put(byId("window"), `${what} · ${times}${span.shift ? ` · shift ${span.shift}` : ""} · ${zone()}`);
  mark(byId("window"), "from", span.from);
  mark(byId("window"), "to", span.to);
  put(byId("as-of"), `as of ${written(span.now, { hour: "2-digit", minute: "2-digit", second: "2-digit" })}`);
}

// ---- turns ---------------------------------------------------------------------------------------

function trouble(text) {
  byId("choice-trouble").hidden = !text;
  put(byId("choice-trouble"), text ?? "");
  byId("panels").hidden = Boolean(text);
}

let turn = 0;
let spanKey = null;

/** Brings the page to what is chosen. `anew` asks everything again. */
export async function show(anew = false) {
  const mine = (turn += 1);
  document.body.setAttribute("aria-busy", "true");
  try {
    if (!page.isKnown() || anew) await page.read();
    if (mine !== turn) return;
    const before = address();
    page.settle();
    if (address() !== before || !location.search) history.replaceState(null, "", address());
    const key = JSON.stringify([state.equipment, state.period, state.from, state.to]);
    if (key !== spanKey || anew || !span) {
      const found = await readSpan();
      if (mine !== turn) return;
      [span, spanKey] = [found, key];
    }
    trouble(null);
    showControls();
    page.titles();
    page.present();
    const wanted = [...panels.values()].filter((part) => !part.section.hidden);
    await Promise.all(wanted.map((part) => draw(part, page.present)));
  } catch (error) {
    if (mine !== turn) return;
    if (error instanceof LoginNeeded) {
      await askLogin(error.message, byId("panels"));
      return show(true);
    }
    span = null;
    showControls();
    trouble(error instanceof Words ? error.message : advice(error));
  } finally {
    if (mine === turn) document.body.removeAttribute("aria-busy");
  }
}

byId("period").onchange = () => {
  const period = byId("period").value;
  if (period !== "custom") return go({ ...page.away, period, from: undefined, to: undefined });
  showCustom(true);
  put(byId("show"), "Show");
  if (span) {
    const from = span.from ? at(span.from) : at(span.now) - DAY_MS;
    showSpan(from, Math.min(at(span.to ?? span.now), Math.max(at(span.now), from + 60000)));
  }
  byId("from").focus();
};
byId("choice").onsubmit = (submitted) => {
  submitted.preventDefault();
  const [from, to] = [byId("from").value, byId("to").value];
  const custom = byId("period").value === "custom";
  // What was not touched stays the very instant: the fields show minutes only.
  const touched = custom && !(span && state.period === "custom" && from === asWall(zone(), at(span.from)) && to === asWall(zone(), at(span.to)));
  if (touched) go({ ...page.away, period: "custom", from, to });
  else show(true);
};
addEventListener("popstate", () => {
  readAddress();
  show();
});

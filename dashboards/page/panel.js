// Panels of a page: each part asks for itself, says what it lacks, and asks again only where what it depends on changed.

import { LoginNeeded, NONE, ask, byId, html, mark, put, quoted } from "/session.js";

/** Something to say instead of figures, which is no failure. */
export class Words extends Error {}

export const panels = new Map();

/**
 * A part of the page: `key` says what it depends on, `draw` asks and gives nodes back, or a text where there is
 * nothing to draw. An answer that comes after a newer question is dropped.
 */
export function panel(id, key, draw) {
  panels.set(id, { section: byId(id), key, draw, drawn: null, stop: null });
}

export function advice(error) {
  const again = byId("show").textContent;
  if (error instanceof TypeError) return `No connection to the server. Check that it runs and press ${again}.`;
  if (error.status === 403) return `This login may not see that: ${error.message}. Log in as somebody with the role read.`;
  if (error.status >= 500 || error.status === 429) return `The server could not answer: ${error.message}. Try a shorter period, or press ${again} in a moment.`;
  return `The server refused: ${error.message}. Choose another period or equipment, or press ${again}.`;
}

function settle({ section }, how, nodes) {
  mark(section, "state", how);
  section.toggleAttribute("aria-busy", false);
  section.querySelector("[data-body]").replaceChildren(...nodes);
}

function note(section, text) {
  const place = section.querySelector("[data-note]");
  place.hidden = !text;
  put(place, text ?? "");
}

/** Draws a panel where what it depends on has changed; `after` is told once it shows. */
export async function draw(part, after = () => {}) {
  const key = JSON.stringify(part.key());
  if (part.drawn === key) return;
  part.drawn = key;
  part.stop?.abort();
  const stop = (part.stop = new AbortController());
  mark(part.section, "state", "loading");
  part.section.setAttribute("aria-busy", "true");
  const body = part.section.querySelector("[data-body]");
  if (!body.firstChild) body.replaceChildren(html("p", { cls: "waiting" }, "Loading …"));
  try {
    const said = [];
    const nodes = await part.draw((sql) => ask(sql, stop.signal), (text) => said.push(text));
    if (stop.signal.aborted) return;
    note(part.section, said.join(" "));
    settle(part, "ready", [nodes].flat());
    after();
  } catch (error) {
    if (stop.signal.aborted) return;
    note(part.section, null);
    part.drawn = null;
    if (error instanceof LoginNeeded) throw error;
    const empty = error instanceof Words;
    settle(part, empty ? "empty" : "error", [html("p", { cls: empty ? "nothing" : "trouble", role: empty ? null : "alert" }, empty ? error.message : advice(error))]);
    if (empty) part.drawn = key;
  }
}

const WALL = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?$/;
export const INSTANT = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/;

/** A time of the address as SQL: an instant, or wall time of the zone. */
export function timeSql(text, what, zone) {
  if (Number.isNaN(Date.parse(text ?? "")) || new Date(`${text.slice(0, 10)}T00:00Z`).getUTCDate() !== Number(text.slice(8, 10))) text = "";
  if (INSTANT.test(text ?? "")) return `timestamptz ${quoted(text)}`;
  if (WALL.test(text ?? "")) return `timestamp ${quoted(text)} AT TIME ZONE ${quoted(zone)}`;
  throw new Words(`“${what}” needs a date and a time, for example 2026-11-26T06:00.`);
}

/** A table; a column is [title, cell of a row, class]. */
export function table(columns, rows, attributes = () => ({})) {
  return html("table", {},
    html("thead", {}, html("tr", {}, ...columns.map(([title, , cls]) => html("th", { scope: "col", cls }, title)))),
    html("tbody", {}, ...rows.map((row) => html("tr", attributes(row), ...columns.map(([, cell, cls]) => html("td", { cls }, cell(row) ?? NONE))))));
}

/** Figures with their names; one is [name, value, data]. */
export const listed = (items) => html("dl", { cls: "figures" }, ...items.filter(Boolean).map(([name, value, data]) => html("div", { data: data ?? {} }, html("dt", {}, name), html("dd", {}, value))));

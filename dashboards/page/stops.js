// Stops and their reasons: what nobody has explained yet comes first, and a touch explains it. What is said is a row of
// `stop_reasons`; the server lays it over what the machine said, here as everywhere.

import { LoginNeeded, STATES, ask, askLogin, asSpan, byId, hint, html, icon, isAskingLogin, knownZone, mark, oeeAddress, put, quoted, request, spcAddress, timeFormat } from "/session.js";

const DAYS_COUNTED = 30;     // what is frequent is counted over these
const FREQUENT = 6;
const REFRESH_MS = 10000;
const PLANT_MS = 60000;      // a machine that is heard of for the first time is in the list after so long
const DAY_HOURS = 24;
const SPLIT_STEPS_S = [-300, -60, -10, 10, 60, 300];
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit" };

const plant = { machines: [], reasons: new Map(), readMs: 0 };
const state = { equipment: null, hours: DAY_HOURS, stops: [], given: [], frequent: [], chosen: null, merged: false, until: null };

const at = (text) => Date.parse(text);
/** The path of an equipment and of all above it. */
const lineage = (path) => path.split("/").map((_, place, parts) => parts.slice(0, place + 1).join("/"));
const machine = () => plant.machines.find((row) => row.equipment === state.equipment);
const dated = () => (state.hours > DAY_HOURS ? { ...CLOCK, weekday: "short", day: "numeric", month: "short" } : CLOCK);
const clock = (time, style = CLOCK) => timeFormat(knownZone(machine()?.zone ?? "UTC"), style).format(at(time));
const nameOf = (code) => plant.reasons.get(code)?.name ?? code;
const wantsReason = (stop) => stop.reason === null && stop.category === "unplanned" && !stop.microstop;

function trouble(text) {
  byId("trouble").hidden = !text;
  put(byId("trouble"), text ?? "");
}

// ---- what there is -------------------------------------------------------------------------------

async function readPlant() {
  const [declared, bound, told, reasons] = await Promise.all([
    ask(`SELECT e.equipment, e.name, e.zone FROM equipment e
         WHERE e.level = 'work_unit' OR NOT EXISTS (SELECT 1 FROM equipment c WHERE c.parent = e.equipment) ORDER BY e.equipment`),
    ask("SELECT equipment FROM signals WHERE role = 'state' UNION SELECT equipment FROM equipment WHERE state_source IS NOT NULL"),
    ask("SELECT DISTINCT equipment FROM states WHERE start > now() - interval '30 days'"),
    ask("SELECT reason, parent, name, category FROM reasons"),
  ]);
  // A hall has no stops to explain: machines are those of which something says the state. Where nothing does yet, all may be.
  const above = new Set(bound.map((row) => row.equipment));
  const own = new Set([...told.map((row) => row.equipment), state.equipment]);
  const machines = declared.filter((row) => own.has(row.equipment) || lineage(row.equipment).some((path) => above.has(path)));
  plant.machines = (machines.length ? machines : declared).map((row) => ({ ...row, name: row.name ?? row.equipment.split("/").at(-1) }));
  plant.readMs = Date.now();
  plant.reasons = new Map(reasons.map((row) => [row.reason, row]));
}

async function readStops() {
  const here = quoted(state.equipment);
  const above = lineage(state.equipment).map(quoted).join(", ");
  const recent = `time > now() - interval '${state.hours} hours'`;
  const columns = `start, "end", state, category, microstop, reason, duration_s, work_order, product`;
  const [stops, given, frequent] = await Promise.all([
    ask(`SELECT ${columns} FROM stops() WHERE equipment = ${here} AND ${recent} ORDER BY start DESC`),
    // What was given to a line or a site holds here too.
    ask(`SELECT equipment, start, "end", reason, recorded_by FROM stop_reasons
         WHERE equipment IN (${above}) AND ("end" IS NULL OR "end" > now() - interval '${state.hours} hours')`),
    ask(`SELECT reason, count(*) AS times FROM stops()
         WHERE equipment = ${here} AND time > now() - interval '${DAYS_COUNTED} days' AND reason IS NOT NULL
         GROUP BY reason ORDER BY times DESC, reason LIMIT ${FREQUENT}`),
  ]);
  return { stops, given, frequent };
}

// ---- lists ---------------------------------------------------------------------------------------

function showMachines() {
  byId("machines").replaceChildren(...plant.machines.map((row) => {
    const button = html("button", { type: "button", "data-equipment": row.equipment, "aria-pressed": row.equipment === state.equipment }, row.name);
    hint(button, row.equipment);
    button.onclick = () => go(row.equipment);
    return button;
  }));
}

function stopButton(stop) {
  const { word, path } = STATES[stop.category] ?? STATES.unknown;
  const explained = !wantsReason(stop);
  const button = html("button", { type: "button", class: "stop", "data-start": stop.start, "data-explained": explained, "data-reason": stop.reason ?? "", "aria-pressed": stop.start === state.chosen });
  const title = stop.reason ? nameOf(stop.reason) : explained ? stop.microstop ? "Micro-stop" : word : "Why?";
  const length = html("span", { class: "length" }, asSpan(stop.duration_s));
  const detail = [`${clock(stop.start, dated())} – ${stop.end ? clock(stop.end) : "now"}`, stop.state, stop.work_order].filter(Boolean).join(" · ");
  button.append(icon(path), html("b", {}, title), length, html("small", {}, detail));
  button.onclick = () => choose(stop.start === state.chosen ? null : stop.start);
  return html("li", {}, button);
}

function showStops() {
  // What is not explained comes first, the longest first; then all others, the newest first.
  const open = state.stops.filter(wantsReason).sort((one, other) => other.duration_s - one.duration_s);
  const rest = state.stops.filter((stop) => !wantsReason(stop));
  const focused = document.activeElement?.dataset?.start;
  byId("stops").replaceChildren(...[...open, ...rest].map(stopButton));
  if (focused) byId("stops").querySelector(`[data-start="${CSS.escape(focused)}"]`)?.focus();
  const summary = !state.stops.length ? "No stop in this time." : open.length ? `${open.length} of ${state.stops.length} without a reason` : `All ${state.stops.length} have a reason or need none.`;
  put(byId("summary"), summary);
  mark(byId("summary"), "open", open.length);
}

// ---- one stop ------------------------------------------------------------------------------------

const chosen = () => state.stops.find((stop) => stop.start === state.chosen);
/** The stop after the chosen one. */
const following = (stop) => state.stops.filter((other) => at(other.start) > at(stop.start)).at(-1);
const isOwn = (row) => row.equipment === state.equipment;
/** Since when the machine has not run, as of a stop: stops follow one another without a gap. */
function standsSince(stop) {
  let since = at(stop.start);
  for (let before = stop; before; before = state.stops.find((other) => other.end !== null && at(other.end) === since && at(other.start) < since)) since = at(before.start);
  return since;
}
/** Whether a row reaches into a stop. One without an end holds until the machine runs. */
const reaches = (row, stop) => (row.end === null ? standsSince(stop) <= at(row.start) : at(stop.start) < at(row.end)) && (stop.end === null || at(row.start) < at(stop.end));
/** The rows that say what is said of a stop now: its own, which may be several one after the other, before those of what lies above. */
const saidOf = (stop) => state.given
  .filter((row) => row.reason === stop.reason && reaches(row, stop))
  .toSorted((one, other) => isOwn(other) - isOwn(one) || at(one.start) - at(other.start));

/** Whether the chosen stop can be split after so many seconds, or ends then. */
const isWithin = (seconds) => seconds >= 1 && seconds <= Number(byId("split-at").max);

function choose(start) {
  Object.assign(state, { chosen: start, merged: false, until: null });
  showStops();
  showChosen();
  if (start) byId("explain").scrollIntoView({ block: "nearest" });
}

function showChosen() {
  const stop = chosen();
  byId("explain").hidden = !stop;
  if (!stop) return;
  put(byId("explain-title"), stop.reason ? `${nameOf(stop.reason)}: correct?` : "Why did it stand?");
  const next = following(stop);
  const end = state.until ?? (state.merged && next ? next.end : stop.end);
  put(byId("explain-detail"), `${clock(stop.start, dated())} – ${end ? clock(end) : "now"}${state.merged ? ", two stops together" : ""}`);
  byId("merge").hidden = !next;
  byId("merge").setAttribute("aria-pressed", state.merged);
  byId("split").hidden = !stop.end || state.merged || stop.duration_s < 2;
  const range = byId("split-at");
  range.max = Math.max(1, Math.floor(stop.duration_s));
  range.value = state.until ? Math.round((at(state.until) - at(stop.start)) / 1000) : range.max;
  put(byId("split-time"), end ? clock(end) : "now");
  for (const button of byId("split").querySelectorAll("button")) button.disabled = !isWithin(Number(range.value) + Number(button.dataset.step));
  const [said] = saidOf(stop);
  byId("back").hidden = !said || !isOwn(said);
  if (said && !isOwn(said)) byId("explain-detail").append(` · said of all of ${said.equipment}`);
  showReasons(stop);
}

function choice(code, detail) {
  const button = html("button", { type: "button", "data-code": code }, nameOf(code));
  if (detail) button.append(html("small", {}, detail));
  button.onclick = () => explain(code);
  return button;
}

function showReasons(stop) {
  const parts = [];
  const frequent = state.frequent.filter((row) => plant.reasons.has(row.reason));
  if (frequent.length) {
    parts.push(html("h3", {}, "Most frequent here"));
    parts.push(html("div", { class: "choices", "data-group": "frequent" }, ...frequent.map((row) => choice(row.reason, `${row.times === 1 ? "once" : `${row.times} times`} in ${DAYS_COUNTED} days`))));
  }
  const parents = new Set([...plant.reasons.values()].map((row) => row.parent).filter(Boolean));
  const groups = Map.groupBy([...plant.reasons.values()].filter((row) => !parents.has(row.reason)), (row) => row.parent ?? "");
  // What belongs to no group comes last.
  for (const [parent, rows] of [...groups].sort(([one], [other]) => (one === "") - (other === ""))) {
    parts.push(html("h3", {}, parent ? nameOf(parent) : "Others"));
    parts.push(html("div", { class: "choices", "data-group": parent }, ...rows.map((row) => choice(row.reason, STATES[row.category]?.word))));
  }
  if (!plant.reasons.size) parts.push(html("p", {}, "The plant declares no reasons yet: add [[reasons]] to plant.toml."));
  byId("reasons").replaceChildren(...parts);
  mark(byId("reasons"), "of", stop.start);
}

/** Rows that keep what an earlier row says of later time, where a new row with its start takes its place. */
function kept(stop, end) {
  const before = state.given.find((row) => isOwn(row) && at(row.start) === at(stop.start));
  if (!before || end === null) return [];
  const row = (start, until) => ({ equipment: state.equipment, start, end: until, reason: before.reason });
  const rest = stop.reason === before.reason && (stop.end === null || at(end) < at(stop.end)) ? [row(end, stop.end)] : [];
  const later = (other) => at(other.start) >= at(end) && (before.end === null || at(other.start) < at(before.end));
  const others = state.stops.filter((other) => later(other) && other.reason === before.reason && !state.given.some((given) => given !== before && at(given.start) === at(other.start) && given.reason === other.reason));
  return [...rest, ...others.map((other) => row(other.start, other.end))];
}

async function explain(reason) {
  const stop = chosen();
  if (!stop) return;
  const next = following(stop);
  const end = state.until ?? (state.merged && next ? next.end : stop.end);
  const rows = [{ equipment: state.equipment, start: stop.start, end, reason }, ...kept(stop, end)];
  await send(rows, `${clock(stop.start)}: ${nameOf(reason)}`);
}

async function takeBack() {
  const rows = chosen() ? saidOf(chosen()).filter(isOwn) : [];
  if (rows.length) await send(rows.map((row) => ({ equipment: state.equipment, start: row.start, deleted: true })), "taken back");
}

async function send(rows, said) {
  for (const button of byId("explain").querySelectorAll("button")) button.disabled = true;
  try {
    await request("/api/v1/stop_reasons", { method: "POST", body: JSON.stringify(rows), headers: { "Content-Type": "application/json" } });
    put(byId("announcements"), said);
    state.chosen = null;
    trouble(null);
  } catch (error) {
    if (error instanceof LoginNeeded) await askLogin(error.message, byId("content"));
    else trouble(error.status === 403 ? `${error.message} Log in as somebody who may write.` : error.message);
  } finally {
    for (const button of byId("explain").querySelectorAll("button")) button.disabled = false;
    await show();
    showChosen();
  }
}

// ---- going on ------------------------------------------------------------------------------------

function go(equipment) {
  history.pushState(null, "", `?${new URLSearchParams({ equipment })}`);
  Object.assign(state, { equipment, stops: [], given: [], chosen: null, merged: false, until: null });
  showStops();
  showChosen();
  show();
}

let turn = 0;

async function show() {
  const mine = ++turn;
  try {
    if (!plant.machines.length || Date.now() - plant.readMs > PLANT_MS) await readPlant();
    if (!state.equipment) state.equipment = plant.machines[0]?.equipment ?? null;
    if (!state.equipment) return trouble("No machine is declared yet. Add [[equipment]] to plant.toml and start again.");
    if (!machine()) return trouble(`There is no machine ${state.equipment}: choose one.`), showMachines();
    const read = await readStops();
    // Somebody may look at another machine by now: its stops are not these.
    if (mine !== turn) return;
    Object.assign(state, read);
    trouble(null);
    document.title = `${machine().name} · stops`;
    put(byId("title"), `Stops · ${machine().name}`);
    byId("to-oee").href = oeeAddress(state.equipment);
    byId("to-spc").href = spcAddress(state.equipment);
    put(byId("as-of"), clock(new Date().toISOString()));
    showMachines();
    if (state.chosen && !chosen()) state.chosen = null;
    showStops();
    // What somebody is about to say stays as it is.
    if (byId("reasons").dataset.of !== state.chosen || byId("explain").hidden) showChosen();
  } catch (error) {
    if (mine !== turn) return;
    if (error instanceof LoginNeeded) {
      await askLogin(error.message, byId("content"));
      return show();
    }
    trouble(error instanceof TypeError ? "No connection to the server: it is tried again." : error.message);
  }
}

byId("merge").onclick = () => {
  Object.assign(state, { merged: !state.merged, until: null });
  showChosen();
};
function splitAt(wanted) {
  const seconds = Math.min(Number(byId("split-at").max), Math.max(1, wanted));
  // At its right end the whole stop is meant, to the last microsecond.
  const part = new Date(at(chosen().start) + seconds * 1000).toISOString();
  state.until = seconds < Number(byId("split-at").max) ? part : null;
  showChosen();
}
byId("split-at").oninput = () => splitAt(Number(byId("split-at").value));
// A glove does not hit a second on a slider.
byId("split").querySelector(".steps").replaceChildren(...SPLIT_STEPS_S.map((step) => {
  const length = Math.abs(step) < 60 ? `${Math.abs(step)} s` : `${Math.abs(step) / 60} min`;
  const button = html("button", { type: "button", "data-step": step, "aria-label": `${length} ${step < 0 ? "earlier" : "later"}` }, `${step < 0 ? "−" : "+"} ${length}`);
  button.onclick = () => splitAt(Number(byId("split-at").value) + step);
  return button;
}));
byId("period").onchange = () => {
  state.hours = Number(byId("period").value);
  show();
};
byId("back").onclick = takeBack;
byId("close").onclick = () => choose(null);
addEventListener("popstate", () => location.reload());

state.equipment = new URLSearchParams(location.search).get("equipment");
show();
setInterval(() => document.visibilityState === "visible" && !isAskingLogin() && show(), REFRESH_MS);

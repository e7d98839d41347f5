// OEE of one equipment in one period: ratios, losses, states, stops, and the signals at a stop.
//
// Every figure is asked for in SQL and shown as the server sent it. A panel asks again only where what it depends on
// has changed.

import { STATES, ask, asCount, asPercent, asReading, byId, html, oeeAddress, put, quoted, spcAddress, stopsAddress, timeFormat } from "/session.js";
import { LOSSES, asDuration, pareto, timeline, trend, waterfall } from "/chart.js";
import { EXACT, SHORT, at, begin, go, machine, machineName, machinesOf, showWindow, span, state, written, zone } from "/choice.js";
import { INSTANT, Words, listed, panel, table } from "/panel.js";

const WHOLE = "'100000 days'";  // one bucket for any window
const STOPS_SHOWN = 200;
const CAUSES_SHOWN = 12;
const INTERVALS_SHOWN = 30000;
const UNITS_SHOWN = 400;        // more than this are drawn as counts per stretch of time
const BUCKETS = 120;
const SIGNALS_SHOWN = 12;
const ENERGY_TONES = { run: "run", unplanned: "unplanned", minor_stops: "unplanned", changeover: "changeover", no_order: "no_order", unknown: "unknown" };
const AROUND_MS = 5 * 60000;    // signals are shown from so long before a stop's start until so long after
const STARTING = { period: "shift", level: "1", by: "time", order: "latest" };
const KNOWN = ["equipment", "period", "from", "to", "loss", "level", "by", "reason", "order", "at", "stop"];
const away = { loss: undefined, reason: undefined, at: undefined, stop: undefined };

const asKwh = (value) => (value === null ? asReading(value) : `${asReading(value)} kWh`);

const plant = { equipment: new Map(), below: new Map(), reasons: new Map(), meters: [], depth: 1 };

const below = () => plant.below.get(state.equipment) ?? [];
/** The equipment and all below it, as a list in SQL. */
const family = () => [state.equipment, ...below()].map(quoted).join(", ");
const windowSql = () => `${quoted(span.from)}, ${quoted(span.to)}`;

// ---- the plant and the window --------------------------------------------------------------------

async function readPlant() {
  const [equipment, reasons, routes, meters] = await Promise.all([
    ask("SELECT equipment, parent, name, level, zone, calendar, rollup FROM equipment ORDER BY equipment"),
    ask("SELECT reason, parent, name, category FROM reasons"),
    ask("SELECT equipment, min(step) AS step FROM routes WHERE equipment IS NOT NULL GROUP BY equipment"),
    ask("SELECT DISTINCT equipment FROM signals WHERE role = 'energy'"),
  ]);
  plant.meters = meters.map((row) => row.equipment);
  const steps = new Map(routes.map((row) => [row.equipment, row.step]));
  plant.equipment = machinesOf(equipment);
  plant.reasons = new Map(reasons.map((row) => [row.reason, row]));
  const children = Map.groupBy(plant.equipment.values(), (row) => (plant.equipment.has(row.parent) ? row.parent : null));
  const list = byId("equipment");
  list.replaceChildren();
  const add = (row, depth) => {
    list.append(html("option", { value: row.equipment }, `${"\u00a0\u00a0\u00a0".repeat(depth)}${row.name}`));
    const own = (children.get(row.equipment) ?? []).toSorted((a, b) => (steps.get(a.equipment) ?? Infinity) - (steps.get(b.equipment) ?? Infinity) || 0);
    const all = own.flatMap((child) => [child.equipment, ...add(child, depth + 1)]);
    plant.below.set(row.equipment, all);
    return all;
  };
  plant.below.clear();
  for (const row of children.get(null) ?? []) add(row, 0);
  const depth = (code) => {
    let levels = 1;
    for (let up = plant.reasons.get(code)?.parent; up && levels < 20; up = plant.reasons.get(up)?.parent) levels += 1;
    return levels;
  };
  plant.depth = Math.max(1, ...reasons.map((row) => depth(row.reason)));
  byId("level").replaceChildren(...Array.from({ length: plant.depth }, (_, place) =>
    html("option", { value: place + 1 }, place === 0 ? "top level" : place + 1 === plant.depth ? "as recorded" : `level ${place + 1}`)));
}

/** Chooses what the address leaves open: the first line, else the first equipment. */
function settle() {
  if (!plant.equipment.size) throw new Words("No machine is declared yet. Add [[equipment]] to plant.toml and start again.");
  if (!state.equipment) {
    const all = [...plant.equipment.values()];
    state.equipment = (all.find((row) => row.level === "work_center") ?? all[0]).equipment;
  }
  if (!machine()) throw new Words(`There is no equipment “${state.equipment}”. Choose one in the list.`);
}

/** The window of production days. */
async function readDays() {
  const { calendar, zone: local } = machine();
  // A production day begins with its first shift, or at local midnight where there is none.
  const today = `(now() AT TIME ZONE ${quoted(local)})::date`;
  const days = await ask(`
    WITH d AS (SELECT unnest(range(${today} - interval '9 days', ${today} + interval '3 days', interval '1 day')) AS midnight)
    SELECT coalesce(s.start, d.midnight AT TIME ZONE ${quoted(local)}) AS start, now() AS now
    FROM d LEFT JOIN (SELECT production_day, min(start) AS start FROM shifts WHERE calendar = ${quoted(calendar ?? "")} GROUP BY production_day) AS s
      ON s.production_day = to_char(d.midnight, '%Y-%m-%d')
    ORDER BY 1`);
  const current = days.findLastIndex((day) => at(day.start) <= at(day.now));
  const [back, ahead] = { today: [0, 1], yesterday: [1, 0], week: [6, 1] }[state.period] ?? [0, 1];
  return { from: days[current - back].start, to: days[current + ahead].start, now: days[0].now };
}

/** What there is to say where no row came back. */
function nothing(text) {
  if (at(span.from) >= at(span.now)) return new Words("This period has not begun yet.");
  return new Words(text);
}

// ---- ratios --------------------------------------------------------------------------------------

const RATIOS = [["oee", "OEE"], ["availability", "Availability"], ["performance", "Performance"], ["quality", "Quality"]];
const FACTS = [
  ["total", "Total", asCount], ["good", "Good", asCount], ["scrap", "Scrap", asCount],
  ["planned_production_s", "Planned production", asDuration], ["unplanned_stops", "Unplanned stops", asCount],
  ["microstops", "Minor stops", asCount], ["mttr_s", "MTTR", asDuration], ["mtbf_s", "MTBF", asDuration],
];
// Shown where a meter or a cost is known.
const RESOURCES = [
  ["energy_kwh", "Energy", asKwh], ["idle_energy_kwh", "Idle energy", asKwh], ["energy_per_good_piece_kwh", "Energy per good piece", asKwh],
  ["cost_per_good_piece", "Cost per good piece", asReading],
];

async function drawRatios(query, say) {
  const [row] = await query(`SELECT oee, availability, performance, quality, reason, ${[...FACTS, ...RESOURCES].map(([name]) => name).join(", ")}
    FROM oee(${WHOLE}, ${windowSql()}) WHERE equipment = ${quoted(state.equipment)}`);
  if (!row) throw nothing("No figures of this equipment in this period: it has neither states nor counts.");
  if (machine().rollup === "serial" && below().length) say("A line: its time is that of its bottleneck, its good pieces are those that leave the last machine.");
  if (row.reason) say(`${row.oee === null ? "Why there is no figure" : "Note"}: ${row.reason}.`);
  const tiles = RATIOS.map(([name, title]) => {
    const bar = html("i");
    bar.style.inlineSize = `${Math.min(100, Math.max(0, (row[name] ?? 0) * 100))}%`;
    return html("div", { cls: "tile", title: row[name] === null ? row.reason : null, data: { ratio: name, value: row[name] } },
      html("dt", {}, title), html("dd", {}, html("b", {}, asPercent(row[name])), html("span", { cls: "track", "aria-hidden": "true" }, bar)));
  });
  const known = RESOURCES.filter(([name]) => row[name] !== null);
  const facts = [...FACTS, ...known].map(([name, title, write]) => [title, write(row[name]), { fact: name, value: row[name] }]);
  return [html("dl", { cls: "tiles" }, ...tiles), listed(facts)];
}

// ---- losses and Pareto ---------------------------------------------------------------------------

async function drawLosses(query, say) {
  const rows = await query(`SELECT step, loss, factor, big_loss, lost_s, left_s, lost_s + left_s AS calendar_s, reason
    FROM losses(${WHOLE}, ${windowSql()}) WHERE equipment = ${quoted(state.equipment)} ORDER BY step`);
  if (!rows.length) throw nothing("No losses of this equipment in this period: it has neither states nor counts.");
  const missing = rows.find((row) => row.reason)?.reason;
  if (missing) say(`Some seconds are not known: ${missing}.`);
  return waterfall(rows, state.loss, (loss) => go({ loss: state.loss === loss ? undefined : loss, reason: undefined }));
}

const NO_REASON = "no-reason:"; // and the category: what has no reason is told apart by what it was

/** The code of a stop's reason at the chosen level of the tree; stops recorded higher up keep their own. */
function codeSql() {
  const level = Math.min(20, Math.max(1, Number.parseInt(state.level, 10) || 1));
  return `coalesce(nullif(split_part(reason_path, '/', ${level}), ''), reason, '${NO_REASON}' || category)`;
}

/** The condition of the chosen loss; NULL where that loss consists of no stops. */
function lossSql() {
  if (!state.loss) return "true";
  return LOSSES[state.loss]?.where ?? null;
}

const reasonName = (code) => {
  if (!code?.startsWith(NO_REASON)) return plant.reasons.get(code)?.name ?? code;
  const category = code.slice(NO_REASON.length);
  return `no reason given (${(STATES[category]?.word ?? category).toLowerCase()})`;
};
const lossName = () => LOSSES[state.loss]?.name ?? state.loss;

async function drawPareto(query, say) {
  const where = lossSql();
  if (where === null) throw new Words(`${lossName()} consists of no stops. Choose another loss, or the same one again to see all stops.`);
  const value = state.by === "count" ? "count(*)" : "sum(counted_s)";
  const rows = await query(`
    SELECT code, category, value, rows, total, value / nullif(total, 0) AS share,
      sum(value) OVER (ORDER BY value DESC, code, category ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) / nullif(total, 0) AS so_far
    FROM (SELECT *, sum(value) OVER () AS total, count(*) OVER () AS rows FROM (
      SELECT ${codeSql()} AS code, category, CAST(${value} AS double precision) AS value
      FROM stops(${windowSql()}) WHERE equipment IN (${family()}) AND (${where}) GROUP BY 1, 2) AS g WHERE value > 0) AS t
    ORDER BY value DESC, code, category LIMIT ${CAUSES_SHOWN}`);
  if (!rows.length) throw nothing(state.loss ? `No stop of the kind “${lossName()}” in this period.` : "No stop in this period.");
  say(`${state.loss ? lossName() : "All stops"}${below().length ? " of all machines below" : ""}, ${state.by === "count" ? "by number" : "by counted time"}.`);
  if (rows[0].rows > rows.length) say(`The ${rows.length} largest of ${rows[0].rows}.`);
  const amount = state.by === "count" ? asCount : asDuration;
  return pareto(rows.map((row) => ({ ...row, name: reasonName(row.code) })), amount, state.reason,
    (reason) => go({ reason: state.reason === reason ? undefined : reason }));
}

async function drawScrap(query, say) {
  const sofar = "ORDER BY scrap DESC, reason ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW";
  const rows = await query(`
    SELECT reason AS code, scrap AS value, share, sum(share) OVER (${sofar}) AS so_far, sum(scrap) OVER () AS total, sum(startup_scrap) OVER () AS startup, count(*) OVER () AS rows
    FROM scrap(${WHOLE}, ${windowSql()}) WHERE equipment = ${quoted(state.equipment)} AND scrap > 0 ORDER BY scrap DESC, reason LIMIT ${CAUSES_SHOWN}`);
  if (!rows.length) throw nothing("No scrap in this period.");
  const startup = rows[0].startup > 0 ? `, ${asCount(rows[0].startup)} of them while starting up` : "";
  say(`${asCount(rows[0].total)} ${rows[0].total === 1 ? "piece" : "pieces"} scrapped${startup}.`);
  if (rows[0].rows > rows.length) say(`The ${rows.length} most frequent reasons of ${rows[0].rows}.`);
  return pareto(rows.map((row) => ({ ...row, category: "scrap", name: row.code === null ? "no reason given" : reasonName(row.code) })), asCount);
}

// ---- energy --------------------------------------------------------------------------------------

async function drawEnergy(query, say) {
  const here = `WHERE equipment = ${quoted(state.equipment)}`;
  const rows = await query(`
    WITH spent AS (
      SELECT 'run' AS spent_on, energy_kwh - idle_energy_kwh AS kwh FROM oee(${WHOLE}, ${windowSql()}) ${here}
      UNION ALL SELECT loss, idle_energy_kwh FROM losses(${WHOLE}, ${windowSql()}) ${here})
    SELECT spent_on AS code, kwh AS value, sum(kwh) OVER () AS total, kwh / nullif(sum(kwh) OVER (), 0) AS share,
      sum(kwh) OVER (ORDER BY kwh DESC, spent_on ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) / nullif(sum(kwh) OVER (), 0) AS so_far
    FROM spent WHERE round(kwh, 6) > 0 ORDER BY kwh DESC, spent_on`);
  if (!rows.length) throw nothing("No energy is known of all machines here in this period: a meter is missing, or it has counted nothing.");
  say(`${asKwh(rows[0].total)} in all${below().length ? ", of all machines below" : ""}.`);
  return pareto(rows.map((row) => ({ ...row, category: ENERGY_TONES[row.code] ?? "planned", name: row.code === "run" ? "Running" : LOSSES[row.code]?.name ?? row.code })), asKwh);
}

// ---- timeline ------------------------------------------------------------------------------------

async function drawTimeline(query, say) {
  const bounds = { from: at(span.from), to: Math.min(at(span.to), at(span.now)) };
  if (bounds.from >= bounds.to) throw nothing();
  const end = quoted(new Date(bounds.to).toISOString());
  const made = `FROM operations WHERE equipment IN (${family()}) AND unit IS NOT NULL AND completed >= ${quoted(span.from)} AND completed < ${end}`;
  const [states, counts, shifts] = await Promise.all([
    query(`SELECT equipment, time, "end", state, category, reason, open FROM state_timeline(${windowSql()})
      WHERE equipment IN (${family()}) ORDER BY equipment, time LIMIT ${INTERVALS_SHOWN}`),
    query(`SELECT count(*) AS n ${made}`),
    machine().calendar ? query(`SELECT start FROM shifts WHERE calendar = ${quoted(machine().calendar)} AND start > ${quoted(span.from)} AND start < ${end} ORDER BY start`) : [],
  ]);
  const single = counts[0].n <= UNITS_SHOWN;
  const width = Math.max(1, Math.ceil((bounds.to - bounds.from) / 1000 / BUCKETS));
  const units = await query(single
    ? `SELECT equipment, completed AS at, unit, operation, work_order, result, 1 AS n, CASE WHEN result = 'fail' THEN 1 ELSE 0 END AS failed ${made} ORDER BY completed`
    : `SELECT equipment, time_bucket('${width} seconds', completed, timestamptz ${quoted(span.from)}) AS at, count(*) AS n, count(*) FILTER (WHERE result = 'fail') AS failed ${made} GROUP BY 1, 2 ORDER BY 1, 2`);
  const statesOf = Map.groupBy(states, (row) => row.equipment);
  const madeOf = Map.groupBy(units, (row) => row.equipment);
  const machines = [state.equipment, ...below()].filter((path) => statesOf.has(path) || madeOf.has(path));
  if (!machines.length) throw nothing("No state of this equipment is known in this period, and no unit was completed.");
  if (states.length === INTERVALS_SHOWN) say(`Only the first ${asCount(INTERVALS_SHOWN)} states are drawn: choose a shorter period.`);
  say(single
    ? `Above the states: each unit completed, ${asCount(counts[0].n)} in all.`
    : `Above the states: units completed per ${asDuration(width)}, ${asCount(counts[0].n)} in all.`);
  const tellState = (row) => {
    const until = row.open ? "until now" : `to ${written(row.end, EXACT)}`;
    const reason = row.reason ? `: ${reasonName(row.reason)}` : "";
    return `${machineName(row.equipment)} · ${STATES[row.category]?.word ?? row.category}${row.state ? ` (${row.state})` : ""}${reason} · ${written(row.time, EXACT)} ${until}`;
  };
  const tellMade = (row) => (single
    ? `${machineName(row.equipment)} · unit ${row.unit} · ${[row.operation, row.work_order, row.result].filter(Boolean).join(", ")} · completed ${timeFormat(zone(), EXACT).format(row.at)}`
    : `${machineName(row.equipment)} · ${asCount(row.n)} units, ${asCount(row.failed)} failed · ${timeFormat(zone(), EXACT).format(row.at)} and ${asDuration(width)} from then`);
  const rows = machines.map((path) => ({
    machine: path,
    label: path === state.equipment ? html("span", {}, machineName(path)) : html("a", { href: linkTo(path) }, machineName(path)),
    states: (statesOf.get(path) ?? []).map((row) => ({ ...row, from: at(row.time), to: row.end ? at(row.end) : bounds.to })),
    made: (madeOf.get(path) ?? []).map((row) => ({ ...row, at: at(row.at), width: single ? 0 : width * 1000 })),
    mostMade: (madeOf.get(path) ?? []).reduce((most, row) => Math.max(most, row.n), 1),
    tellState,
    tellMade,
  }));
  const words = "Point at a row, or go to it with Tab and use the arrow keys, to read a state.";
  put(byId("readout"), words);
  return timeline({ zone: zone(), ...bounds, rows, boundaries: shifts.map((row) => at(row.start)), tell: (text) => put(byId("readout"), text) });
}

// ---- tables --------------------------------------------------------------------------------------

/** The page of another equipment, for the same period. */
function linkTo(equipment, period = {}) {
  const times = state.period === "custom" ? { from: state.from, to: state.to } : { period: state.period };
  return `${oeeAddress(equipment)}&${new URLSearchParams(period.from ? period : times)}`;
}

const FIGURES = [
  ...RATIOS.map(([name, title]) => [title, (row) => asPercent(row[name]), "number"]),
  ["Total", (row) => asCount(row.total), "number"],
  ["Good", (row) => asCount(row.good), "number"],
  ["Scrap", (row) => asCount(row.scrap), "number"],
  ["Planned production", (row) => asDuration(row.planned_production_s), "number"],
  ["Unplanned", (row) => asDuration(row.unplanned_s), "number"],
  ["Stops", (row) => asCount(row.unplanned_stops), "number"],
];
const FIGURE_NAMES = "oee, availability, performance, quality, total, good, scrap, planned_production_s, unplanned_s, unplanned_stops, reason";

async function drawMachines(query) {
  const rows = await query(`SELECT equipment, ${FIGURE_NAMES} FROM oee(${WHOLE}, ${windowSql()})
    WHERE equipment IN (${below().map(quoted).join(", ")})`);
  if (!rows.length) throw nothing("No figures of the equipment below in this period.");
  const places = new Map(below().map((path, place) => [path, place]));
  rows.sort((a, b) => places.get(a.equipment) - places.get(b.equipment));
  return table([["Equipment", (row) => html("a", { href: linkTo(row.equipment) }, machineName(row.equipment))], ...FIGURES], rows,
    (row) => ({ data: { equipment: row.equipment, oee: row.oee }, title: row.reason }));
}

async function drawShifts(query) {
  const rows = await query(`SELECT time, "end", shift, production_day, ${FIGURE_NAMES} FROM oee('shift', ${windowSql()})
    WHERE equipment = ${quoted(state.equipment)} ORDER BY time DESC`);
  if (!rows.length) throw nothing("No shift of this equipment in this period has figures.");
  const label = (row) => html("a", { href: linkTo(state.equipment, { from: row.time, to: row.end }) }, `${row.production_day ?? ""} ${row.shift ?? "outside shifts"}`.trim());
  const times = (row) => `${written(row.time, SHORT)} – ${written(row.end, { hour: "2-digit", minute: "2-digit" })}`;
  return table([["Shift", label], ["Time", times], ...FIGURES], rows,
    (row) => ({ data: { shift: row.shift, time: row.time, oee: row.oee }, title: row.reason }));
}

async function drawStops(query, say) {
  const where = lossSql();
  if (where === null) throw new Words(`${lossName()} consists of no stops. ${LOSSES[state.loss]?.words ?? ""}`);
  const reason = state.reason ? `AND ${codeSql()} = ${quoted(state.reason)}` : "";
  const order = state.order === "longest" ? "counted_s DESC, in_window_s DESC, time DESC" : "time DESC, equipment";
  const rows = await query(`SELECT time, start, "end", equipment, state, category, microstop, reason, reason_name, duration_s, in_window_s, counted_s, work_order,
      count(*) OVER () AS n, sum(counted_s) OVER () AS sum_s
    FROM stops(${windowSql()}) WHERE equipment IN (${family()}) AND (${where}) ${reason} ORDER BY ${order} LIMIT ${STOPS_SHOWN}`);
  if (!rows.length) throw nothing(state.loss || state.reason ? "No stop in this period fits what is chosen." : "No stop in this period.");
  say(`${asCount(rows[0].n)} ${rows[0].n === 1 ? "stop" : "stops"}, ${asDuration(rows[0].sum_s)} counted.${rows[0].n > rows.length ? ` The first ${rows.length} are shown.` : ""}${below().length ? " Stops of all machines below, each for itself: they add up to more than the loss of a line." : ""} Choose one to see the signals at that moment.`);
  const open = (row) => {
    const button = html("button", { type: "button", cls: "link", "aria-label": `${written(row.start, EXACT)}: show the signals at that moment` }, written(row.start, EXACT));
    button.onclick = async () => {
      await go({ at: row.equipment, stop: row.start });
      byId("signals-title").focus({ preventScroll: true });
      byId("signals").scrollIntoView({ block: "start" });
    };
    return button;
  };
  const word = (row) => html("span", { cls: `word word-${row.category}` }, row.microstop ? "Minor stop" : STATES[row.category]?.word ?? row.category);
  return table([
    ["Start", open],
    below().length ? ["Equipment", (row) => machineName(row.equipment)] : null,
    ["Kind", word],
    ["State", (row) => row.state],
    ["Reason", (row) => row.reason_name ?? row.reason ?? "no reason given"],
    ["Duration", (row) => `${asDuration(row.duration_s)}${row.end ? "" : ", lasts"}`, "number"],
    ["Counted", (row) => asDuration(row.counted_s), "number"],
    ["Order", (row) => row.work_order],
  ].filter(Boolean), rows, (row) => ({ data: { stop: row.start, equipment: row.equipment, category: row.category, microstop: row.microstop, counted: row.counted_s } }));
}

// ---- signals at a stop ---------------------------------------------------------------------------

async function drawSignals(query, say) {
  const start = at(state.stop);
  if (!INSTANT.test(state.stop) || Number.isNaN(start)) throw new Words("The address names no stop. Choose one in the list.");
  const [from, to] = [start - AROUND_MS, start + AROUND_MS];
  const times = `${quoted(new Date(from).toISOString())}, ${quoted(new Date(to).toISOString())}`;
  const [low, high] = times.split(", ");
  const ancestors = state.at.split("/").map((_, place, parts) => quoted(parts.slice(0, place + 1).join("/"))).join(", ");
  const [found, declared, stops] = await Promise.all([
    query(`SELECT signal, last_value(value ORDER BY time) FILTER (WHERE time <= timestamptz ${quoted(state.stop)}) AS value FROM samples
      WHERE equipment = ${quoted(state.at)} AND value IS NOT NULL AND time >= ${low} AND time < ${high} GROUP BY signal ORDER BY signal`),
    query(`SELECT signal, uom, interpolation, role FROM signals WHERE equipment IN (${ancestors}) ORDER BY equipment`),
    query(`SELECT "end", duration_s, reason_name, state FROM stops(${times}) WHERE equipment = ${quoted(state.at)} AND start = timestamptz ${quoted(state.stop)}`),
  ]);
  const of = new Map(declared.map((row) => [row.signal, row])); // the nearest declaration comes last
  const isStepped = (signal) => of.get(signal)?.interpolation === "stepped";
  // A value that is stepped holds until the next one, so the one before belongs to the picture.
  const names = [...of.keys()].filter(isStepped).map(quoted).join(", ");
  const held = new Map(!names ? [] : (await query(`SELECT signal, last_value(value ORDER BY time) AS value FROM samples
    WHERE equipment = ${quoted(state.at)} AND signal IN (${names}) AND value IS NOT NULL
      AND time < timestamptz ${low} AND time >= timestamptz ${low} - interval '1 day' GROUP BY signal`)).map((row) => [row.signal, row.value]));
  for (const [signal, value] of held) {
    const known = found.find((row) => row.signal === signal);
    if (known) known.value ??= value;
    else found.push({ signal, value });
  }
  const [stop] = stops;
  say(`${machineName(state.at)}, ${timeFormat(zone(), EXACT).format(start)}${stop ? `: ${stop.reason_name ?? stop.state ?? "stop"}, ${asDuration(stop.duration_s)}` : ""}. Five minutes before to five minutes after; the line is the stop's start.`);
  // What states and counts are made of says what is known already: the process signals come first.
  found.sort((a, b) => Number(Boolean(of.get(a.signal)?.role)) - Number(Boolean(of.get(b.signal)?.role)));
  if (!found.length) throw new Words(`No numeric signal of ${machineName(state.at)} has values within five minutes of that moment.`);
  const shown = found.slice(0, SIGNALS_SHOWN);
  if (shown.length < found.length) say(`Not drawn: ${found.slice(SIGNALS_SHOWN).map((row) => row.signal).join(", ")}.`);
  const points = await query(`SELECT signal, time, value FROM trend(150, ${times})
    WHERE equipment = ${quoted(state.at)} AND signal IN (${shown.map((row) => quoted(row.signal)).join(", ")}) ORDER BY signal, time`);
  const pointsOf = Map.groupBy(points, (row) => row.signal);
  const end = stop?.end ? at(stop.end) : to;
  const drawn = (signal) => {
    const points = (pointsOf.get(signal) ?? []).map((point) => [at(point.time), point.value]);
    if (!isStepped(signal)) return points;
    if (held.has(signal)) points.unshift([from, held.get(signal)]);
    return points.length ? [...points, [Math.max(points.at(-1)[0], Math.min(to, Date.now())), points.at(-1)[1]]] : points;
  };
  const lines = shown.filter((row) => drawn(row.signal).length).map((row) => trend({
    name: row.signal, uom: of.get(row.signal)?.uom, stepped: isStepped(row.signal),
    points: drawn(row.signal), atStart: row.value, from, to, start, end, zone: zone(),
  }));
  if (!lines.length) throw new Words(`No signal of ${machineName(state.at)} has usable values within five minutes of that moment.`);
  return html("div", { cls: "trends" }, ...lines);
}

// ---- the page ------------------------------------------------------------------------------------

const base = () => [state.equipment, span?.from, span?.to, span?.now];
panel("ratios", base, drawRatios);
panel("waterfall", base, drawLosses);
panel("timeline", base, drawTimeline);
panel("pareto", () => [...base(), state.loss, state.level, state.by], drawPareto);
panel("scrap", base, drawScrap);
panel("energy", base, drawEnergy);
panel("below", base, drawMachines);
panel("shifts", base, drawShifts);
panel("stops", () => [...base(), state.loss, state.reason, state.reason && state.level, state.order], drawStops);
panel("signals", () => [state.at, state.stop, span?.now], drawSignals);

/** Presses what is chosen, without asking again. */
function showChoice() {
  for (const button of document.querySelectorAll("#waterfall button")) button.setAttribute("aria-pressed", button.dataset.loss === state.loss);
  for (const button of document.querySelectorAll("#pareto button")) button.setAttribute("aria-pressed", button.dataset.reason === state.reason);
  for (const row of document.querySelectorAll("#stops tbody tr")) row.toggleAttribute("data-chosen", row.dataset.stop === state.stop && row.dataset.equipment === state.at);
  const words = state.loss && LOSSES[state.loss]?.words;
  byId("loss-words").hidden = !words;
  put(byId("loss-words"), words ? `${lossName()}: ${words}` : "");
  const chip = (name, text, drop) => {
    const button = html("button", { type: "button", cls: "chip", "aria-label": `Do not filter by ${name}: ${text}`, data: { filter: name } }, `${text} ✕`);
    button.onclick = () => go(drop);
    return button;
  };
  byId("filters").replaceChildren(...[
    state.loss && chip("loss", lossName(), { loss: undefined, reason: undefined }),
    state.reason && chip("reason", reasonName(state.reason), { reason: undefined }),
  ].filter(Boolean));
}

function showTitles() {
  document.title = `${machine().name} · OEE`;
  put(byId("title"), `OEE · ${machine().name}`);
  byId("to-stops").href = below().length ? "/stops" : stopsAddress(state.equipment);
  byId("to-spc").href = spcAddress(state.equipment);
  showWindow(state.equipment);
  byId("below").hidden = below().length === 0;
  // A meter that is declared above is that of each machine below.
  const isWithin = (path, other) => path === other || path.startsWith(`${other}/`);
  byId("energy").hidden = !plant.meters.some((path) => isWithin(path, state.equipment) || isWithin(state.equipment, path));
  byId("signals").hidden = !state.at || !state.stop;
}

byId("legend").replaceChildren(
  ...Object.entries(STATES).map(([category, { word }]) => html("span", {}, html("i", { cls: `swatch swatch-${category}`, "aria-hidden": "true" }), word)),
  html("span", {}, html("i", { cls: "swatch swatch-good", "aria-hidden": "true" }), "unit made"),
  html("span", {}, html("i", { cls: "swatch swatch-fail", "aria-hidden": "true" }), "unit failed"));

byId("equipment").onchange = () => go({ ...away, equipment: byId("equipment").value });
for (const name of ["level", "by", "order"]) byId(name).onchange = () => go({ [name]: byId(name).value, ...(name === "level" ? { reason: undefined } : {}) });

begin({
  path: "/oee", known: KNOWN, starting: STARTING, among: { loss: LOSSES }, away,
  plant, isKnown: () => plant.equipment.size > 0, read: readPlant, settle,
  otherSpan: readDays, noCalendar: "This equipment has no shift calendar. Choose today, yesterday or a period of your own.",
  controls: () => {
    for (const name of ["equipment", "level", "by", "order"]) byId(name).value = state[name] ?? "";
  },
  titles: showTitles, present: showChoice,
});

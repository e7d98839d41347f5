// Control charts of one characteristic: its points and limits, what violates the rules, capability, and what people
// decide about them: limits that are frozen, measurements that are excluded.
//
// Every figure is asked for in SQL and shown as the server sent it. What is chosen is in the address, so that it can
// be shared and the browser's back button goes back. A panel asks again only where what it depends on has changed.

import {
  LoginNeeded, NONE, ask, asCount, asReading, askLogin, byId, html, knownZone, mark, oeeAddress, put, quoted, request,
  stopsAddress, svg, timeFormat,
} from "/session.js";
import { asDuration, asWall, trend } from "/chart.js";
import { SHAPES, controlChart } from "/control.js";
import { binsOf, histogram, probabilityPlot } from "/spread.js";
import { Words, advice, draw, panel, panels, table, timeSql } from "/panel.js";
import { act } from "/act.js";
import { offerReports } from "/report.js";

const POINTS_SHOWN = 10000;
const VIOLATIONS_SHOWN = 200;
const RECORDS_SHOWN = 200;
const RANKS_SHOWN = 800;        // of more values the probability plot shows some, and all at the ends
const ENDS_SHOWN = 30;
const SIGNALS_SHOWN = 8;
const AROUND_MS = 60000;        // signals around a measurement whose execution is not known
const MANY = 12;                // of more characteristics one is searched for
const DAY_MS = 86400000;
const STARTING = { chart: "i_mr", rules: "nelson", limits: "frozen", distribution: "normal" };
const OF = ["equipment", "product", "operation"];
const NUMBERS = ["phase", "lambda", "k", "h", "headstart", "span", "width"];
const KNOWN = [
  "characteristic", ...OF, "chart", "subgroup", "rules", "limits", ...NUMBERS, "period", "from", "to", "distribution", "spec", "zoom_from", "zoom_to", "at", "nth",
];
const PAPER_ROWS = 40;          // violations that spc.css prints
const PAPER = { main: [545, 283], below: [545, 121] }; // the plots on A4 as spc.css prints them, pixels
const ALL = "*";                // values of all machines, products or operations on one chart

const CHARTS = {
  i_mr: { name: "I-MR", main: "X", isValue: true },
  xbar_r: { name: "X̄-R", main: "X̄", size: "5", isValue: true },
  xbar_s: { name: "X̄-S", main: "X̄", size: "5", isValue: true },
  p: { name: "p", main: "p", size: "1 hour", failures: true },
  np: { name: "np", main: "np", size: "1 hour", failures: true },
  laney_p: { name: "Laney p′", main: "p", size: "1 hour", failures: true },
  c: { name: "c", main: "c" },
  u: { name: "u", main: "u" },
  laney_u: { name: "Laney u′", main: "u" },
  ewma: { name: "EWMA", main: "EWMA", parameters: { lambda: ["λ", 0.2], width: ["Width L", 3] }, isValue: true },
  cusum: { name: "CUSUM", main: "C+", parameters: { k: ["k", 0.5], h: ["h", 5], headstart: ["Head start", 0] } },
  moving_average: { name: "Moving average", main: "MA", parameters: { span: ["Span", 5], width: ["Width", 3] }, isValue: true },
};
const SUBGROUPS = {
  size: "values in a row …", "15 minutes": "15 minutes", "1 hour": "1 hour", shift: "shift", day: "production day", work_order: "work order",
  subgroup: "as recorded (subgroup)", unit: "unit", run: "execution", operator: "operator", gauge: "gauge",
};
const COLUMNS_OF_SUBGROUPS = ["unit", "work_order", "product", "operation", "operator", "gauge", "subgroup", "run", "equipment"];
const WORDS_OF_EMPTY = { equipment: "no machine named", product: "no product named", operation: "no operation named" };

const plant = { equipment: new Map(), products: new Map(), uoms: [], measured: new Map(), now: null };
let state = {};
let span = null;     // the window: { from, to, now } as instants the server wrote; from and to are NULL for all there is

// ---- what is chosen ------------------------------------------------------------------------------

function readAddress() {
  const asked = new URLSearchParams(location.search);
  state = { ...STARTING };
  // An empty machine, product or operation is one that no measurement names.
  for (const name of KNOWN) if (asked.get(name) || (OF.includes(name) && asked.has(name))) state[name] = asked.get(name);
  if (state.from || state.to) state.period = "custom";
  if (!(state.chart in CHARTS)) state.chart = STARTING.chart;
}

function address() {
  const shown = new URLSearchParams();
  for (const name of KNOWN) {
    if (name === "period" && (state.from || state.to)) continue;
    if (state[name] === undefined || state[name] === STARTING[name]) continue;
    if (state[name] !== "" || OF.includes(name)) shown.set(name, state[name]);
  }
  return `/spc?${shown}`;
}

/** Chooses something; `undefined` takes a choice back. What depends on it is asked anew. */
function go(changes, { replace = false } = {}) {
  state = { ...state, ...changes };
  history[replace ? "replaceState" : "pushState"](null, "", address());
  return show();
}

const away = { at: undefined, nth: undefined, zoom_from: undefined, zoom_to: undefined };
const combinations = () => plant.measured.get(state.characteristic) ?? [];
const fits = (row, choice) => OF.every((name) => choice[name] === undefined || choice[name] === ALL || row[name] === choice[name]);
const chosenRows = () => combinations().filter((row) => fits(row, state));
const recent = (rows) => rows.reduce((best, row) => (best === null || Date.parse(row.last) > Date.parse(best.last) ? row : best), null);
const at = (time) => Date.parse(time);
const zone = () => (plant.equipment.get(state.equipment) ?? plant.equipment.values().next().value)?.zone ?? "UTC";
const written = (time, options) => timeFormat(zone(), options).format(at(time));
const SHORT = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
const EXACT = { ...SHORT, second: "2-digit" };
const FULL = { year: "numeric", ...SHORT };
const machineName = (path) => plant.equipment.get(path)?.name ?? path;
const productName = (code) => (plant.products.get(code) ? `${code} · ${plant.products.get(code)}` : code);
const nameOf = { equipment: machineName, product: productName, operation: (code) => code };
const chart = () => CHARTS[state.chart];

/** The unit of measure of the characteristic. */
function uom() {
  const said = (value, is) => (value ?? "") === "" || value === is;
  const found = plant.uoms.filter((row) => row.characteristic === state.characteristic && said(row.product, state.product) && said(row.operation, state.operation) && row.uom);
  return found.at(-1)?.uom ?? "";
}
const withUom = () => (uom() ? ` ${uom()}` : "");
/** The same of what is plotted: of counts and sums it is none. */
const plottedUom = () => (chart().isValue ? withUom() : "");

/** How values become subgroups: as chosen, else as recorded, else what the chart needs; null: each by itself. */
function subgroup() {
  if (state.subgroup) return state.subgroup;
  if (state.chart === "i_mr") return null;
  return chosenRows().some((row) => row.subgroups > 0) ? "subgroup" : chart().size ?? null;
}

function subgroupWords() {
  const by = subgroup();
  if (by === null) return "each value by itself";
  if (/^\d+$/.test(by)) return `${by} values in a row`;
  return by === "subgroup" ? "as recorded" : `by ${SUBGROUPS[by] ?? by}`;
}

/** What is charted, as a condition on `measurements` and on the functions over them. */
function named() {
  const said = OF.filter((name) => state[name] !== ALL).map((name) => (state[name] === "" ? `(${name} IS NULL OR ${name} = '')` : `${name} = ${quoted(state[name])}`));
  return [`characteristic = ${quoted(state.characteristic)}`, ...said].join(" AND ");
}

/** The period, as a condition that goes on one of `named`. */
const inPeriod = () => (span.from ? ` AND time >= ${quoted(span.from)} AND time < ${quoted(span.to)}` : "");
/** The rows of `measurements` that are charted, as a condition. */
const where = () => named() + inPeriod();
/** A function over them, in FROM. Its window is an argument: a condition on time would drop the row that says why there is none. */
const over = (name, words) => `${name}(${[...words, ...(span.from ? [span.from, span.to] : [])].map(quoted).join(", ")})`;

const commonWords = () => {
  const by = OF.some((name) => state[name] === ALL) && `by=${["characteristic", ...OF.filter((name) => state[name] !== ALL)].join(",")}`;
  return [by, subgroup() !== null && `subgroup=${subgroup()}`].filter(Boolean);
};

function chartWords() {
  const numbers = Object.keys(chart().parameters ?? {}).filter((name) => state[name]).map((name) => `${name}=${state[name]}`);
  const phase = state.phase && `phase_i=${state.phase}`;
  const limits = state.limits === "own" && "limits=own";
  return [state.chart, ...commonWords(), `rules=${state.rules}`, phase, limits, ...numbers].filter(Boolean);
}

// ---- the plant and the window --------------------------------------------------------------------

async function readPlant() {
  const [equipment, products, uoms, measured] = await Promise.all([
    ask("SELECT equipment, name, zone, calendar FROM equipment ORDER BY equipment"),
    ask("SELECT product, max(name) AS name FROM products GROUP BY product"),
    ask("SELECT characteristic, product, operation, uom FROM characteristics ORDER BY characteristic, product, operation"),
    ask(`SELECT characteristic, coalesce(equipment, '') AS equipment, coalesce(product, '') AS product, coalesce(operation, '') AS operation,
        count(*) AS n, count(value) AS numbers, count(subgroup) AS subgroups, min(time) AS first, max(time) AS last, now() AS now
      FROM measurements GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`),
  ]);
  plant.equipment = new Map(equipment.map((row) => [row.equipment, { ...row, name: row.name ?? row.equipment, zone: knownZone(row.zone ?? "UTC") }]));
  plant.products = new Map(products.map((row) => [row.product, row.name]));
  plant.uoms = uoms;
  plant.measured = Map.groupBy(measured, (row) => row.characteristic);
  plant.now = measured[0]?.now ?? null;
}

/** Chooses what the address leaves open: the first characteristic, and of it what was measured last. */
function settleChoice() {
  if (!plant.measured.size) throw new Words("Nothing has been measured yet. Charts are drawn of the table measurements: send rows to it, by MQTT or HTTP.");
  const before = address();
  if (state.characteristic === undefined) {
    const here = (row) => state.equipment === undefined || row.equipment === state.equipment || row.equipment.startsWith(`${state.equipment}/`);
    const rows = [...plant.measured.values()].flat().filter(here);
    if (!rows.length) throw new Words(`Nothing was measured at ${machineName(state.equipment)} yet. Choose a characteristic in the list.`);
    const found = rows.find((row) => row.numbers > 0) ?? rows[0];
    state.characteristic = found.characteristic;
    if (found.equipment !== state.equipment && state.equipment !== undefined) state.equipment = found.equipment;
  }
  if (!plant.measured.has(state.characteristic)) throw new Words(`“${state.characteristic}” has not been measured. Choose a characteristic in the list.`);
  const found = recent(chosenRows());
  if (!found) throw new Words(`“${state.characteristic}” has not been measured ${OF.filter((name) => state[name] !== undefined && state[name] !== ALL).map((name) => `at ${name} “${state[name]}”`).join(", ")}. Choose another machine, product or operation.`);
  for (const name of OF) state[name] ??= found[name];
  state.period ??= at(found.last) > at(plant.now) - DAY_MS ? "day" : "all";
  if (address() !== before || !location.search) history.replaceState(null, "", address());
}

async function readSpan() {
  const { calendar } = plant.equipment.get(state.equipment) ?? {};
  if (state.period === "custom") {
    const local = plant.equipment.get(state.equipment)?.zone ?? zone();
    const [row] = await ask(`SELECT ${timeSql(state.from, "From", local)} AS "from", ${timeSql(state.to, "To", local)} AS "to", now() AS now`);
    if (at(row.from) >= at(row.to)) throw new Words("“From” must be before “To”.");
    return row;
  }
  if (state.period === "shift" || state.period === "last-shift") {
    if (!calendar) throw new Words("This machine has no shift calendar. Choose the last 24 hours, or a period of your own.");
    const begun = state.period === "shift" ? `start <= now() AND "end" > now()` : `"end" <= now()`;
    const [row] = await ask(`SELECT start AS "from", "end" AS "to", now() AS now, shift FROM shifts WHERE calendar = ${quoted(calendar)} AND ${begun} ORDER BY start DESC LIMIT 1`);
    if (!row) throw new Words(state.period === "shift" ? "No shift is running now. Choose the last shift, or another period." : "No shift has ended yet. Choose another period.");
    return row;
  }
  const back = { day: "24 hours", week: "7 days", month: "30 days" }[state.period];
  const [row] = await ask(back ? `SELECT now() - interval '${back}' AS "from", now() AS "to", now() AS now` : `SELECT NULL AS "from", NULL AS "to", now() AS now`);
  return row;
}

// ---- the points ----------------------------------------------------------------------------------

const COLUMNS = `time, start, equipment, product, operation, work_order, unit, operator, gauge, point, subgroup, n, value, centre, lcl, ucl, sigma, z,
  companion, companion_value, companion_centre, companion_lcl, companion_ucl, phase, excluded, violated, rules, message,
  lower_limit, upper_limit, target, limits, reason`;
const OF_COMPANION = /^(R|S|MR|C-) limits$/;
const INSTANTS = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g;

const base = () => [state.characteristic, ...OF.map((name) => state[name]), chartWords(), span?.from, span?.to, span?.now];
/** Whether two texts are the same instant, to the microsecond: an address may write it shorter. */
const sameInstant = (one, other) => one === other || [one, other].map((text) => text.replace(/(\.\d*?)0+Z$/, "$1Z").replace(".Z", "Z")).reduce((a, b) => a === b);
const isChosen = (point) => sameInstant(point.time, state.at) && point.nth === Number(state.nth ?? 1);
/** Times in a text of the server, in the plant's zone. */
const inZone = (text) => text.replace(INSTANTS, (instant) => written(instant, FULL));

/** What the drawing and the tables need of a point beside its columns. */
function prepared(row) {
  const names = (row.rules ?? "").split(", ").filter(Boolean);
  const own = names.filter((name) => !OF_COMPANION.test(name));
  const outside = (row.ucl !== null && row.value > row.ucl) || (row.lcl !== null && row.value < row.lcl);
  const frozen = /^frozen from (\S+Z)/.exec(row.limits ?? "");
  return {
    ...row, at: at(row.time), beyond: own.length > 0 && outside, pattern: own.length > 0 && !outside,
    companion_beyond: own.length < names.length, frozenFrom: frozen ? written(frozen[1], SHORT) : null,
  };
}

/** Why there is no point. */
async function emptiness() {
  const [row] = await ask(`SELECT measurements, subgroups, reason FROM ${over("spc_limits", chartWords())} WHERE ${named()}`);
  if (row?.reason?.startsWith("none of")) return `Nothing to chart: ${row.reason}. Texts are not charted; pass and fail are, on a p chart.`;
  if (row?.measurements > 0) return `Nothing to chart: ${asCount(row.measurements)} ${row.measurements === 1 ? "value makes" : "values make"} no whole subgroup (${subgroupWords()}). Choose smaller subgroups or a longer period.`;
  const rows = chosenRows();
  const first = rows.map((one) => one.first).toSorted((one, other) => at(one) - at(other))[0];
  return `No measurement of “${state.characteristic}” in this period. There are ${asCount(rows.reduce((sum, one) => sum + one.n, 0))} from ${written(first, FULL)} to ${written(recent(rows).last, FULL)}: choose another period.`;
}

async function readPoints() {
  const rows = await ask(`SELECT ${COLUMNS}, count(*) OVER () AS total, count(*) FILTER (WHERE violated) OVER () AS flagged
    FROM ${over("spc", chartWords())} WHERE ${named()} ORDER BY point DESC LIMIT ${POINTS_SHOWN}`);
  if (!rows.length) throw new Words(await emptiness());
  rows.reverse();
  const points = rows.map(prepared);
  let before = null;
  for (const point of points) {
    point.nth = before?.time === point.time ? before.nth + 1 : 1;
    before = point;
  }
  return { points, total: rows[0].total, flagged: rows[0].flagged, write: writer(points) };
}

/** Writes values with as many places as their spread deserves. */
function writer(points) {
  const known = points.find((point) => point.sigma > 0)?.sigma ?? points.find((point) => point.ucl > point.centre && point.ucl !== null)?.ucl / 3;
  return placesFor(known || Math.max(...points.slice(0, 100).map((point) => Math.abs(point.value ?? 0))) / 100);
}

function placesFor(sigma) {
  const places = sigma > 0 ? Math.min(10, Math.max(0, 2 - Math.floor(Math.log10(sigma)))) : 3;
  const format = new Intl.NumberFormat("en", { maximumFractionDigits: places, minimumFractionDigits: places, useGrouping: false });
  return (value) => (value === null || value === undefined ? NONE : format.format(value));
}

let read = { key: null, points: null };

/** The points of the chart, asked for once for all panels. */
function pointsOf() {
  const key = JSON.stringify(base());
  if (read.key !== key) {
    const points = readPoints();
    const mine = (read = { key, points });
    points.catch((error) => {
      if (!(error instanceof Words) && read === mine) read.key = null;
    });
  }
  return read.points;
}

/** The same for panels below the chart, which says itself why there are none. */
async function pointsBelow() {
  try {
    return await pointsOf();
  } catch (error) {
    if (error instanceof LoginNeeded) throw error;
    throw new Words("There is no chart.");
  }
}

// ---- the chart -----------------------------------------------------------------------------------

let view = null;     // what is drawn: { drawing, points, write }

const facts = (point) => [
  `unit ${point.unit ?? NONE}`, point.work_order && `order ${point.work_order}`, point.operator && `operator ${point.operator}`, point.subgroup && `subgroup ${point.subgroup}`, point.n > 1 && `${point.n} values`,
].filter(Boolean).join(" · ");

function describe(point, write) {
  return [
    `No. ${point.point} · ${written(point.time, EXACT)} · ${chart().main} ${write(point.value)}${point.z === null ? "" : ` (z ${point.z.toFixed(2)})`}`,
    point.companion_value !== null && `${point.companion} ${write(point.companion_value)}`, facts(point), point.excluded && "excluded from limits", point.message && `${point.rules}: ${point.message}`, point.reason,
  ].filter(Boolean).join(" · ");
}

const POINTING = "Point at the chart to read a point; choose one to see its unit, its other measurements and the signals then.";

async function drawChart(query, say) {
  view = null;
  const { points, total, flagged, write } = await pointsOf();
  if (total > points.length) say(`The last ${asCount(points.length)} of ${asCount(total)} points are drawn; limits are of all.`);
  const [{ reason, centre }] = points;
  if (reason) say(centre === null ? `No limits: ${reason}. The values are drawn as they are.` : `${reason}.`);
  const last = points.at(-1);
  const title = (name) => ({ R: "R", S: "S", MR: "MR", "C-": "C−" })[name] ?? name;
  const drawing = controlChart({
    points, zone: zone(), write, titles: { main: chart().main, below: title(last.companion) },
    describe: (point) => describe(point, write), tell: (text) => put(byId("readout"), text), choose,
    zoom: (from, to, replace = false) => {
      const whole = from === 0 && to === points.length - 1;
      go({ zoom_from: whole ? undefined : points[from].time, zoom_to: whole ? undefined : points[to].time }, { replace });
    },
  });
  view = { drawing, points, write };
  mark(byId("chart-panel"), "flagged", flagged);
  put(byId("readout"), POINTING);
  return drawing.node;
}

/** Shows of the drawing what the address asks for. */
function present() {
  if (!view) return;
  const { points, drawing } = view;
  let [first, last] = [0, points.length - 1];
  if (state.zoom_from && state.zoom_to) {
    const [from, to] = [at(state.zoom_from), at(state.zoom_to)];
    const [begin, end] = [points.findIndex((point) => point.at >= from), points.findLastIndex((point) => point.at <= to)];
    if (begin >= 0 && end > begin) [first, last] = [begin, end];
  }
  const now = chosenPlace();
  drawing.show({ first, last, chosen: now, spec: state.spec === "1" && Boolean(chart().isValue) });
  byId("zoom-reset").disabled = drawing.isWhole();
  byId("zoom-out").disabled = drawing.isWhole();
  byId("earlier").disabled = first === 0;
  byId("later").disabled = last === points.length - 1;
  for (const row of document.querySelectorAll("#violations tbody tr")) row.toggleAttribute("data-chosen", Number(row.dataset.place) === now);
}

const chosenPlace = () => (state.at && view ? view.points.findIndex(isChosen) : -1);

async function choose(place) {
  const point = view?.points[place];
  if (!point) return;
  await go({ at: point.time, nth: point.nth > 1 ? String(point.nth) : undefined });
}

// ---- what the chart used, what violates rules ----------------------------------------------------

const listed = (items) => html("dl", { cls: "figures" }, ...items.filter(Boolean).map(([name, value, data]) => html("div", { data: data ?? {} }, html("dt", {}, name), html("dd", {}, value))));

async function drawUsed(query) {
  const { points, total, flagged, write } = await pointsBelow();
  const [row] = await query(`SELECT * FROM ${over("spc_limits", chartWords())} WHERE ${named()}`);
  const stretches = points.filter((point, place) => place === 0 || points[place - 1].limits !== point.limits);
  const words = stretches.map((point) => html("li", {}, stretches.length > 1 ? html("b", {}, `from no. ${point.point}, ${written(point.time, SHORT)}: `) : null, point.limits === "none" ? "no limits" : inZone(point.limits)));
  const first = points.filter((point) => point.phase === "I").length;
  const excluded = points.filter((point) => point.excluded).length;
  const sizes = new Set(points.map((point) => point.n));
  return [
    html("ul", { cls: "used-limits" }, ...words),
    listed([
      ["UCL, centre, LCL now", `${write(row?.ucl)} / ${write(row?.centre)} / ${write(row?.lcl)}${plottedUom()}`, { fact: "limits", value: row?.ucl }],
      row?.companion && [`${row.companion}: UCL, centre`, `${write(row.companion_ucl)} / ${write(row.companion_centre)}`],
      (chart().isValue || state.chart === "cusum") && ["Mean, sigma of one value", `${write(row?.mean)} / ${asReading(row?.sigma)}`],
      ["Points", `${asCount(total)}${total > points.length ? ` (${asCount(points.length)} drawn)` : ""}`, { fact: "points", value: total }],
      ["Phase I", total > points.length ? NONE : `${asCount(first)} of them`],
      ["Values", row ? asCount(row.measurements) : NONE],
      ["Subgroups", `${subgroupWords()}${sizes.size === 1 && subgroup() ? `, n = ${[...sizes][0]}` : sizes.size > 1 ? `, n = ${Math.min(...sizes)} to ${Math.max(...sizes)}` : ""}`],
      ["Flagged", asCount(flagged), { fact: "flagged", value: flagged }],
      excluded ? ["Excluded", asCount(excluded)] : null,
      ["Rules", row?.rules ?? state.rules],
    ]),
    row?.reason ? html("p", { cls: "note" }, `${row.reason}.`) : null,
  ].filter(Boolean);
}

async function drawViolations(query, say) {
  const { points, flagged, write } = await pointsBelow();
  const found = points.map((point, place) => ({ ...point, place })).filter((point) => point.violated).reverse();
  if (!found.length) throw new Words(state.rules === "none" ? "No rules are applied." : points.some((point) => point.centre !== null) ? "No rule is violated." : "Without limits nothing is judged.");
  const shown = found.slice(0, VIOLATIONS_SHOWN);
  say(`${asCount(flagged)} of ${asCount(points.length)} points, latest first.${shown.length < flagged ? ` The last ${asCount(shown.length)} are listed.` : ""} Choose one to see its unit.`);
  const open = (point) => {
    const button = html("button", { type: "button", cls: "link", "aria-label": `${written(point.time, EXACT)}, point ${point.point}: show its unit` }, written(point.time, EXACT));
    button.onclick = async () => {
      await choose(point.place);
      toPoint();
    };
    return button;
  };
  const paper = shown.length > PAPER_ROWS ? html("p", { cls: "paper-only note" }, `On paper: the last ${PAPER_ROWS} of ${asCount(flagged)}.`) : null;
  return [paper, table([
    ["Time", open],
    ["No.", (point) => String(point.point), "number"],
    ["What it says", (point) => point.message, "wide"],
    ["Rule", (point) => point.rules],
    ["Value", (point) => write(point.value), "number"],
    ["Unit", (point) => point.unit],
    ["Order", (point) => point.work_order],
    ["Operator", (point) => point.operator],
  ], shown, (point) => ({ data: { place: point.place, point: point.point, rules: point.rules } }))].filter(Boolean);
}

function toPoint() {
  byId("point-title").focus({ preventScroll: true });
  byId("point").scrollIntoView({ block: "start" });
}

// ---- one point -----------------------------------------------------------------------------------

const MEMBER = "time, unit, operation, equipment, product, characteristic, value, text, result, lower_limit, upper_limit, operator, gauge, work_order, run, piece";

/** The measurements that a point is made of, in the order of production. */
function readMembers(query, point) {
  const usable = chart().failures ? "(value IS NOT NULL OR result IN ('pass', 'fail'))" : "value IS NOT NULL";
  const all = `FROM measurements WHERE ${where()} AND ${usable}`;
  const within = `time >= ${quoted(point.start)} AND time <= ${quoted(point.time)}`;
  const by = subgroup() ?? "1";
  if (COLUMNS_OF_SUBGROUPS.includes(by)) return query(`SELECT ${MEMBER} ${all} AND ${within} AND ${by} = ${quoted(point.subgroup)} ORDER BY time, piece LIMIT ${RECORDS_SHOWN}`);
  if (!/^\d+$/.test(by)) return query(`SELECT ${MEMBER} ${all} AND ${within} ORDER BY time, piece LIMIT ${RECORDS_SHOWN}`);
  // So many in a row: counted from the first value of the period, as the server does.
  const size = Number(by);
  return query(`SELECT ${MEMBER} FROM (
      SELECT ${MEMBER}, row_number() OVER (ORDER BY time, coalesce(piece, 1), unit NULLS FIRST, run NULLS FIRST)
        + (SELECT count(*) ${all} AND time < ${quoted(point.start)}) AS place ${all} AND ${within}) AS t
    WHERE place > ${(point.point - 1) * size} AND place <= ${point.point * size} ORDER BY place`);
}

const EXCLUSION_NAMES = ["equipment", "operation", "unit", "run"];
/** Whether an exclusion is about a measurement: what it does not name may be anything. */
const isAbout = (exclusion, row) =>
  at(exclusion.time) === at(row.time) && (exclusion.piece === null || exclusion.piece === (row.piece ?? 1)) && EXCLUSION_NAMES.every((name) => !exclusion[name] || exclusion[name] === row[name]);

function limitsOf(row, write) {
  if (row.lower_limit === null && row.upper_limit === null) return null;
  return `${write(row.lower_limit)} … ${write(row.upper_limit)}`;
}

const figure = (row) => (row.value === null ? row.text ?? row.result : asReading(row.value));
const OUTSIDE = (row) => row.value !== null && ((row.lower_limit !== null && row.value < row.lower_limit) || (row.upper_limit !== null && row.value > row.upper_limit));
const resultWord = (row) => (row.result === "fail" || OUTSIDE(row) ? html("span", { cls: "word word-unplanned" }, row.result ?? "outside") : row.result);

function membersTable(members, excluded, point, write) {
  const button = (row) => {
    const found = excluded.find((exclusion) => isAbout(exclusion, row));
    const node = html("button", { type: "button", cls: "small", data: { act: found ? "include" : "exclude" } }, found ? "Take exclusion back …" : "Exclude …");
    node.onclick = () => (found ? include(found) : exclude(row, excluded));
    return html("span", { cls: "inline" }, node, found && html("small", {}, found.reason));
  };
  return table([
    ["Measured", (row) => written(row.time, EXACT)],
    ["Unit", (row) => row.unit],
    ["Piece", (row) => (row.piece === null ? null : String(row.piece)), "number"],
    ["Value", figure, "number"],
    ["Specification", (row) => limitsOf(row, asReading), "number"],
    ["Result", resultWord],
    ["Operator", (row) => row.operator],
    ["Gauge", (row) => row.gauge],
    ["For limits", button],
  ], members, (row) => ({ data: { unit: row.unit, excluded: excluded.some((one) => isAbout(one, row)) } }));
}

async function drawSignals(query, point, run) {
  const machine = point.equipment;
  if (!machine) return html("p", { cls: "nothing" }, "The measurement names no machine, so there are no signals to show.");
  const moment = at(point.time);
  const known = run?.started ? [at(run.started), at(run.completed ?? point.time)] : [moment - AROUND_MS, moment + AROUND_MS];
  const room = Math.max(2000, (known[1] - known[0]) * 0.15);
  const [from, to] = [Math.min(known[0], moment) - room, Math.max(known[1], moment) + room];
  const [low, high] = [from, to].map((time) => quoted(new Date(time).toISOString()));
  const ancestors = machine.split("/").map((_, place, parts) => quoted(parts.slice(0, place + 1).join("/"))).join(", ");
  const [found, declared, points] = await Promise.all([
    query(`SELECT signal, last_value(value ORDER BY time) FILTER (WHERE time <= timestamptz ${quoted(point.time)}) AS value FROM samples
      WHERE equipment = ${quoted(machine)} AND value IS NOT NULL AND time >= ${low} AND time < ${high} GROUP BY signal ORDER BY signal`),
    query(`SELECT signal, uom, interpolation, role FROM signals WHERE equipment IN (${ancestors}) ORDER BY equipment`),
    query(`SELECT signal, time, value FROM trend(150, ${low}, ${high}) WHERE equipment = ${quoted(machine)} ORDER BY signal, time`),
  ]);
  const of = new Map(declared.map((row) => [row.signal, row]));
  const lines = Map.groupBy(points, (row) => row.signal);
  const shown = found.filter((row) => !of.get(row.signal)?.role && lines.has(row.signal)).slice(0, SIGNALS_SHOWN);
  const around = { from: new Date(moment - 1800000).toISOString(), to: new Date(moment + 1800000).toISOString() };
  const link = html("p", { cls: "note" }, `${machineName(machine)}, ${timeFormat(zone(), EXACT).format(from)} to ${timeFormat(zone(), EXACT).format(to)}${run?.started ? ", shaded while this unit was there" : ""}; the line is the measurement. `,
    html("a", { href: `${oeeAddress(machine)}&${new URLSearchParams(around)}` }, "States, losses and stops of that hour"));
  if (!shown.length) return [link, html("p", { cls: "nothing" }, `No process signal of ${machineName(machine)} has values around that moment.`)];
  return [link, html("div", { cls: "trends" }, ...shown.map((row) => trend({
    name: row.signal, uom: of.get(row.signal)?.uom, stepped: of.get(row.signal)?.interpolation === "stepped", points: lines.get(row.signal).map((one) => [at(one.time), one.value]),
    atStart: row.value, from, to, ...(run?.started ? { shaded: known } : {}), start: moment, end: moment, zone: zone(), moment: "that moment",
  })))];
}

async function drawPoint(query, say) {
  const { points, write } = await pointsBelow();
  const point = points.find(isChosen);
  if (!point) throw new Words("The chosen point is not on this chart: it lies in another period or belongs to other subgroups.");
  const unit = quoted(point.unit);
  const [members, excluded, measured, runs] = await Promise.all([
    readMembers(query, point),
    query(`SELECT characteristic, equipment, operation, unit, run, time, piece, reason, recorded_by FROM exclusions
      WHERE characteristic = ${quoted(state.characteristic)} AND time >= ${quoted(point.start)} AND time <= ${quoted(point.time)}`),
    point.unit === null ? [] : query(`SELECT ${MEMBER} FROM measurements WHERE unit = ${unit} ORDER BY time, characteristic, piece LIMIT ${RECORDS_SHOWN}`),
    point.unit === null ? [] : query(`SELECT equipment, operation, work_order, started, completed, result, operator FROM operations WHERE unit = ${unit} ORDER BY started LIMIT ${RECORDS_SHOWN}`),
  ]);
  const run = runs.findLast((one) => one.equipment === point.equipment && at(one.started) <= point.at && (!one.completed || at(one.completed) >= point.at));
  const signals = await drawSignals(query, point, run);
  say(describe(point, write));
  if (members.length === RECORDS_SHOWN) say(`The first ${RECORDS_SHOWN} measurements are listed.`);
  else if (!members.length || at(members.at(-1).time) !== point.at) say("The measurements have changed since the chart was drawn: press Refresh.");
  const isOwn = (row) => members.some((one) => one.characteristic === row.characteristic && one.time === row.time && one.unit === row.unit && one.equipment === row.equipment && one.piece === row.piece);
  const part = (title, ...nodes) => html("div", { cls: "part" }, html("h3", {}, title), ...nodes.flat());
  const nothing = (text) => html("p", { cls: "nothing" }, text);
  return [
    part(members.length === 1 ? "The measurement" : `The ${members.length} measurements`, html("div", { cls: "scroll", tabindex: 0, role: "group", "aria-label": "Measurements of the point" }, membersTable(members, excluded, point, write))),
    part(`All measurements of unit ${point.unit ?? NONE}`, measured.length ? html("div", { cls: "scroll", tabindex: 0, role: "group", "aria-label": "Measurements of the unit" }, table([
      ["Measured", (row) => written(row.time, EXACT)], ["Machine", (row) => machineName(row.equipment)], ["Operation", (row) => row.operation],
      ["Characteristic", (row) => row.characteristic], ["Piece", (row) => (row.piece === null ? null : String(row.piece)), "number"], ["Value", figure, "number"],
      ["Specification", (row) => limitsOf(row, asReading), "number"], ["Result", resultWord],
    ], measured, (row) => ({ data: { characteristic: row.characteristic, value: row.value }, ...(isOwn(row) ? { "data-chosen": "" } : {}) }))) : nothing(point.unit === null ? "The measurement names no unit." : "None.")),
    part(`Operations of unit ${point.unit ?? NONE}`, runs.length ? html("div", { cls: "scroll", tabindex: 0, role: "group", "aria-label": "Operations of the unit" }, table([
      ["Started", (row) => (row.started ? written(row.started, EXACT) : null)], ["Took", (row) => (row.completed ? asDuration((at(row.completed) - at(row.started)) / 1000) : "runs"), "number"],
      ["Machine", (row) => machineName(row.equipment)], ["Operation", (row) => row.operation], ["Order", (row) => row.work_order], ["Operator", (row) => row.operator], ["Result", (row) => row.result],
    ], runs, (row) => ({ data: { operation: row.operation } }))) : nothing(point.unit === null ? "The measurement names no unit." : "No operation of this unit is recorded.")),
    part("Signals around that moment", signals),
  ];
}

// ---- capability ----------------------------------------------------------------------------------

const INDICES = [
  ["cp", "Cp", "within subgroups"], ["cpk", "Cpk", "within, nearer limit"], ["pp", "Pp", "of all values"], ["ppk", "Ppk", "of all, nearer limit"], ["cpm", "Cpm", "with distance from target"],
];
const ppm = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const asPpm = (value) => (value === null ? NONE : value > 0 && value < 0.001 ? "< 0.001" : value < 1 ? String(Number(value.toFixed(3))) : ppm.format(Math.round(value * 10) / 10));
const index = (value) => (value === null ? NONE : value.toFixed(2));

async function drawCapability(query, say) {
  const [row] = await query(`SELECT * FROM ${over("capability", [...commonWords(), `distribution=${state.distribution}`])} WHERE ${named()}`);
  if (!row) throw new Words("No measurement in this period.");
  if (!row.n) throw new Words(`No capability: ${row.reason ?? "there are no numbers"}.`);
  const write = placesFor(row.sigma_overall);
  // Percentiles of another distribution have no sigma within subgroups, and so no Cp and Cpk; transformed values no Cpm.
  const lacks = (name) => row.distribution !== "normal" && row.ppk !== null && (name === "cpm" || (row.cpk === null && name.startsWith("cp")));
  const why = (name) => html("small", { cls: "why" }, lacks(name) ? "not by this method" : row.reason ?? "not known");
  const interval = (name) => (row[`${name}_low`] === null ? null : `${index(row[`${name}_low`])} – ${index(row[`${name}_high`])}`);
  const shown = row.looks_normal === "yes" ? "yes" : row.looks_normal === "no" ? "no" : "too few values to tell";
  if (row.looks_normal === "no" && state.distribution === "normal") say("The values do not look normal: the indices of the normal distribution can mislead. Choose another distribution.");
  const side = (below, above) => (below === null || above === null ? "" : ` (${asPpm(below)} below, ${asPpm(above)} above)`);
  return [
    html("div", { cls: "scroll", tabindex: 0, role: "group", "aria-label": "Indices" }, table([
      ["Index", ([, title, words]) => html("span", {}, html("b", {}, title), " ", html("small", {}, words))],
      ["Value", ([name]) => (row[name] === null ? why(name) : index(row[name])), "number"],
      ["95 % interval", ([name]) => interval(name), "number"],
    ], INDICES, ([name]) => ({ data: { index: name, value: row[name] } }))),
    listed([
      ["Values", asCount(row.n), { fact: "n", value: row.n }], ["Mean", `${write(row.mean)}${withUom()}`], ["Least … most", `${write(row.min)} … ${write(row.max)}`],
      ["Specification", `${asReading(row.lower_limit)} … ${asReading(row.upper_limit)}${row.target === null ? "" : `, target ${asReading(row.target)}`}`],
      [`Sigma within (${row.sigma_method ?? NONE})`, asReading(row.sigma_within)], ["Sigma of all", asReading(row.sigma_overall)],
      ["Outside, seen", row.observed_ppm === null ? why("ppm") : `${asPpm(row.observed_ppm)} ppm${side(row.observed_ppm_below, row.observed_ppm_above)}`],
      ["Outside, expected", row.expected_ppm === null ? why("ppm") : `${asPpm(row.expected_ppm)} ppm${side(row.expected_ppm_below, row.expected_ppm_above)}`],
      ["Looks normal", `${shown}${row.anderson_darling === null ? "" : ` (Anderson-Darling ${row.anderson_darling.toFixed(3)}, p ${row.anderson_darling_p < 0.001 ? "< 0.001" : row.anderson_darling_p.toFixed(3)})`}`, { fact: "looks_normal", value: row.looks_normal }],
      ["Method", row.method ?? NONE],
    ]),
  ];
}

async function drawSpreads(query, say) {
  const numbers = `FROM measurements WHERE ${where()} AND value IS NOT NULL`;
  const [[row], [steps], [spec]] = await Promise.all([
    query(`SELECT count(*) AS n, avg(value) AS mean, stddev(value) AS sigma, min(value) AS low, max(value) AS high ${numbers}`),
    query(`SELECT min(step) AS step FROM (SELECT value - lag(value) OVER (ORDER BY value) AS step FROM (SELECT DISTINCT value ${numbers}) AS d) AS s WHERE step > 0`),
    query(`SELECT lower_limit AS lower, upper_limit AS upper, target FROM ${over("capability", commonWords())} WHERE ${named()}`),
  ]);
  if (!row?.n) throw new Words("No numbers in this period.");
  if (row.n < 2) throw new Words("One value has no spread.");
  if (row.low === row.high) throw new Words(`All ${asCount(row.n)} values are ${asReading(row.low)}: there is no spread to draw.`);
  const each = Math.max(1, Math.floor(row.n / RANKS_SHOWN));
  const quarters = [Math.ceil(row.n / 4), Math.ceil((row.n * 3) / 4)];
  const ranked = await query(`SELECT value, rank FROM (SELECT value, row_number() OVER (ORDER BY value) AS rank ${numbers}) AS r
    WHERE rank % ${each} = 0 OR rank <= ${ENDS_SHOWN} OR rank > ${row.n - ENDS_SHOWN} OR rank IN (${quarters.join(", ")}) ORDER BY rank`);
  const [lowerQuartile, upperQuartile] = quarters.map((rank) => ranked.find((one) => one.rank === rank).value);
  const resolution = steps.step > (row.high - row.low) * 1e-9 ? steps.step : 0;
  const bins = binsOf({ ...row, lowerQuartile, upperQuartile, resolution });
  const counts = await query(`SELECT CAST(least(${bins.bins - 1}, greatest(0, floor((value - (${bins.start})) / ${bins.width}))) AS bigint) AS bin, count(*) AS count ${numbers} GROUP BY 1 ORDER BY 1`);
  const write = placesFor(row.sigma);
  say(`${asCount(row.n)} values; the curve and the line are the normal distribution of their mean ${write(row.mean)} and sigma ${asReading(row.sigma)}. Bins of ${asReading(bins.width)}${withUom()} (${bins.rule}).`);
  const limits = { lower: spec?.lower ?? null, upper: spec?.upper ?? null, target: spec?.target ?? null };
  const common = { n: row.n, mean: row.mean, sigma: row.sigma, spec: limits, write: asReading };
  return html("div", { cls: "spread-pair" },
    html("figure", { data: { bins: bins.bins, counted: counts.reduce((sum, one) => sum + one.count, 0) } }, html("figcaption", {}, "Histogram"), histogram({ counts, bins, uom: withUom(), ...common })),
    html("figure", { data: { ranked: ranked.length } }, html("figcaption", {}, "Normal probability plot"), probabilityPlot({ ranked, ...common })));
}

// ---- what people decided -------------------------------------------------------------------------

const empty = (value) => (value ?? "") === "";
const scope = (row) => OF.filter((name) => !empty(row[name])).map((name) => nameOf[name](row[name])).join(", ") || "everywhere";
const heldBy = (table) => OF.filter((name) => state[name] !== ALL && !(table === "exclusions" && name === "product"))
  .map((name) => `coalesce(${name}, '') IN ('', ${quoted(state[name])})`).join(" AND ") || "true";

async function drawFrozen(query, say) {
  const columns = "chart, equipment, product, operation, valid_from, centre, sigma, subgroup, subgroups, rules, approved_by, reason, recorded, recorded_by";
  const [rows, older] = await Promise.all([
    query(`SELECT characteristic, ${columns} FROM control_limits WHERE characteristic = ${quoted(state.characteristic)} AND ${heldBy("control_limits")} ORDER BY valid_from DESC, chart LIMIT ${RECORDS_SHOWN}`),
    query(`SELECT ${columns}, superseded, superseded_by, superseded_reason FROM control_limits_history
      WHERE characteristic = ${quoted(state.characteristic)} AND ${heldBy("control_limits")} AND NOT coalesce(deleted, false) ORDER BY superseded DESC LIMIT ${RECORDS_SHOWN}`),
  ]);
  if (!rows.length && !older.length) throw new Words("No limits are frozen: each chart estimates its own from the period it shows. “Freeze limits” above the chart keeps those shown.");
  say(`A chart uses those of its kind, each from its time on${state.limits === "own" ? "; this one uses none, as chosen" : ""}.`);
  const take = (row) => {
    if (row.superseded) return html("small", {}, `until ${written(row.superseded, SHORT)}, replaced by ${row.superseded_by ?? NONE}${row.superseded_reason ? `: ${row.superseded_reason}` : ""}`);
    const button = html("button", { type: "button", cls: "small", data: { act: "withdraw" } }, "Withdraw …");
    button.onclick = () => withdraw(row);
    return button;
  };
  return table([
    ["Valid from", (row) => written(row.valid_from, FULL)], ["Chart", (row) => CHARTS[row.chart]?.name ?? row.chart], ["Centre", (row) => (CHARTS[row.chart]?.isValue ? placesFor(row.sigma)(row.centre) : asReading(row.centre)), "number"],
    ["Sigma", (row) => asReading(row.sigma), "number"], ["From", (row) => (row.subgroups ? `${asCount(row.subgroups)} subgroups` : NONE)], ["Why", (row) => row.reason, "wide"], ["Approved by", (row) => row.approved_by],
    ["Recorded", (row) => written(row.recorded, FULL)], ["By", (row) => row.recorded_by], ["For", scope, "wide"], ["", take],
  ], [...rows, ...older], (row) => ({ data: { frozen: row.superseded ? null : row.valid_from, superseded: row.superseded } }));
}

async function drawExclusions(query, say) {
  const rows = await query(`SELECT characteristic, equipment, operation, unit, run, time, piece, reason, recorded, recorded_by FROM exclusions
    WHERE characteristic = ${quoted(state.characteristic)} AND ${heldBy("exclusions")}${inPeriod()} ORDER BY time DESC LIMIT ${RECORDS_SHOWN}`);
  if (!rows.length) throw new Words("No measurement in this period is excluded. Choose a point to exclude one, with a reason.");
  say("They are charted and judged; limits are not estimated from them.");
  const back = (row) => {
    const button = html("button", { type: "button", cls: "small", data: { act: "include" } }, "Take back …");
    button.onclick = () => include(row);
    return button;
  };
  return table([
    ["Measured", (row) => written(row.time, EXACT)], ["Unit", (row) => row.unit], ["Piece", (row) => (row.piece === null ? "all" : String(row.piece))], ["Why", (row) => row.reason, "wide"],
    ["Recorded", (row) => written(row.recorded, FULL)], ["By", (row) => row.recorded_by], ["", back],
  ], rows, (row) => ({ data: { exclusion: row.time } }));
}

// ---- deciding ------------------------------------------------------------------------------------

const para = (...nodes) => html("p", {}, ...nodes);

/** Says above the chart what was done, or what could not be. */
function tell(text, tone) {
  byId("done").hidden = false;
  mark(byId("done"), "tone", tone);
  put(byId("done"), text);
  byId("done").scrollIntoView({ block: "nearest" });
}

/** Says what was recorded, and asks everything again. */
async function recorded(text) {
  tell(text, "good");
  await show(true);
}

async function freeze() {
  const local = zone();
  let row = null;
  try {
    [row] = await ask(`SELECT * FROM ${over("spc_limits", chartWords())} WHERE ${named()}`);
  } catch (error) {
    return fail(error);
  }
  if (row?.mean === undefined || row.mean === null || row.sigma === null) return fail(new Words(`There are no limits to freeze: ${row?.reason ?? "no measurements"}.`));
  if (row.limits?.startsWith("frozen")) return fail(new Words("The limits that hold now are frozen already. To freeze new ones, choose “Limits: estimated from these values” first."));
  const write = view?.write ?? placesFor(row.sigma);
  act({
    title: `Freeze limits of ${state.characteristic}`,
    verb: "Freeze them",
    text: [
      para(`${chart().name}: mean ${write(row.mean)}, sigma ${asReading(row.sigma)}, ${inZone(row.limits)}; limits ${write(row.lcl)} … ${write(row.ucl)}.`),
      para(`For ${OF.map((name) => (state[name] === ALL ? `every ${name}` : empty(state[name]) ? `every ${name}` : nameOf[name](state[name]))).join(", ")}. From then on they judge every point of this chart, on every page and in SQL, until a later version.`),
    ],
    fields: [
      { name: "valid_from", label: "Valid from", type: "datetime-local", value: asWall(local, Date.now()), hint: `local time, ${local}` },
      { name: "approved_by", label: "Approved by" },
      { name: "reason", label: "Reason", type: "long" },
    ],
    table: "control_limits",
    rows: async ({ valid_from, approved_by, reason }) => {
      const [{ time }] = await ask(`SELECT ${timeSql(valid_from, "Valid from", local)} AS time`);
      const named = Object.fromEntries(OF.map((name) => [name, state[name] === ALL ? "" : state[name]]));
      const numbers = Object.fromEntries(Object.keys(chart().parameters ?? {}).filter((name) => state[name]).map((name) => [name, Number(state[name])]));
      return [{
        characteristic: state.characteristic, ...named, chart: state.chart, valid_from: time, centre: row.mean, sigma: row.sigma, pooled_sigma: row.pooled_sigma,
        ...(row.companion ? { companion: row.companion } : {}), ...numbers, subgroup: subgroup() ?? "1", subgroups: row.estimated_from, rules: row.rules, approved_by, reason,
      }];
    },
    done: ({ valid_from }) => recorded(`Limits are frozen from ${valid_from.replace("T", " ")}.`),
  });
}

function withdraw(row) {
  const key = Object.fromEntries(["characteristic", ...OF, "chart", "valid_from"].map((name) => [name, row[name]]));
  act({
    title: "Withdraw frozen limits",
    verb: "Withdraw them",
    text: [para(`${CHARTS[row.chart]?.name ?? row.chart} of ${row.characteristic}, valid from ${written(row.valid_from, FULL)}: ${row.reason}. Points since then will be judged by the version before, or by limits of their own. Its history stays.`)],
    fields: [{ name: "reason", label: "Why", type: "long" }],
    table: "control_limits",
    rows: ({ reason }) => [{ ...key, deleted: true, change_reason: reason }],
    done: () => recorded("The frozen limits are withdrawn."),
  });
}

const exclusionKey = (row) => Object.fromEntries(["characteristic", ...EXCLUSION_NAMES, "time", "piece"].map((name) => [name, row[name]]));

function exclude(row) {
  act({
    title: "Exclude a measurement",
    verb: "Exclude it",
    text: [
      para(`${state.characteristic} ${figure(row)}${withUom()} of unit ${row.unit ?? NONE}${row.piece === null ? "" : `, piece ${row.piece}`}, measured ${written(row.time, EXACT)}.`),
      para("It stays on the chart and is judged, but limits are no longer estimated from its subgroup. Frozen limits do not move."),
    ],
    fields: [{ name: "reason", label: "Reason", type: "long" }],
    table: "exclusions",
    rows: ({ reason }) => [{ ...exclusionKey(row), reason }],
    done: () => recorded("The measurement is excluded; limits are estimated without its subgroup."),
  });
}

function include(row) {
  act({
    title: "Take an exclusion back",
    verb: "Take it back",
    text: [para(`Unit ${row.unit ?? NONE}, measured ${written(row.time, EXACT)}: “${row.reason}”. Limits will be estimated from it again.`)],
    fields: [{ name: "reason", label: "Why", type: "long", required: false }],
    table: "exclusions",
    rows: ({ reason }) => [{ ...exclusionKey(row), deleted: true, ...(reason ? { change_reason: reason } : {}) }],
    done: () => recorded("The exclusion is taken back."),
  });
}

/** What could not be done is said where it would have been said that it was. */
async function fail(error) {
  if (error instanceof LoginNeeded) {
    await askLogin(error.message, byId("panels"));
    return;
  }
  tell(error instanceof Words ? error.message : advice(error), "bad");
}

async function download() {
  try {
    const response = await request("/api/v1/sql?format=csv", {
      method: "POST", body: `SELECT ${COLUMNS} FROM ${over("spc", chartWords())} WHERE ${named()} ORDER BY point`, headers: { "Content-Type": "application/sql", Accept: "text/csv" },
    });
    const address = URL.createObjectURL(await response.blob());
    const name = `spc_${[state.characteristic, state.chart, written(span.now, { dateStyle: "short" })].join("_")}`.replaceAll(/[^\p{L}\p{N}_-]+/gu, "-");
    html("a", { href: address, download: `${name}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  } catch (error) {
    fail(error);
  }
}

// ---- the page ------------------------------------------------------------------------------------

panel("chart-panel", base, drawChart);
panel("used", base, drawUsed);
panel("violations", base, drawViolations);
panel("point", () => [...base(), state.at, state.nth], drawPoint);
panel("capability", () => [...base().slice(0, 4), commonWords(), state.distribution, span?.from, span?.to, span?.now], drawCapability);
panel("spreads", () => [...base().slice(0, 4), commonWords(), span?.from, span?.to, span?.now], drawSpreads);
panel("frozen", () => [...base().slice(0, 4), state.limits, span?.now], drawFrozen);
panel("exclusions", () => [...base().slice(0, 4), span?.from, span?.to, span?.now], drawExclusions);

function showOptions(list, options, value) {
  list.replaceChildren(...options.map(([code, text]) => html("option", { value: code }, text)));
  list.value = value;
}

function showCharacteristics() {
  const names = [...plant.measured.keys()];
  byId("search-label").hidden = names.length <= MANY;
  const part = byId("search").value.trim().toLowerCase();
  const found = names.filter((name) => name.toLowerCase().includes(part) || name === state.characteristic);
  showOptions(byId("characteristic"), found.map((name) => [name, name]), state.characteristic ?? "");
}

function showControls() {
  showCharacteristics();
  for (const name of OF) {
    const others = OF.filter((other) => other !== name);
    const reachable = (row) => others.every((other) => state[other] === undefined || state[other] === ALL || row[other] === state[other]);
    const values = [...new Set(combinations().map((row) => row[name]))].toSorted();
    const here = new Set(combinations().filter(reachable).map((row) => row[name]));
    const options = values.map((value) => [value, `${value === "" ? WORDS_OF_EMPTY[name] : nameOf[name](value)}${here.has(value) ? "" : " (with others)"}`]);
    showOptions(byId(name), values.length > 1 || state[name] === ALL ? [...options, [ALL, "all on one chart"]] : options, state[name] ?? "");
  }
  const { subgroup: by } = state;
  const isSize = by !== undefined && /^\d+$/.test(by);
  const automatic = { ...state, subgroup: undefined };
  const kept = state;
  state = automatic;
  const words = combinations().length ? subgroupWords() : "";
  state = kept;
  const options = [["", `automatic: ${words}`], ...Object.entries(SUBGROUPS)];
  if (by && !isSize && !(by in SUBGROUPS)) options.push([by, by]);
  showOptions(byId("subgroup"), options, isSize ? "size" : by ?? "");
  byId("size-label").hidden = !isSize;
  if (isSize) byId("size").value = by;
  for (const name of ["chart", "limits", "distribution", "period"]) byId(name).value = state[name] ?? "";
  const known = [...byId("rules").options].some((option) => option.value === state.rules && option.value !== "own");
  byId("rules").value = known ? state.rules : "own";
  byId("own-rules-label").hidden = known;
  if (!known) byId("own-rules").value = state.rules;
  byId("phase").value = state.phase ?? "";
  byId("spec").checked = state.spec === "1" && Boolean(chart().isValue);
  byId("spec").disabled = !chart().isValue;
  const parameters = Object.entries(chart().parameters ?? {});
  byId("parameters").replaceChildren(...parameters.map(([name, [title, usual]]) => html("label", {}, title, html("input", { type: "number", step: "any", min: 0, name, placeholder: usual, value: state[name] ?? "" }))));
  showCustom(state.period === "custom");
  put(byId("show"), state.period === "custom" ? "Show" : "Refresh");
  if (!span || state.period !== "custom") return;
  byId("from").value = asWall(zone(), at(span.from));
  byId("to").value = asWall(zone(), at(span.to));
}

/** Fields that are hidden are disabled too: else the browser asks for them and the form does nothing. */
function showCustom(shown) {
  byId("custom").hidden = !shown;
  byId("custom").disabled = !shown;
}

function trouble(text) {
  byId("choice-trouble").hidden = !text;
  put(byId("choice-trouble"), text ?? "");
  byId("panels").hidden = Boolean(text);
}

function showTitle() {
  const titles = [state.characteristic, ...OF.map((name) => (state[name] === ALL ? `every ${name}` : state[name] === "" ? null : nameOf[name](state[name])))].filter(Boolean);
  document.title = `${state.characteristic} · SPC`;
  put(byId("title"), `SPC · ${state.characteristic}`);
  const times = span.from ? `${written(span.from, { weekday: "short", ...SHORT })} – ${written(span.to, { weekday: "short", ...SHORT })}` : "all there is";
  put(byId("window"), `${titles.join(" · ")} · ${chart().name} · ${times}${span.shift ? ` · shift ${span.shift}` : ""} · ${zone()}`);
  mark(byId("window"), "from", span.from ?? "");
  mark(byId("window"), "to", span.to ?? "");
  put(byId("as-of"), `as of ${written(span.now, { hour: "2-digit", minute: "2-digit", second: "2-digit" })}`);
  put(byId("chart-title"), `${chart().name} chart of ${state.characteristic}${plottedUom() && ` in${plottedUom()}`}`);
  const machine = plant.equipment.has(state.equipment) ? state.equipment : null;
  byId("to-oee").href = machine ? oeeAddress(machine) : "/oee";
  byId("to-stops").href = machine ? stopsAddress(machine) : "/stops";
}

let turn = 0;
let spanKey = null;

/** Brings the page to what is chosen. `anew` asks everything again. */
async function show(anew = false) {
  const mine = (turn += 1);
  document.body.setAttribute("aria-busy", "true");
  try {
    if (!plant.measured.size || anew) await readPlant();
    if (mine !== turn) return;
    settleChoice();
    const key = JSON.stringify([state.equipment, state.period, state.from, state.to]);
    if (key !== spanKey || anew || !span) {
      const found = await readSpan();
      if (mine !== turn) return;
      [span, spanKey] = [found, key];
    }
    trouble(null);
    showControls();
    showTitle();
    byId("point").hidden = !state.at;
    present();
    const wanted = [...panels.values()].filter((part) => !part.section.hidden);
    await Promise.all(wanted.map((part) => draw(part, present)));
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

const swatch = (cls, path) => svg("svg", { viewBox: "0 0 16 16", class: "swatch-mark" }, svg("path", { class: `mark ${cls}`, d: path }));
byId("legend").replaceChildren(
  html("span", {}, swatch("mark-limit", SHAPES.limit.path(8, 8, 6)), SHAPES.limit.words),
  html("span", {}, swatch("mark-pattern", SHAPES.pattern.path(8, 8, 6)), SHAPES.pattern.words),
  html("span", {}, swatch("mark-excluded", SHAPES.excluded.path(8, 8, 4)), SHAPES.excluded.words),
  html("span", {}, html("i", { cls: "swatch swatch-1", "aria-hidden": "true" }), "within 1 sigma"),
  html("span", {}, html("i", { cls: "swatch swatch-2", "aria-hidden": "true" }), "within 2 sigma"));

byId("characteristic").onchange = () => go({ ...away, characteristic: byId("characteristic").value, equipment: undefined, product: undefined, operation: undefined });
byId("search").oninput = showCharacteristics;
byId("search").onkeydown = (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  const part = byId("search").value.trim().toLowerCase();
  const [first] = [...plant.measured.keys()].filter((name) => name.toLowerCase().includes(part));
  if (part && first) go({ ...away, characteristic: first, equipment: undefined, product: undefined, operation: undefined });
};
for (const name of OF) {
  byId(name).onchange = () => {
    const choice = { equipment: state.equipment, product: state.product, operation: state.operation, [name]: byId(name).value };
    // What was not measured together gives way to what is chosen now.
    const possible = combinations().some((row) => fits(row, choice));
    go({ ...away, ...(possible ? choice : { equipment: undefined, product: undefined, operation: undefined, [name]: byId(name).value }) });
  };
}
byId("period").onchange = () => {
  const period = byId("period").value;
  if (period !== "custom") return go({ ...away, period, from: undefined, to: undefined });
  showCustom(true);
  put(byId("show"), "Show");
  if (span) {
    const [from, to] = [span.from ?? new Date(at(span.now) - DAY_MS).toISOString(), span.to ?? span.now];
    byId("from").value = asWall(zone(), at(from));
    byId("to").value = asWall(zone(), Math.min(at(to), Math.max(at(span.now), at(from) + 60000)));
  }
  byId("from").focus();
};
byId("chart").onchange = () => go({ ...away, chart: byId("chart").value });
byId("subgroup").onchange = () => {
  const by = byId("subgroup").value;
  if (by !== "size") return go({ ...away, subgroup: by || undefined });
  go({ ...away, subgroup: "5" }).then(() => byId("size").focus());
};
byId("size").onchange = () => byId("size").reportValidity() && go({ ...away, subgroup: byId("size").value });
byId("rules").onchange = () => {
  if (byId("rules").value !== "own") return go({ rules: byId("rules").value });
  byId("own-rules-label").hidden = false;
  byId("own-rules").value = "N1,N2";
  byId("own-rules").focus();
};
byId("own-rules").onchange = () => byId("own-rules").value.trim() && go({ rules: byId("own-rules").value.trim() });
byId("phase").onchange = () => byId("phase").reportValidity() && go({ phase: byId("phase").value || undefined });
byId("limits").onchange = () => go({ limits: byId("limits").value });
byId("parameters").onchange = (event) => event.target.reportValidity() && go({ [event.target.name]: event.target.value || undefined });
byId("distribution").onchange = () => go({ distribution: byId("distribution").value });
byId("spec").onchange = () => go({ spec: byId("spec").checked ? "1" : undefined });
byId("choice").onsubmit = (submitted) => {
  submitted.preventDefault();
  const [from, to] = [byId("from").value, byId("to").value];
  const custom = byId("period").value === "custom";
  // What was not touched stays the very instant: the fields show minutes only.
  const touched = custom && !(span && state.period === "custom" && from === asWall(zone(), at(span.from)) && to === asWall(zone(), at(span.to)));
  byId("done").hidden = true;
  if (touched) go({ ...away, period: "custom", from, to });
  else show(true);
};
byId("zoom-in").onclick = () => view?.drawing.scale(0.5);
byId("zoom-out").onclick = () => view?.drawing.scale(2);
byId("earlier").onclick = () => view?.drawing.shift(-1);
byId("later").onclick = () => view?.drawing.shift(1);
byId("zoom-reset").onclick = () => view && go({ zoom_from: undefined, zoom_to: undefined });
byId("flag-before").onclick = () => view?.drawing.nextFlag(-1);
byId("flag-after").onclick = () => view?.drawing.nextFlag(1);
byId("freeze").onclick = freeze;
byId("csv").onclick = download;
byId("print").onclick = () => print();
offerReports(document.querySelectorAll("[data-report]"), () => {
  const names = ["characteristic", ...OF, "chart", "rules", "limits", "distribution", ...NUMBERS];
  const said = names.filter((name) => state[name] !== undefined).map((name) => [name, state[name]]);
  const more = { subgroup: subgroup(), from: span?.from, to: span?.to };
  return `/report/spc?${new URLSearchParams([...said, ...Object.entries(more).filter(([, value]) => value)])}`;
}, fail);
byId("point-close").onclick = () => go({ at: undefined, nth: undefined });
addEventListener("beforeprint", () => view?.drawing.paper(PAPER));
addEventListener("afterprint", () => view?.drawing.paper(null));
addEventListener("popstate", () => {
  readAddress();
  show();
});

readAddress();
show();

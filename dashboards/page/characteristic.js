// What is charted: a characteristic as it was measured at a machine, of a product, at an operation; on which chart and
// in which subgroups. What of it the address leaves open is chosen here, and it is said in SQL and in words.

import { NONE, ask, asReading, quoted } from "/session.js";
import { FULL, at, machineName, machinesOf, span, state, written } from "/choice.js";
import { Words } from "/panel.js";

const DAY_MS = 86400000;
export const OF = ["equipment", "product", "operation"];
export const ALL = "*";  // values of all machines, products or operations on one chart

export const CHARTS = {
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
  short_run_deviation: { name: "Short run, deviation", main: "X − nominal", ofProducts: true, inUom: true },
  short_run_z: { name: "Short run, Z", main: "Z", ofProducts: true },
};
export const SUBGROUPS = {
  size: "values in a row …", "15 minutes": "15 minutes", "1 hour": "1 hour", shift: "shift", day: "production day", work_order: "work order",
  subgroup: "as recorded (subgroup)", unit: "unit", run: "execution", operator: "operator", gauge: "gauge", piece: "piece (cavity)",
};

export const plant = { equipment: new Map(), products: new Map(), uoms: [], frozen: [], measured: new Map(), now: null };

// ---- what was measured ---------------------------------------------------------------------------

export async function readPlant() {
  const [equipment, products, uoms, measured, frozen] = await Promise.all([
    ask("SELECT equipment, name, zone, calendar FROM equipment ORDER BY equipment"),
    ask("SELECT product, max(name) AS name FROM products GROUP BY product"),
    ask("SELECT characteristic, product, operation, uom FROM characteristics ORDER BY characteristic, product, operation"),
    ask(`SELECT characteristic, coalesce(equipment, '') AS equipment, coalesce(product, '') AS product, coalesce(operation, '') AS operation,
        count(*) AS n, count(value) AS numbers, count(subgroup) AS subgroups, min(time) AS first, max(time) AS last, now() AS now
      FROM measurements GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`),
    ask(`SELECT characteristic, equipment, product, operation, chart, subgroup FROM control_limits WHERE subgroup <> '' ORDER BY valid_from DESC`),
  ]);
  plant.equipment = machinesOf(equipment);
  plant.products = new Map(products.map((row) => [row.product, row.name]));
  plant.uoms = uoms;
  plant.frozen = frozen;
  plant.measured = Map.groupBy(measured, (row) => row.characteristic);
  plant.now = measured[0]?.now ?? null;
}

export const combinations = () => plant.measured.get(state.characteristic) ?? [];
export const fits = (row, choice) => OF.every((name) => choice[name] === undefined || choice[name] === ALL || row[name] === choice[name]);
export const chosenRows = () => combinations().filter((row) => fits(row, state));
export const recent = (rows) => rows.reduce((best, row) => (best === null || at(row.last) > at(best.last) ? row : best), null);

/** Chooses what the address leaves open: the first characteristic, and of it what was measured last. */
export function settle() {
  if (!plant.measured.size) throw new Words("Nothing has been measured yet. Charts are drawn of the table measurements: send rows to it, by MQTT or HTTP.");
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
  // A short-run chart brings products together; they have their nominals.
  if (chart().ofProducts) state.product ??= ALL;
  for (const name of OF) state[name] ??= found[name];
  state.period ??= at(found.last) > at(plant.now) - DAY_MS ? "day" : "all";
}

/** The window of a period that is no shift. */
export async function readBack() {
  const back = { day: "24 hours", week: "7 days", month: "30 days" }[state.period];
  const [row] = await ask(back ? `SELECT now() - interval '${back}' AS "from", now() AS "to", now() AS now` : `SELECT NULL AS "from", NULL AS "to", now() AS now`);
  return row;
}

// ---- the chart and its subgroups -----------------------------------------------------------------

export const chart = () => CHARTS[state.chart];

/** The subgroups of a chart where none are chosen: those of its newest frozen limits, else as recorded, else what it needs; null: each value by itself. */
function usualSubgroup() {
  if (state.chart === "i_mr") return null;
  const judges = (row) => row.characteristic === state.characteristic && row.chart === state.chart && OF.every((name) => (row[name] ?? "") === "" || row[name] === state[name]);
  const frozen = state.limits !== "own" && plant.frozen.find(judges);
  if (frozen) return frozen.subgroup;
  return chosenRows().some((row) => row.subgroups > 0) ? "subgroup" : chart().size ?? null;
}
/** How values become subgroups. */
export const subgroup = () => state.subgroup || usualSubgroup();

function wordsOf(by) {
  if (by === null) return "each value by itself";
  if (/^\d+$/.test(by)) return `${by} values in a row`;
  return by === "subgroup" ? "as recorded" : `by ${SUBGROUPS[by] ?? by}`;
}
export const subgroupWords = () => wordsOf(subgroup());
export const usualWords = () => wordsOf(usualSubgroup());

// ---- in SQL --------------------------------------------------------------------------------------

/** What is charted, as a condition on `measurements` and on the functions over them. */
export function named() {
  const said = OF.filter((name) => state[name] !== ALL).map((name) => (state[name] === "" ? `(${name} IS NULL OR ${name} = '')` : `${name} = ${quoted(state[name])}`));
  return [`characteristic = ${quoted(state.characteristic)}`, ...said].join(" AND ");
}

/** The period, as a condition that goes on one of `named`. */
export const inPeriod = () => (span.from ? ` AND time >= ${quoted(span.from)} AND time < ${quoted(span.to)}` : "");
/** The rows of `measurements` that are charted, as a condition. */
export const where = () => named() + inPeriod();
/** A function over them, in FROM. Its window is an argument: a condition on time would drop the row that says why there is none. */
export const over = (name, words) => `${name}(${[...words, ...(span.from ? [span.from, span.to] : [])].map(quoted).join(", ")})`;

export const commonWords = () => {
  const by = OF.some((name) => state[name] === ALL) && `by=${["characteristic", ...OF.filter((name) => state[name] !== ALL)].join(",")}`;
  return [by, subgroup() !== null && `subgroup=${subgroup()}`].filter(Boolean);
};

export function chartWords() {
  const numbers = Object.keys(chart().parameters ?? {}).filter((name) => state[name]).map((name) => `${name}=${state[name]}`);
  const phase = state.phase && `phase_i=${state.phase}`;
  const limits = state.limits === "own" && "limits=own";
  return [state.chart, ...commonWords(), `rules=${state.rules}`, phase, limits, ...numbers].filter(Boolean);
}

// ---- in words ------------------------------------------------------------------------------------

const productName = (code) => (plant.products.get(code) ? `${code} · ${plant.products.get(code)}` : code);
export const nameOf = { equipment: machineName, product: productName, operation: (code) => code };

/** The unit of measure of the characteristic. */
function uom() {
  const said = (value, is) => (value ?? "") === "" || value === is;
  const found = plant.uoms.filter((row) => row.characteristic === state.characteristic && said(row.product, state.product) && said(row.operation, state.operation) && row.uom);
  return found.at(-1)?.uom ?? "";
}
export const withUom = () => (uom() ? ` ${uom()}` : "");
/** The same of what is plotted: of counts and sums it is none. */
/** Whether values of several products, each with its own specification, are on the chart. */
export const mixesProducts = () => Boolean(chart().ofProducts) && state.product === ALL;
export const plottedUom = () => (chart().isValue || chart().inUom ? withUom() : "");

/** Writes values with as many places as their spread, `sigma`, deserves. */
export function placesFor(sigma) {
  const places = sigma > 0 ? Math.min(10, Math.max(0, 2 - Math.floor(Math.log10(sigma)))) : 3;
  const format = new Intl.NumberFormat("en", { maximumFractionDigits: places, minimumFractionDigits: places, useGrouping: false });
  return (value) => (value === null || value === undefined ? NONE : format.format(value));
}

/** What was measured: a number, or words. */
export const figure = (row) => (row.value === null ? row.text ?? row.result : asReading(row.value));

const INSTANTS = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g;
/** Times in a text of the server, in the plant's zone. */
export const inZone = (text) => text.replace(INSTANTS, (instant) => written(instant, FULL));

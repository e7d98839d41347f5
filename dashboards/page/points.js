// The points of the control chart, asked for once for all panels, and what is said of one of them.

import { LoginNeeded, NONE, ask, asCount } from "/session.js";
import { EXACT, FULL, SHORT, at, span, state, written } from "/choice.js";
import { OF, chart, chartWords, chosenRows, named, over, placesFor, recent, subgroupWords } from "/characteristic.js";
import { Words } from "/panel.js";

const POINTS_SHOWN = 10000;
export const COLUMNS = `time, start, equipment, product, operation, work_order, unit, operator, gauge, point, subgroup, n, value, centre, lcl, ucl, sigma, z,
  companion, companion_value, companion_centre, companion_lcl, companion_ucl, phase, excluded, violated, rules, message,
  lower_limit, upper_limit, target, limits, reason`;
const OF_COMPANION = /^(R|S|MR|C-) limits$/;

/** What the points depend on. */
export const base = () => [state.characteristic, ...OF.map((name) => state[name]), chartWords(), span?.from, span?.to, span?.now];
/** Whether two texts are the same instant, to the microsecond: an address may write it shorter. */
const sameInstant = (one, other) => one === other || [one, other].map((text) => text.replace(/(\.\d*?)0+Z$/, "$1Z").replace(".Z", "Z")).reduce((a, b) => a === b);
export const isChosen = (point) => sameInstant(point.time, state.at) && point.nth === Number(state.nth ?? 1);

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

/** Writes values of the chart. */
function writer(points) {
  const known = points.find((point) => point.sigma > 0)?.sigma ?? points.find((point) => point.ucl > point.centre && point.ucl !== null)?.ucl / 3;
  return placesFor(known || Math.max(...points.slice(0, 100).map((point) => Math.abs(point.value ?? 0))) / 100);
}

let read = { key: null, points: null };

/** The points of the chart, asked for once for all panels. */
export function pointsOf() {
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
export async function pointsBelow() {
  try {
    return await pointsOf();
  } catch (error) {
    if (error instanceof LoginNeeded) throw error;
    throw new Words("There is no chart.");
  }
}

const facts = (point) => [
  `unit ${point.unit ?? NONE}`, point.work_order && `order ${point.work_order}`, point.operator && `operator ${point.operator}`, point.subgroup && `subgroup ${point.subgroup}`, point.n > 1 && `${point.n} values`,
].filter(Boolean).join(" · ");

/** A point in words, its values as `write` writes them. */
export function describe(point, write) {
  return [
    `No. ${point.point} · ${written(point.time, EXACT)} · ${chart().main} ${write(point.value)}${point.z === null ? "" : ` (z ${point.z.toFixed(2)})`}`,
    point.companion_value !== null && `${point.companion} ${write(point.companion_value)}`, facts(point), point.excluded && "excluded from limits", point.message && `${point.rules}: ${point.message}`, point.reason,
  ].filter(Boolean).join(" · ");
}

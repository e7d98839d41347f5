// What people decide about a chart: limits that are frozen, and measurements that are excluded. Each is recorded with a
// reason, and can be taken back with another.

import { LoginNeeded, NONE, ask, asCount, askLogin, asReading, byId, html, mark, put, quoted } from "/session.js";
import { act } from "/act.js";
import { asWall } from "/chart.js";
import { EXACT, FULL, SHORT, at, show, state, written, zone } from "/choice.js";
import {
  ALL, CHARTS, OF, chart, chartWords, figure, inPeriod, inZone, nameOf, named, over, placesFor, subgroup, withUom,
} from "/characteristic.js";
import { Words, advice, table, timeSql } from "/panel.js";

const DECISIONS_SHOWN = 200;

// ---- what is decided -----------------------------------------------------------------------------

const empty = (value) => (value ?? "") === "";
const scope = (row) => OF.filter((name) => !empty(row[name])).map((name) => nameOf[name](row[name])).join(", ") || "everywhere";
const heldBy = (table) => OF.filter((name) => state[name] !== ALL && !(table === "exclusions" && name === "product"))
  .map((name) => `coalesce(${name}, '') IN ('', ${quoted(state[name])})`).join(" AND ") || "true";

export async function drawFrozen(query, say) {
  const columns = "chart, equipment, product, operation, valid_from, centre, sigma, subgroup, subgroups, rules, approved_by, reason, recorded, recorded_by";
  const [rows, older] = await Promise.all([
    query(`SELECT characteristic, ${columns} FROM control_limits WHERE characteristic = ${quoted(state.characteristic)} AND ${heldBy("control_limits")} ORDER BY valid_from DESC, chart LIMIT ${DECISIONS_SHOWN}`),
    query(`SELECT ${columns}, superseded, superseded_by, superseded_reason FROM control_limits_history
      WHERE characteristic = ${quoted(state.characteristic)} AND ${heldBy("control_limits")} AND NOT coalesce(deleted, false) ORDER BY superseded DESC LIMIT ${DECISIONS_SHOWN}`),
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

export async function drawExclusions(query, say) {
  const rows = await query(`SELECT characteristic, equipment, operation, unit, run, time, piece, reason, recorded, recorded_by FROM exclusions
    WHERE characteristic = ${quoted(state.characteristic)} AND ${heldBy("exclusions")}${inPeriod()} ORDER BY time DESC LIMIT ${DECISIONS_SHOWN}`);
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

const EXCLUSION_NAMES = ["equipment", "operation", "unit", "run"];
/** Whether an exclusion is about a measurement: what it does not name may be anything. */
export const isAbout = (exclusion, row) =>
  at(exclusion.time) === at(row.time) && (exclusion.piece === null || exclusion.piece === (row.piece ?? 1)) && EXCLUSION_NAMES.every((name) => !exclusion[name] || exclusion[name] === row[name]);

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

/** What could not be done is said where it would have been said that it was. */
export async function fail(error) {
  if (error instanceof LoginNeeded) {
    await askLogin(error.message, byId("panels"));
    return;
  }
  tell(error instanceof Words ? error.message : advice(error), "bad");
}

/** Freezes the limits of the chart. `writer` gives what writes values of the drawing, where there is one. */
export async function freeze(writer) {
  const local = zone();
  let row = null;
  try {
    [row] = await ask(`SELECT * FROM ${over("spc_limits", chartWords())} WHERE ${named()}`);
  } catch (error) {
    return fail(error);
  }
  if (row?.mean === undefined || row.mean === null || row.sigma === null) return fail(new Words(`There are no limits to freeze: ${row?.reason ?? "no measurements"}.`));
  if (row.limits?.startsWith("frozen")) return fail(new Words("The limits that hold now are frozen already. To freeze new ones, choose “Limits: estimated from these values” first."));
  const write = writer() ?? placesFor(row.sigma);
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

export function exclude(row) {
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

export function include(row) {
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

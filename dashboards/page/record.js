// The record of one point of the chart: the measurements it is made of, what else was measured of its unit and where that
// was worked on, and the signals of the machine then.

import { NONE, asReading, html, oeeAddress, quoted, timeFormat } from "/session.js";
import { asDuration, trend } from "/chart.js";
import { EXACT, at, machineName, state, written, zone } from "/choice.js";
import { chart, figure, subgroup, where } from "/characteristic.js";
import { exclude, include, isAbout } from "/decision.js";
import { Words, table } from "/panel.js";
import { describe, isChosen, pointsBelow } from "/points.js";

const RECORDS_SHOWN = 200;
const SIGNALS_SHOWN = 8;
const AROUND_MS = 60000; // signals around a measurement whose execution is not known
const COLUMNS_OF_SUBGROUPS = ["unit", "work_order", "product", "operation", "operator", "gauge", "subgroup", "run", "piece", "equipment"];
const MEMBER = "time, unit, operation, equipment, product, characteristic, value, text, result, lower_limit, upper_limit, operator, gauge, work_order, run, piece";

/** The measurements that a point is made of, in the order of production. */
function readMembers(query, point) {
  const usable = chart().failures ? "(value IS NOT NULL OR result IN ('pass', 'fail'))" : "value IS NOT NULL";
  const all = `FROM measurements WHERE ${where()} AND ${usable}`;
  const within = `time >= ${quoted(point.start)} AND time <= ${quoted(point.time)}`;
  const by = subgroup() ?? "1";
  const column = by === "piece" ? "CAST(coalesce(piece, 1) AS varchar)" : by;
  if (COLUMNS_OF_SUBGROUPS.includes(by)) return query(`SELECT ${MEMBER} ${all} AND ${within} AND ${column} = ${quoted(point.subgroup)} ORDER BY time, piece LIMIT ${RECORDS_SHOWN}`);
  if (!/^\d+$/.test(by)) return query(`SELECT ${MEMBER} ${all} AND ${within} ORDER BY time, piece LIMIT ${RECORDS_SHOWN}`);
  // So many in a row: counted from the first value of the period, as the server does.
  const size = Number(by);
  return query(`SELECT ${MEMBER} FROM (
      SELECT ${MEMBER}, row_number() OVER (ORDER BY time, coalesce(piece, 1), unit NULLS FIRST, run NULLS FIRST)
        + (SELECT count(*) ${all} AND time < ${quoted(point.start)}) AS place ${all} AND ${within}) AS t
    WHERE place > ${(point.point - 1) * size} AND place <= ${point.point * size} ORDER BY place`);
}

function limitsOf(row, write) {
  if (row.lower_limit === null && row.upper_limit === null) return null;
  return `${write(row.lower_limit)} … ${write(row.upper_limit)}`;
}

const OUTSIDE = (row) => row.value !== null && ((row.lower_limit !== null && row.value < row.lower_limit) || (row.upper_limit !== null && row.value > row.upper_limit));
const resultWord = (row) => (row.result === "fail" || OUTSIDE(row) ? html("span", { cls: "word word-unplanned" }, row.result ?? "outside") : row.result);

function membersTable(members, excluded) {
  const button = (row) => {
    const found = excluded.find((exclusion) => isAbout(exclusion, row));
    const node = html("button", { type: "button", cls: "small", data: { act: found ? "include" : "exclude" } }, found ? "Take exclusion back …" : "Exclude …");
    node.onclick = () => (found ? include(found) : exclude(row));
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

export async function drawPoint(query, say) {
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
    part(members.length === 1 ? "The measurement" : `The ${members.length} measurements`, html("div", { cls: "scroll", tabindex: 0, role: "group", "aria-label": "Measurements of the point" }, membersTable(members, excluded))),
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

// Control charts of one characteristic: its points and limits, what violates the rules, capability, and what people
// decide about them.
//
// Every figure is asked for in SQL and shown as the server sent it. A panel asks again only where what it depends on
// has changed.

import { NONE, asCount, asReading, byId, html, mark, oeeAddress, put, request, stopsAddress, svg } from "/session.js";
import { drawCapability, drawSpreads } from "/capability.js";
import {
  ALL, CHARTS, OF, SUBGROUPS, chart, chartWords, combinations, commonWords, fits, inZone, mixesProducts, nameOf, named, over, plant, plottedUom, readBack, readPlant, settle,
  subgroup, subgroupWords, usualWords,
} from "/characteristic.js";
import { EXACT, SHORT, at, begin, go, machine, showWindow, span, state, written, zone } from "/choice.js";
import { SHAPES, controlChart } from "/control.js";
import { drawExclusions, drawFrozen, fail, freeze } from "/decision.js";
import { Words, listed, panel, table } from "/panel.js";
import { COLUMNS, base, describe, isChosen, pointsBelow, pointsOf } from "/points.js";
import { drawPoint } from "/record.js";
import { offerReports } from "/report.js";

const VIOLATIONS_SHOWN = 200;
const MANY = 12;       // of more characteristics one is searched for
const STARTING = { chart: "i_mr", rules: "nelson", limits: "frozen", distribution: "normal" };
const NUMBERS = ["phase", "lambda", "k", "h", "headstart", "span", "width"];
const KNOWN = [
  "characteristic", ...OF, "chart", "subgroup", "rules", "limits", ...NUMBERS, "period", "from", "to", "distribution", "spec", "zoom_from", "zoom_to", "at", "nth",
];
const PAPER_ROWS = 40; // violations that spc.css prints
const PAPER = { main: [545, 283], below: [545, 121] }; // the plots on A4 as spc.css prints them, pixels
const WORDS_OF_EMPTY = { equipment: "no machine named", product: "no product named", operation: "no operation named" };
const away = { at: undefined, nth: undefined, zoom_from: undefined, zoom_to: undefined };

// ---- the chart -----------------------------------------------------------------------------------

let view = null; // what is drawn: { drawing, points, write }

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

// ---- the page ------------------------------------------------------------------------------------

panel("chart-panel", base, drawChart);
panel("used", base, drawUsed);
panel("violations", base, drawViolations);
panel("point", () => [...base(), state.at, state.nth], drawPoint);
panel("capability", () => [...base().slice(0, 4), commonWords(), mixesProducts(), state.distribution, span?.from, span?.to, span?.now], drawCapability);
panel("spreads", () => [...base().slice(0, 4), commonWords(), mixesProducts(), state.distribution, span?.from, span?.to, span?.now], drawSpreads);
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
  const words = combinations().length ? usualWords() : "";
  const options = [["", `automatic: ${words}`], ...Object.entries(SUBGROUPS)];
  if (by && !isSize && !(by in SUBGROUPS)) options.push([by, by]);
  showOptions(byId("subgroup"), options, isSize ? "size" : by ?? "");
  byId("size-label").hidden = !isSize;
  if (isSize) byId("size").value = by;
  for (const name of ["chart", "limits", "distribution"]) byId(name).value = state[name] ?? "";
  const known = [...byId("rules").options].some((option) => option.value === state.rules && option.value !== "own");
  byId("rules").value = known ? state.rules : "own";
  byId("own-rules-label").hidden = known;
  if (!known) byId("own-rules").value = state.rules;
  byId("phase").value = state.phase ?? "";
  byId("spec").checked = state.spec === "1" && Boolean(chart().isValue);
  byId("spec").disabled = !chart().isValue;
  const parameters = Object.entries(chart().parameters ?? {});
  byId("parameters").replaceChildren(...parameters.map(([name, [title, usual]]) => html("label", {}, title, html("input", { type: "number", step: "any", min: 0, name, placeholder: usual, value: state[name] ?? "" }))));
}

function showTitles() {
  const titles = [state.characteristic, ...OF.map((name) => (state[name] === ALL ? `every ${name}` : state[name] === "" ? null : nameOf[name](state[name])))].filter(Boolean);
  document.title = `${state.characteristic} · SPC`;
  put(byId("title"), `SPC · ${state.characteristic}`);
  showWindow(`${titles.join(" · ")} · ${chart().name}`);
  put(byId("chart-title"), `${chart().name} chart of ${state.characteristic}${plottedUom() && ` in${plottedUom()}`}`);
  byId("to-oee").href = machine() ? oeeAddress(state.equipment) : "/oee";
  byId("to-stops").href = machine() ? stopsAddress(state.equipment) : "/stops";
  byId("point").hidden = !state.at;
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
byId("choice").addEventListener("submit", () => {
  byId("done").hidden = true;
});
byId("zoom-in").onclick = () => view?.drawing.scale(0.5);
byId("zoom-out").onclick = () => view?.drawing.scale(2);
byId("earlier").onclick = () => view?.drawing.shift(-1);
byId("later").onclick = () => view?.drawing.shift(1);
byId("zoom-reset").onclick = () => view && go({ zoom_from: undefined, zoom_to: undefined });
byId("flag-before").onclick = () => view?.drawing.nextFlag(-1);
byId("flag-after").onclick = () => view?.drawing.nextFlag(1);
byId("freeze").onclick = () => freeze(() => view?.write);
byId("csv").onclick = download;
byId("print").onclick = () => print();
offerReports(document.querySelectorAll("[data-report]"), () => {
  // A parameter that the chart does not have is not in what the page shows either.
  const numbers = NUMBERS.filter((name) => name === "phase" || name in (chart().parameters ?? {}));
  const names = ["characteristic", ...OF, "chart", "rules", "limits", "distribution", ...numbers];
  const said = names.filter((name) => state[name] !== undefined).map((name) => [name, state[name]]);
  const more = { subgroup: subgroup(), from: span?.from, to: span?.to };
  return `/report/spc?${new URLSearchParams([...said, ...Object.entries(more).filter(([, value]) => value)])}`;
}, fail);
byId("point-close").onclick = () => go({ at: undefined, nth: undefined });
addEventListener("beforeprint", () => view?.drawing.paper(PAPER));
addEventListener("afterprint", () => view?.drawing.paper(null));

begin({
  path: "/spc", known: KNOWN, starting: STARTING, among: { chart: CHARTS }, away,
  // An empty machine, product or operation is one that no measurement names.
  maybeEmpty: OF,
  plant, isKnown: () => plant.measured.size > 0, read: readPlant, settle,
  otherSpan: readBack, noCalendar: "This machine has no shift calendar. Choose the last 24 hours, or a period of your own.",
  controls: showControls, titles: showTitles, present,
});

// How capable the process is of its specification, and how its values spread.

import { NONE, asCount, asReading, html, quoted } from "/session.js";
import { state } from "/choice.js";
import { commonWords, mixesProducts, named, over, placesFor, where, withUom } from "/characteristic.js";
import { Words, listed, table } from "/panel.js";
import { binsOf, histogram, probabilityPlot } from "/spread.js";

const RANKS_SHOWN = 800; // of more values the probability plot shows some, and all at the ends
const ENDS_SHOWN = 30;
const INDICES = [
  ["cp", "Cp", "within subgroups"], ["cpk", "Cpk", "within, nearer limit"], ["pp", "Pp", "of all values"], ["ppk", "Ppk", "of all, nearer limit"], ["cpm", "Cpm", "with distance from target"],
];
const ppm = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const asPpm = (value) => (value === null ? NONE : value > 0 && value < 0.001 ? "< 0.001" : value < 1 ? String(Number(value.toFixed(3))) : ppm.format(Math.round(value * 10) / 10));
const index = (value) => (value === null ? NONE : value.toFixed(2));

/** A distribution as SQL says it, with as many digits as people read. */
const inWords = (fitted) => fitted.replaceAll(/=([^,)]+)/g, (_, number) => ` ${asReading(Number(number))}`).replace("(", " distribution, ").replace(")", "");

const EACH_ITS_OWN = "The chart is of several products, each with its own specification. Choose a product.";

export async function drawCapability(query, say) {
  if (mixesProducts()) throw new Words(EACH_ITS_OWN);
  const [row] = await query(`SELECT * FROM ${over("capability", [...commonWords(), `distribution=${state.distribution}`])} WHERE ${named()}`);
  if (!row) throw new Words("No measurement in this period.");
  if (row.mean === null) throw new Words(`No capability: ${row.reason ?? "there are no numbers"}.`);
  const write = placesFor(row.sigma_overall);
  // Percentiles of another distribution have no sigma within subgroups, and so no Cp and Cpk; transformed values no Cpm.
  const lacks = (name) => row.distribution !== "normal" && row.ppk !== null && (name === "cpm" || (row.cpk === null && name.startsWith("cp")));
  // Of one limit there is no tolerance.
  const oneSided = (name) => (name === "cp" || name === "pp") && (row.lower_limit === null) !== (row.upper_limit === null);
  const why = (name) => html("small", { cls: "why" }, lacks(name) ? "not by this method" : oneSided(name) ? "there is one limit only" : row.reason ?? "not known");
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
      ["Values", row.n_within === row.n ? asCount(row.n) : `${asCount(row.n)}; Cp and Cpk of the ${asCount(row.n_within)} in whole subgroups`, { fact: "n", value: row.n }], ["Mean", `${write(row.mean)}${withUom()}`], ["Least … most", `${write(row.min)} … ${write(row.max)}`],
      ["Specification", `${asReading(row.lower_limit)} … ${asReading(row.upper_limit)}${row.target === null ? "" : `, target ${asReading(row.target)}`}`],
      [`Sigma within (${row.sigma_method ?? NONE})`, asReading(row.sigma_within)], ["Sigma of all", asReading(row.sigma_overall)],
      ["Outside, seen", row.observed_ppm === null ? why("ppm") : `${asPpm(row.observed_ppm)} ppm${side(row.observed_ppm_below, row.observed_ppm_above)}`],
      ["Outside, expected", row.expected_ppm === null ? why("ppm") : `${asPpm(row.expected_ppm)} ppm${side(row.expected_ppm_below, row.expected_ppm_above)}`],
      ["Looks normal", `${shown}${row.anderson_darling === null ? "" : ` (Anderson-Darling ${row.anderson_darling.toFixed(3)}, p ${row.anderson_darling_p < 0.001 ? "< 0.001" : row.anderson_darling_p.toFixed(3)})`}`, { fact: "looks_normal", value: row.looks_normal }],
      ["Method", row.method ?? NONE],
    ]),
  ];
}

export async function drawSpreads(query, say) {
  if (mixesProducts()) throw new Words(EACH_ITS_OWN);
  const numbers = `FROM measurements WHERE ${where()} AND value IS NOT NULL`;
  const [[row], [steps], [spec]] = await Promise.all([
    query(`SELECT count(*) AS n, avg(value) AS mean, stddev(value) AS sigma, min(value) AS low, max(value) AS high ${numbers}`),
    query(`SELECT min(step) AS step FROM (SELECT value - lag(value) OVER (ORDER BY value) AS step FROM (SELECT DISTINCT value ${numbers}) AS d) AS s WHERE step > 0`),
    query(`SELECT lower_limit AS lower, upper_limit AS upper, target, distribution, fitted FROM ${over("capability", [...commonWords(), `distribution=${state.distribution}`])} WHERE ${named()}`),
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
  const limits = { lower: spec?.lower ?? null, upper: spec?.upper ?? null, target: spec?.target ?? null };
  // Without one that fits, the normal distribution of all values.
  const fitted = spec?.fitted ?? `normal(mean=${row.mean}, sigma=${row.sigma})`;
  const common = { n: row.n, spec: limits, write: asReading, fitted };
  const [bars, plot] = [histogram({ counts, bins, uom: withUom(), ...common }), probabilityPlot({ ranked, ...common })];
  const values = (list) => `(VALUES ${list.map((value, place) => `(${place}, CAST(${value} AS double))`).join(", ")}) AS points(place, x)`;
  const [density, quantiles] = await Promise.all([
    query(`SELECT distribution_density(${quoted(fitted)}, x) AS y FROM ${values(bars.at)} ORDER BY place`),
    query(`SELECT distribution_quantile(${quoted(fitted)}, x) AS y FROM ${values(plot.at)} ORDER BY place`),
  ]);
  const family = spec?.fitted ? spec.distribution : "normal";
  say(`${asCount(row.n)} values, mean ${write(row.mean)} and sigma ${asReading(row.sigma)}; the curve and the line are the ${inWords(fitted)}. Bins of ${asReading(bins.width)}${withUom()} (${bins.rule}).`);
  return html("div", { cls: "spread-pair" },
    html("figure", { data: { bins: bins.bins, counted: counts.reduce((sum, one) => sum + one.count, 0) } }, html("figcaption", {}, "Histogram"), bars.draw(density.map((one) => one.y))),
    html("figure", { data: { ranked: ranked.length } }, html("figcaption", {}, family === "normal" ? "Normal probability plot" : `Probability plot with the ${family.replace("_", "-")} distribution`), plot.draw(quantiles.map((one) => one.y))));
}

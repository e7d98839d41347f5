// Drawings of how values spread: the histogram with the specification and the curve of a distribution, and the probability
// plot. Each says first where on its axis it has to know the distribution (`at`), and draws once it is told.

import { asCount, html, svg } from "/session.js";
import { levels, placed } from "/control.js";

const WIDE = 1000;
const HIGH = 300;
const MOST_BINS = 80;
const SMOOTH = 160;      // points of the curve
const SHARES = [0.0001, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999];

const fixed = (value) => Number(value.toFixed(2));
const known = (value) => value !== null && value !== undefined;

/**
 * Bins of a histogram by Freedman and Diaconis (1981), or by Sturges (1926) where the quartiles agree. A width is a
 * whole number of the steps in which values come, for else some bins hold more steps than others.
 */
export function binsOf({ n, low, high, lowerQuartile, upperQuartile, resolution }) {
  const range = high - low;
  if (!(range > 0)) return { start: low - 0.5, width: 1, bins: 1, rule: "all values are equal" };
  const between = upperQuartile - lowerQuartile;
  const rule = between > 0 ? "Freedman-Diaconis" : "Sturges";
  const wanted = between > 0 ? (2 * between) / Math.cbrt(n) : range / (Math.ceil(Math.log2(n)) + 1);
  let width = Math.max(wanted, range / MOST_BINS);
  const stepped = resolution > 0 && range / resolution < 100000;
  if (stepped) width = Math.max(1, Math.round(width / resolution)) * resolution;
  const start = stepped ? low - resolution / 2 : low - width / 2;
  return { start, width, bins: Math.floor((high - start) / width) + 1, rule };
}

/** The quantile of the standard normal distribution (Acklam's approximation, relative error below 1.2e-9). */
export function normalQuantile(p) {
  const a = [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716, 2.506628277459239];
  const b = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572];
  const c = [-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783];
  const d = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416];
  const by = (factors, at) => factors.reduce((sum, factor) => sum * at + factor, 0);
  if (p > 0.97575) return -normalQuantile(1 - p);
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(p));
    return by(c, q) / by([...d, 1], q);
  }
  const q = p - 0.5;
  return (by(a, q * q) * q) / by([...b, 1], q * q);
}

function across(low, high) {
  const room = (high - low) * 0.03 || 1;
  const [from, to] = [low - room, high + room];
  return { from, to, x: (value) => fixed(((value - from) / (to - from)) * WIDE) };
}

/** A drawing with a scale below and another at its left. */
function framed({ label, drawing, bottom, left, top = [] }) {
  const at = (side, list) => list.map(({ share, text, cls }) => {
    const node = html("span", { cls }, text);
    node.style[side] = `${fixed(share * 100)}%`;
    return node;
  });
  return html("div", { cls: "spread", role: "img", "aria-label": label },
    html("div", { cls: "spread-top", "aria-hidden": "true" }, ...at("insetInlineStart", top)),
    html("div", { cls: "spread-left", "aria-hidden": "true" }, ...at("insetBlockStart", left)),
    svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...drawing),
    html("div", { cls: "spread-bottom", "aria-hidden": "true" }, ...at("insetInlineStart", bottom)));
}

function scaleBelow(from, to) {
  const { step, levels: found } = levels(from, to, 6);
  const format = placed(step);
  const share = (value) => (value - from) / (to - from);
  return found.filter((value) => share(value) > 0.02 && share(value) < 0.98).map((value) => ({ share: share(value), text: format.format(value) }));
}

/** Names of the specification's lines. Where they are near, they stand outside, and the target has no room. */
function limitNames(spec, from, to, write) {
  const share = (value) => (value - from) / (to - from);
  const near = known(spec.lower) && known(spec.upper) && share(spec.upper) - share(spec.lower) < (known(spec.target) ? 0.5 : 0.25);
  const name = (title, value, cls, beside) => (known(value) ? [{ share: share(value), text: `${title} ${write(value)}`, cls: near ? `${cls} ${beside}` : cls }] : []);
  return [...name("LSL", spec.lower, "of-spec", "before"), ...(near ? [] : name("target", spec.target, "of-centre", "")), ...name("USL", spec.upper, "of-spec", "after")];
}

const limitLines = (spec, x) => [
  svg("path", { class: "line-spec", d: [spec.lower, spec.upper].filter(known).map((value) => `M${x(value)} 0V${HIGH}`).join("") }),
  svg("path", { class: "line-centre", d: known(spec.target) ? `M${x(spec.target)} 0V${HIGH}` : "" }),
];

/** `counts` holds how many values are in which bin; `draw` takes the density at each value of `at`. */
export function histogram({ counts, bins, n, spec, write, uom, fitted }) {
  const { start, width } = bins;
  const stop = start + width * bins.bins;
  const { from, to, x } = across(Math.min(start, spec.lower ?? start, spec.target ?? start), Math.max(stop, spec.upper ?? stop, spec.target ?? stop));
  const at = Array.from({ length: SMOOTH + 1 }, (_, place) => from + ((to - from) * place) / SMOOTH);
  return { at, draw: (density) => drawHistogram({ at, density, counts, bins, n, spec, write, uom, fitted, from, to, x }) };
}

function drawHistogram({ at, density, counts, bins, n, spec, write, uom, fitted, from, to, x }) {
  const { start, width } = bins;
  const fullest = Math.max(...counts.map((row) => row.count));
  const curve = at.map((value, place) => [value, density[place] * n * width]).filter(([, height]) => Number.isFinite(height));
  // A curve without bound at its end would leave no room for the bars.
  const peak = Math.min(2 * fullest, Math.max(0, ...curve.map(([, height]) => height)));
  const highest = Math.max(peak, fullest) * 1.06;
  const y = (count) => fixed(HIGH - (count / highest) * HIGH);
  const bar = ({ bin, count }) => {
    const [left, right] = [x(start + bin * width), x(start + (bin + 1) * width)];
    return `M${left} ${HIGH}V${y(count)}H${fixed(Math.max(left + 1, right))}V${HIGH}z`;
  };
  const { levels: found } = levels(0, highest, 4);
  return framed({
    label: `Histogram of ${asCount(n)} values in ${bins.bins} bins of ${write(width)}${uom}; the fullest holds ${asCount(fullest)}; curve: ${fitted}`,
    drawing: [
      svg("path", { class: "bars-of-values", d: counts.map(bar).join("") }),
      svg("path", { class: "fitted-curve", d: curve.map(([value, height], place) => `${place ? "L" : "M"}${x(value)} ${y(Math.min(height, highest))}`).join("") }),
      ...limitLines(spec, x),
    ],
    bottom: scaleBelow(from, to),
    left: found.filter((count) => count < highest * 0.97 && Number.isInteger(count)).map((count) => ({ share: 1 - count / highest, text: asCount(count) })),
    top: limitNames(spec, from, to, write),
  });
}

/** `ranked` are values with their rank from 1, in order; plotted at (rank − 0.5) / n. `draw` takes the quantile of each share of `at`. */
export function probabilityPlot({ ranked, n, spec, write, fitted }) {
  const position = ({ rank }) => normalQuantile((rank - 0.5) / n);
  const edge = Math.max(2.5, Math.abs(position(ranked[0])), Math.abs(position(ranked.at(-1)))) * 1.05;
  const [least, most] = [ranked[0].value, ranked.at(-1).value];
  const { from, to, x } = across(least, most === least ? least + 1 : most);
  const y = (quantile) => fixed(((edge - quantile) / (2 * edge)) * HIGH);
  // Steps of about the same length on the scale: the logistic distribution is near enough to the normal one.
  const shares = Array.from({ length: SMOOTH + 1 }, (_, place) => 1 / (1 + Math.exp(-1.702 * edge * ((2 * place) / SMOOTH - 1))));
  const draw = (quantiles) => drawProbabilityPlot({ shares, quantiles, ranked, position, n, spec, write, fitted, edge, ends: [least, most], from, to, x, y });
  return { at: shares, draw };
}

function drawProbabilityPlot({ shares, quantiles, ranked, position, n, spec, write, fitted, edge, ends: [least, most], from, to, x, y }) {
  const line = shares.map((share, place) => [quantiles[place], normalQuantile(share)]).filter(([value, quantile]) => value >= from && value <= to && Math.abs(quantile) <= edge);
  const shown = SHARES.filter((share) => Math.abs(normalQuantile(share)) < edge * 0.98 && ([0.05, 0.95].includes(share) ? edge < 3.2 : true));
  const inside = Object.fromEntries(Object.entries(spec).map(([name, value]) => [name, known(value) && value >= from && value <= to ? value : null]));
  return framed({
    label: `Normal probability plot of ${asCount(n)} values from ${write(least)} to ${write(most)}, line: ${fitted}`,
    drawing: [
      svg("path", { class: "grid-line", d: shown.map((share) => `M0 ${y(normalQuantile(share))}H${WIDE}`).join("") }),
      ...limitLines({ ...inside, target: null }, x),
      svg("path", { class: "fitted-curve", d: line.map(([value, quantile], place) => `${place ? "L" : "M"}${x(value)} ${y(quantile)}`).join("") }),
      svg("path", { class: "ranked", d: ranked.map((row) => `M${x(row.value)} ${y(position(row))}h0.01`).join("") }),
    ],
    bottom: scaleBelow(from, to),
    left: shown.map((share) => ({ share: y(normalQuantile(share)) / HIGH, text: `${Number((share * 100).toFixed(2))} %` })),
    top: limitNames({ ...inside, target: null }, from, to, write),
  });
}

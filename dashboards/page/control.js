// The drawing of a control chart: points with centre line, limits and zones, and below on the same axis its companion.
//
// Points stand side by side in the order of production, as on paper; the axis says when they were. Positions are those
// of what the server sent. It is drawn in pixels, so that marks keep their shape, and anew when its width changes.

import { html, svg, timeFormat } from "/session.js";

const CLICK_PX = 5;          // a pointer that moves less has not selected a range
const DENSE = 2;             // of more points per pixel only the lowest and the highest are drawn
const DOTTED_PX = 3;         // dots are drawn where points are at least so far apart
const LEAST_SHOWN = 5;       // no zoom shows fewer points
const SPACE = 0.07;          // of the height, above and below
const LABEL_PX = 15;         // labels beside the plot keep so far apart
const MARK_PX = 72;          // and names of boundaries so far

export const SHAPES = {
  limit: { words: "beyond a limit", path: (x, y, r) => `M${x} ${y - r}L${x + r} ${y}L${x} ${y + r}L${x - r} ${y}z` },
  pattern: { words: "end of a pattern", path: (x, y, r) => `M${x} ${y - r}L${x + r} ${y + r * 0.8}H${x - r}z` },
  excluded: { words: "excluded from limits", path: (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z` },
};

const fixed = (value) => Number(value.toFixed(2));
const known = (value) => value !== null && value !== undefined;

/** Steps of 1, 2 or 5 that divide a range into about `most` parts. */
export function levels(low, high, most) {
  const raw = (high - low) / most || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((wide) => wide >= raw);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9 && found.length < 50; at += 1) found.push(at * step + 0); // no −0
  return { step, levels: found };
}

/** Writes numbers of a size with as many places as a step needs. */
export function placed(step) {
  const places = Math.min(12, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  return new Intl.NumberFormat("en", { minimumFractionDigits: places, maximumFractionDigits: places, useGrouping: false });
}

// ---- the two charts ------------------------------------------------------------------------------

const MAIN = { value: "value", centre: "centre", lcl: "lcl", ucl: "ucl", beyond: "beyond", pattern: "pattern" };
const BELOW = { value: "companion_value", centre: "companion_centre", lcl: "companion_lcl", ucl: "companion_ucl", beyond: "companion_beyond", pattern: null };

/** The lowest and highest of what a chart shows between two places. */
function extent(points, first, last, of, spec) {
  let low = Infinity;
  let high = -Infinity;
  const take = (value) => {
    if (!known(value)) return;
    if (value < low) low = value;
    if (value > high) high = value;
  };
  for (let place = first; place <= last; place += 1) {
    const point = points[place];
    take(point[of.value]);
    take(point[of.lcl]);
    take(point[of.ucl]);
    take(point[of.centre]);
    if (spec) {
      take(point.lower_limit);
      take(point.upper_limit);
    }
  }
  if (low > high) return { low: 0, high: 1 };
  const room = (high - low || Math.abs(high) * 0.01 || 1) * SPACE;
  return { low: low - room, high: high + room };
}

/** A line that steps from point to point; it breaks where there is no value. */
function steps(points, first, last, at, x, y) {
  let d = "";
  let before = null;
  for (let place = first; place <= last; place += 1) {
    const value = at(points[place]);
    if (!known(value)) before = null;
    else if (before === null) d += `M${x(place - 0.5)} ${y(value)}`;
    else if (value !== before) d += `H${x(place - 0.5)}V${y(value)}`;
    if (known(value)) before = value;
    if (before !== null && (place === last || !known(at(points[place + 1])))) d += `H${x(place + 0.5)}`;
  }
  return d;
}

/** A band around the centre line, `sigmas` wide on either side and never beyond the limits. */
function zone(points, first, last, of, sigmas, x, y) {
  const edge = (point, side) => {
    if (!known(point[of.centre]) || !known(point.sigma) || !(point.sigma > 0)) return null;
    const value = point[of.centre] + side * sigmas * point.sigma;
    const limit = side > 0 ? point[of.ucl] : point[of.lcl];
    return known(limit) ? (side > 0 ? Math.min(value, limit) : Math.max(value, limit)) : value;
  };
  let d = "";
  let start = null;
  const close = (end) => {
    const [left, right] = [x(start - 0.5), x(end + 0.5)];
    d += `M${left} ${y(edge(points[start], 1))}H${right}V${y(edge(points[start], -1))}H${left}z`;
  };
  const same = (one, other) => edge(one, 1) === edge(other, 1) && edge(one, -1) === edge(other, -1);
  for (let place = first; place <= last; place += 1) {
    if (start !== null && !same(points[start], points[place])) {
      close(place - 1);
      start = null;
    }
    if (start === null && edge(points[place], 1) !== null) start = place;
  }
  if (start !== null) close(last);
  return d;
}

/** The line from value to value. Where points are dense it goes through the lowest and the highest of each pixel. */
function curve(points, first, last, of, x, y, wide) {
  let d = "";
  let pen = "M";
  const go = (place) => {
    const value = points[place][of.value];
    if (!known(value)) {
      pen = "M";
      return;
    }
    d += `${pen}${x(place)} ${y(value)}`;
    pen = "L";
  };
  const count = last - first + 1;
  if (count <= wide * DENSE) {
    for (let place = first; place <= last; place += 1) go(place);
    return d;
  }
  for (let column = 0; column < wide; column += 1) {
    const begin = first + Math.floor((count * column) / wide);
    const end = first + Math.floor((count * (column + 1)) / wide) - 1;
    let [low, high] = [begin, begin];
    for (let place = begin; place <= end; place += 1) {
      const value = points[place][of.value];
      if (!known(value)) continue;
      if (!(points[low][of.value] <= value)) low = place;
      if (!(points[high][of.value] >= value)) high = place;
    }
    for (const place of new Set([begin, Math.min(low, high), Math.max(low, high), end])) go(place);
  }
  return d;
}

function marks(points, first, last, of, x, y, apart) {
  const paths = { dot: "", limit: "", pattern: "", excluded: "", "limit excluded": "", "pattern excluded": "" };
  const big = apart < 1 ? 3.5 : Math.min(7, Math.max(4.5, apart));
  for (let place = first; place <= last; place += 1) {
    const point = points[place];
    const value = point[of.value];
    if (!known(value)) continue;
    const shape = point[of.beyond] ? "limit" : of.pattern && point[of.pattern] ? "pattern" : null;
    const [px, py] = [x(place), y(value)];
    if (shape) paths[point.excluded ? `${shape} excluded` : shape] += SHAPES[shape].path(px, py, big);
    else if (point.excluded) paths.excluded += SHAPES.excluded.path(px, py, 4);
    else if (apart >= DOTTED_PX) paths.dot += `M${px} ${py}h0.01`;
  }
  return Object.entries(paths).filter(([, d]) => d).map(([kind, d]) => svg("path", { class: `mark mark-${kind.replace(" ", " mark-")}`, d }));
}

/** Puts labels under each other where they would cover one another. */
function settled(labels, height) {
  labels.sort((one, other) => one.y - other.y);
  for (let place = 1; place < labels.length; place += 1) labels[place].y = Math.max(labels[place].y, labels[place - 1].y + LABEL_PX);
  let floor = height;
  for (let place = labels.length - 1; place >= 0; place -= 1) {
    labels[place].y = Math.min(labels[place].y, floor);
    floor = labels[place].y - LABEL_PX;
  }
  return labels;
}

// ---- the chart -----------------------------------------------------------------------------------

/**
 * `points` in order; each has the columns of `spc` and `beyond`, `pattern` and `companion_beyond`. `titles` name what is
 * plotted, `write` writes a value, `describe` says a point in words, `tell` gets what is pointed at. `choose` is called
 * with the place of a point, `zoom` with the first and last place that are to be seen.
 */
export function controlChart({ points, zone: timeZone, titles, write, describe, tell, choose, zoom }) {
  const end = points.length - 1;
  const hasBelow = points.some((point) => known(point.companion_value) || known(point.companion_centre));
  const view = { first: 0, last: end, chosen: -1, spec: false, place: -1, drag: null, paper: null };
  const parts = [row("main", MAIN, titles.main), ...(hasBelow ? [row("below", BELOW, titles.below)] : [])];
  const field = parts[0].field;
  const names = html("div", { cls: "control-marks" });
  const times = html("div", { cls: "control-times", "aria-hidden": "true" });
  const node = html("div", { cls: "control", data: { points: points.length } },
    html("div", { cls: "control-row control-head", "aria-hidden": "true" }, html("span"), names),
    ...parts.map((part) => part.node),
    html("div", { cls: "control-row" }, html("span"), times));

  function row(id, of, title) {
    const drawing = svg("svg", { preserveAspectRatio: "none", "aria-hidden": "true" });
    const over = svg("svg", { preserveAspectRatio: "none", "aria-hidden": "true", class: "over" });
    const plot = html("div", { cls: `control-plot control-${id}`, data: { chart: id } }, drawing, over);
    if (id === "main") {
      for (const [name, value] of Object.entries({
        tabindex: 0, role: "slider", "aria-orientation": "horizontal", "aria-label": `Control chart of ${title}: arrow keys go from point to point`,
        "aria-valuemin": 1, "aria-valuemax": points.length, "aria-valuenow": 1, "aria-valuetext": "none pointed at",
      })) plot.setAttribute(name, value);
    }
    const scale = html("div", { cls: "control-scale", "aria-hidden": "true" });
    const labels = html("div", { cls: "control-labels", "aria-hidden": "true" });
    const line = html("div", { cls: "control-row" },
      html("div", { cls: "control-side", "aria-hidden": "true" }, html("b", {}, title), scale), plot, labels);
    return { id, of, node: line, field: plot, drawing, over, scale, labels, width: 0, height: 0 };
  }

  const count = () => view.last - view.first + 1;
  const xOf = (wide) => {
    const across = wide / count();
    return (place) => fixed((place - view.first + 0.5) * across);
  };

  function drawPart(part) {
    const { of } = part;
    const [wide, high] = view.paper?.[part.id] ?? [Math.max(50, Math.round(part.field.clientWidth)), Math.max(40, Math.round(part.field.clientHeight))];
    Object.assign(part, { width: wide, height: high });
    const spec = view.spec && part.id === "main";
    const range = extent(points, view.first, view.last, of, spec);
    const x = xOf(wide);
    const y = (value) => fixed(high - ((value - range.low) / (range.high - range.low)) * high);
    Object.assign(part, { x, y });
    const [first, last] = [view.first, view.last];
    const line = (kind, at) => svg("path", { class: `line-${kind}`, d: steps(points, first, last, at, x, y) });
    const drawn = [];
    if (part.id === "main") {
      drawn.push(svg("path", { class: "zone-2", d: zone(points, first, last, of, 2, x, y) }), svg("path", { class: "zone-1", d: zone(points, first, last, of, 1, x, y) }));
    }
    if (spec) drawn.push(line("spec", (point) => point.lower_limit), line("spec", (point) => point.upper_limit));
    drawn.push(line("centre", (point) => point[of.centre]), line("limit", (point) => point[of.lcl]), line("limit", (point) => point[of.ucl]));
    drawn.push(svg("path", { class: "boundary-line", d: boundaries().map(({ place }) => `M${x(place - 0.5)} 0V${high}`).join("") }));
    drawn.push(svg("path", { class: "values", d: curve(points, first, last, of, x, y, wide) }));
    drawn.push(...marks(points, first, last, of, x, y, wide / count()));
    for (const drawing of [part.drawing, part.over]) drawing.setAttribute("viewBox", `0 0 ${wide} ${high}`);
    part.drawing.replaceChildren(...drawn);
    const { step, levels: found } = levels(range.low, range.high, Math.max(2, Math.floor(high / 45)));
    const format = placed(step);
    const at = (label, place, cls = null, hint = null) => {
      const text = html("span", { cls, title: hint }, label);
      text.style.insetBlockStart = `${fixed((place / high) * 100)}%`;
      return text;
    };
    part.scale.replaceChildren(...found.filter((level) => y(level) > 6 && y(level) < high - 6).map((level) => at(format.format(level), y(level))));
    part.labels.replaceChildren(...settled(limitLabels(part, spec, y), high - 4).map((label) => at(label.text, label.y, label.cls)));
  }

  /** What the lines are called, at the right end, where they are what holds last. */
  function limitLabels({ of, id }, spec, y) {
    const point = points[view.last];
    const label = (name, value, cls) => (known(value) ? { y: y(value), text: `${name} ${write(value, id)}`, cls } : null);
    return [
      label("UCL", point[of.ucl], "of-limit"), label("CL", point[of.centre], "of-centre"), label("LCL", point[of.lcl], "of-limit"),
      ...(spec ? [label("USL", point.upper_limit, "of-spec"), label("LSL", point.lower_limit, "of-spec")] : []),
    ].filter(Boolean);
  }

  /** Where phase I ends and where other limits begin to judge, in what is shown. */
  function boundaries() {
    const found = [];
    for (let place = Math.max(1, view.first); place <= view.last; place += 1) {
      const [before, point] = [points[place - 1], points[place]];
      if (before.limits !== point.limits) found.push({ place, words: point.limits, text: point.frozenFrom ? `frozen ${point.frozenFrom}` : "estimated" });
      else if (before.phase !== point.phase) found.push({ place, words: `phase ${point.phase} from here`, text: `phase ${point.phase}` });
    }
    return found;
  }

  function drawNames() {
    const wide = parts[0].width;
    const start = points[view.first];
    const all = [{ place: view.first, text: start.frozenFrom ? `frozen ${start.frozenFrom}` : `phase ${start.phase}`, words: `${start.limits}, phase ${start.phase}` }, ...boundaries().filter(({ place }) => place > view.first)];
    let free = 0;
    names.replaceChildren(...all.flatMap(({ place, text, words }) => {
      const left = parts[0].x(place - 0.5);
      if (left < free || left > wide - 24) return [];
      free = left + Math.max(MARK_PX, text.length * 6.5 + 8);
      const name = html("span", { title: words, data: { boundary: place } }, text);
      name.style.insetInlineStart = `${fixed((left / wide) * 100)}%`;
      return [name];
    }));
  }

  function drawTimes() {
    const wide = parts[0].width;
    const most = Math.max(2, Math.floor(wide / 95));
    const step = Math.max(1, Math.ceil(count() / most));
    const whole = points[view.last].at - points[view.first].at;
    const clock = timeFormat(timeZone, whole < 600000 ? { hour: "2-digit", minute: "2-digit", second: "2-digit" } : { hour: "2-digit", minute: "2-digit" });
    const day = timeFormat(timeZone, { day: "numeric", month: "short" });
    let last = null;
    const found = [];
    for (let place = view.first + Math.floor(Math.min(step, count()) / 2); place <= view.last; place += step) {
      const date = day.format(points[place].at);
      const text = html("span", {}, clock.format(points[place].at), html("small", {}, date === last ? `no. ${points[place].point}` : date));
      last = date;
      text.style.insetInlineStart = `${fixed((parts[0].x(place) / wide) * 100)}%`;
      found.push(text);
    }
    times.replaceChildren(...found);
  }

  function drawOver() {
    for (const part of parts) {
      const drawn = [];
      const { drag } = view;
      if (drag?.moved) drawn.push(svg("rect", { class: "selection", x: fixed(Math.min(drag.from, drag.to)), y: 0, width: fixed(Math.abs(drag.to - drag.from)), height: part.height }));
      for (const [kind, place] of [["pointed", view.place], ["chosen", view.chosen]]) {
        if (place < view.first || place > view.last) continue;
        const value = points[place][part.of.value];
        drawn.push(svg("path", { class: `cursor-${kind}`, d: `M${part.x(place)} 0V${part.height}` }));
        if (known(value)) drawn.push(svg("path", { class: `ring-${kind}`, d: SHAPES.excluded.path(part.x(place), part.y(value), kind === "chosen" ? 9 : 6) }));
      }
      part.over.replaceChildren(...drawn);
    }
  }

  function drawAll() {
    if (!node.isConnected || !points.length) return;
    for (const part of parts) drawPart(part);
    drawNames();
    drawTimes();
    drawOver();
    node.dataset.first = points[view.first].point;
    node.dataset.last = points[view.last].point;
  }

  // ---- pointing, dragging, keys ------------------------------------------------------------------

  function point(place) {
    view.place = place;
    drawOver();
    if (place < 0) return;
    const words = describe(points[place]);
    field.setAttribute("aria-valuenow", place + 1);
    field.setAttribute("aria-valuetext", words);
    tell(words);
  }

  const spread = (px, part) => Math.min(view.last, Math.max(view.first, view.first + Math.floor((px / part.field.clientWidth) * count())));
  for (const part of parts) {
    const px = (event) => event.clientX - part.field.getBoundingClientRect().left;
    part.field.onpointerdown = (event) => {
      if (event.button !== 0) return;
      part.field.setPointerCapture(event.pointerId);
      view.drag = { from: px(event), to: px(event), moved: false };
    };
    part.field.onpointermove = (event) => {
      const at = px(event);
      if (view.drag) {
        view.drag.to = Math.min(part.field.clientWidth, Math.max(0, at));
        view.drag.moved ||= Math.abs(at - view.drag.from) > CLICK_PX;
      }
      point(spread(at, part));
    };
    part.field.onpointerup = (event) => {
      const drag = view.drag;
      view.drag = null;
      if (!drag) return;
      if (!drag.moved) {
        point(spread(px(event), part));
        choose(view.place);
        return;
      }
      drawOver();
      range(spread(Math.min(drag.from, drag.to), part), spread(Math.max(drag.from, drag.to), part));
    };
    part.field.onpointercancel = () => {
      view.drag = null;
      drawOver();
    };
    part.field.onpointerleave = () => {
      if (view.drag) return;
      view.place = -1;
      drawOver();
    };
  }

  /** Asks to see from one place to another, at least a few of them. */
  function range(first, last) {
    const least = Math.min(LEAST_SHOWN, points.length);
    const missing = Math.max(0, least - (last - first + 1));
    let from = Math.max(0, first - Math.ceil(missing / 2));
    const to = Math.min(end, from + Math.max(least - 1, last - first));
    from = Math.max(0, Math.min(from, to - least + 1));
    if (from !== view.first || to !== view.last) zoom(from, to);
  }

  /** Shows `factor` times as many points, around the one pointed at or chosen, else around the middle. */
  function scale(factor) {
    const within = (place) => place >= view.first && place <= view.last;
    const middle = [view.place, view.chosen].find(within) ?? Math.round((view.first + view.last) / 2);
    const wanted = Math.min(points.length, Math.max(LEAST_SHOWN, Math.round(count() * factor)));
    const first = Math.max(0, Math.min(end - wanted + 1, Math.round(middle - ((middle - view.first + 0.5) / count()) * wanted)));
    range(first, first + wanted - 1);
  }

  function shift(direction) {
    const by = Math.max(1, Math.round(count() / 2));
    const first = Math.max(0, Math.min(points.length - count(), view.first + direction * by));
    range(first, first + count() - 1);
  }

  const flagged = (place) => points[place].violated;
  function nextFlag(direction) {
    const start = view.place >= 0 ? view.place : view.chosen >= 0 ? view.chosen : direction > 0 ? -1 : points.length;
    for (let place = start + direction; place >= 0 && place <= end; place += direction) if (flagged(place)) return go(place);
    tell(direction > 0 ? "No flagged point after this one." : "No flagged point before this one.");
  }

  /** Points at a place, wherever it is. */
  function go(place) {
    const shown = count();
    if (place < view.first || place > view.last) {
      const first = Math.max(0, Math.min(points.length - shown, place - Math.floor(shown / 2)));
      zoom(first, first + shown - 1, true);
    }
    point(place);
  }

  field.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const now = view.place >= 0 ? view.place : view.chosen >= 0 ? view.chosen : null;
    const far = Math.max(10, Math.round(count() / 10));
    const moves = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageDown: far, PageUp: -far, Home: -Infinity, End: Infinity };
    const acts = {
      Enter: () => now !== null && choose(now), " ": () => now !== null && choose(now), "+": () => scale(0.5), "=": () => scale(0.5), "-": () => scale(2),
      0: () => range(0, end), Escape: () => range(0, end), n: () => nextFlag(1), p: () => nextFlag(-1),
    };
    const from = now ?? (moves[event.key] < 0 ? view.last + 1 : view.first - 1);
    if (event.key in moves) go(Math.min(end, Math.max(0, from + moves[event.key])));
    else if (event.key in acts) acts[event.key]();
    else return;
    event.preventDefault();
  };

  // Width and height count, what a browser rounds does not.
  const watch = new ResizeObserver(() => {
    if (!node.isConnected) return watch.disconnect();
    if (view.paper) return;
    if (parts.some((part) => Math.round(part.field.clientWidth) !== part.width || Math.round(part.field.clientHeight) !== part.height)) drawAll();
  });

  return {
    node,
    /** Shows places `first` to `last`, with the point at `chosen` marked, and the specification or not. */
    show(wanted) {
      Object.assign(view, wanted);
      watch.observe(node);
      if (view.place < view.first || view.place > view.last) view.place = -1;
      drawAll();
    },
    /** Draws for plots of these sizes, as paper has them; null: as the screen has them. */
    paper(sizes) {
      view.paper = sizes;
      drawAll();
    },
    isWhole: () => view.first === 0 && view.last === end,
    scale, shift, nextFlag, range,
  };
}

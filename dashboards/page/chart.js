// Drawings of the OEE page, in SVG. Positions are shares of what the server sent; figures are shown as sent.
//
// A drawing stretches with its box (its text is HTML beside it), so nothing is drawn again when the window changes.

import { NONE, STATES, asCount, asPercent, asReading, html, mark, svg, timeFormat } from "/session.js";

const WIDE = 1000;
const NARROWEST = 0.8; // a stop of a second still shows in a shift
const MANY = 300;      // of more states, none is drawn wider than it is: they would cover the others
const CATEGORIES = ["run", "unknown", "no_order", "planned", "changeover", "unplanned"]; // the last lies on top

/** Seconds as hours and minutes; seconds too where it is less than an hour. */
export function asDuration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  const whole = Math.round(Math.abs(seconds));
  const sign = seconds < 0 && whole > 0 ? "−" : "";
  if (whole < 60) return `${sign}${whole} s`;
  if (whole < 3600) return `${sign}${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  const minutes = Math.round(whole / 60);
  return `${sign}${asCount(Math.floor(minutes / 60))} h ${minutes % 60} min`;
}

const fixed = (value) => Number(value.toFixed(3));
const stretched = (attributes, ...children) =>
  svg("svg", { preserveAspectRatio: "none", "aria-hidden": "true", ...attributes }, ...children);

// ---- waterfall -----------------------------------------------------------------------------------

export const LOSSES = {
  not_scheduled: { name: "Not scheduled", words: "Time outside every shift. No stop: nothing was planned to run." },
  planned_break: { name: "Planned break", words: "Breaks of the shift calendar. No stop: breaks lie outside planned production time." },
  planned_downtime: { name: "Planned downtime", where: "category = 'planned'" },
  unplanned: { name: "Unplanned stops", where: "category = 'unplanned' AND NOT microstop" },
  changeover: { name: "Changeover", where: "category = 'changeover'" },
  no_order: { name: "No order", where: "category = 'no_order'" },
  unknown: { name: "State unknown", words: "Time in which no state was known. No stop: look for the gaps in the state timeline, and whether the machine's connection was down." },
  minor_stops: { name: "Minor stops", where: "microstop" },
  reduced_speed: { name: "Reduced speed", words: "Run time less the ideal time of all pieces: the machine ran slower than its ideal cycle. No stop. Negative: it ran faster, so the ideal cycle time is too slow." },
  startup_rejects: { name: "Start-up rejects", words: "Ideal time of the pieces scrapped while starting up after a changeover. No stop: the count of scrap is in the shift table." },
  production_rejects: { name: "Production rejects", words: "Ideal time of all other scrapped pieces. No stop: the count of scrap is in the shift table." },
};

/** One row per step of `losses`, each a button. */
export function waterfall(losses, chosen, choose) {
  const calendar = losses[0].calendar_s;
  const scale = Math.max(calendar, ...losses.map((row) => row.left_s ?? 0)) || 1;
  const bar = (from, to, tone) => {
    const [low, high] = [Math.min(from, to) / scale * WIDE, Math.max(from, to) / scale * WIDE];
    const width = from === to ? 0 : Math.max(NARROWEST * 2, high - low);
    return svg("rect", { class: `tone-${tone}`, x: fixed(Math.min(low, WIDE - width)), y: 0, width: fixed(width), height: 1 });
  };
  const drawn = (...bars) => stretched({ viewBox: `0 0 ${WIDE} 1` }, ...bars);
  const total = (id, name, seconds) =>
    html("li", {}, html("div", { cls: "step total", data: { total: id, value: seconds } },
      html("span", { cls: "name" }, name),
      drawn(bar(0, seconds ?? 0, "left")),
      html("b", {}, asDuration(seconds))));
  const step = (row) => {
    const loss = LOSSES[row.loss] ?? { name: row.loss };
    const known = row.lost_s !== null && row.left_s !== null;
    const negative = known && row.lost_s < 0;
    const told = [loss.name, asDuration(row.lost_s), row.factor && `lowers ${row.factor}`, row.big_loss].filter(Boolean);
    const button = html("button", {
      cls: "step", type: "button", "aria-pressed": row.loss === chosen,
      "aria-label": `${told.join(", ")}. ${known ? `${asDuration(row.left_s)} left.` : row.reason ?? ""}`,
      title: [row.factor && `lowers ${row.factor}`, row.big_loss, known ? `${asDuration(row.left_s)} left` : row.reason].filter(Boolean).join(" · "),
      data: { loss: row.loss, step: row.step, lost: row.lost_s, left: row.left_s, factor: row.factor, negative: negative || null },
    },
    html("span", { cls: "name" }, loss.name),
    known
      ? drawn(bar(0, Math.min(row.left_s, row.left_s + row.lost_s), "rest"), bar(row.left_s, row.left_s + row.lost_s, row.factor ?? "time"))
      : drawn(),
    html("b", {}, asDuration(row.lost_s)));
    button.onclick = () => choose(row.loss);
    return html("li", {}, button);
  };
  return html("ol", { cls: "waterfall" },
    total("calendar", "Calendar time", calendar),
    ...losses.map(step),
    total("productive", "Fully productive", losses.at(-1).left_s));
}

// ---- time axis -----------------------------------------------------------------------------------

const MINUTE = 60000;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440, 2880, 10080, 43200].map((minutes) => minutes * MINUTE);

/** How far the zone's wall clock is ahead of UTC then. */
function offsetMs(zone, time) {
  const parts = timeFormat(zone, { dateStyle: "short", timeStyle: "medium", calendar: "iso8601", hourCycle: "h23" }).formatToParts(time);
  const part = (type) => Number(parts.find((found) => found.type === type).value);
  const wall = Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute"), part("second"));
  return wall - Math.floor(time / 1000) * 1000;
}

/** Wall time as an input of type datetime-local takes it. */
export const asWall = (zone, time) => new Date(time + offsetMs(zone, time)).toISOString().slice(0, 16);

export function ticks(zone, from, to, most) {
  const step = STEPS.find((wide) => (to - from) / wide <= most) ?? STEPS.at(-1);
  const found = [];
  const start = Math.ceil((from + offsetMs(zone, from)) / step) * step;
  for (let wall = start; found.length < 40; wall += step) {
    const guess = wall - offsetMs(zone, from);
    const time = wall - offsetMs(zone, guess);
    if (time > to) break;
    if (time >= from) found.push(time);
  }
  return { step, times: found };
}

function axis(zone, from, to) {
  const { step, times } = ticks(zone, from, to, 8);
  const dated = step >= 1440 * MINUTE;
  const clock = timeFormat(zone, dated ? { weekday: "short", day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit" });
  const day = timeFormat(zone, { day: "numeric", month: "short" });
  let last = null;
  const marks = times.map((time, place) => {
    const date = day.format(time);
    const fresh = !dated && date !== last;
    last = date;
    const share = (time - from) / (to - from);
    const node = html("span", { cls: share > 0.93 ? "tick late" : "tick", data: { odd: place % 2 || null } }, fresh ? `${date} ${clock.format(time)}` : clock.format(time));
    node.style.insetInlineStart = `${fixed(100 * share)}%`;
    return node;
  });
  return html("div", { cls: "axis", "aria-hidden": "true" }, ...marks);
}

// ---- state timeline ------------------------------------------------------------------------------

/**
 * One row per machine: `states` with numeric `from` and `to`, `made` with `at` (single) or `at` and `n` (counted in a
 * bucket). `tell` gets what is pointed at, in words.
 */
export function timeline({ zone, from, to, rows, boundaries, tell }) {
  const x = (time) => fixed((Math.min(to, Math.max(from, time)) - from) / (to - from) * WIDE);
  const lines = rows.map(({ label, machine, states, made, mostMade, tellState, tellMade }) => {
    const least = states.length > MANY ? 0 : NARROWEST;
    const paths = CATEGORIES.map((category) => {
      const d = states.filter((state) => state.category === category).map((state) => {
        const left = Math.min(x(state.from), WIDE - least);
        return `M${left} 0H${fixed(Math.max(x(state.to), left + least))}V1H${left}z`;
      });
      return svg("path", { class: `state-${category}`, d: d.join("") });
    });
    const units = ["good", "fail"].map((kind) => svg("path", {
      class: `made-${kind}`,
      d: made.filter((unit) => (kind === "fail" ? unit.failed : unit.n > unit.failed)).map((unit) => {
        const tall = unit.width ? Math.max(0.08, unit.n / mostMade) : kind === "fail" ? 1 : 0.7;
        const high = unit.width && kind === "fail" ? Math.max(0.08, unit.failed / mostMade) : tall;
        const left = x(unit.at);
        const right = unit.width ? Math.max(left + 0.5, x(unit.at + unit.width) - 0.4) : left + 1;
        return `M${left} 1V${fixed(1 - high)}H${fixed(right)}V1z`;
      }).join(""),
    }));
    const shifts = svg("path", { class: "boundary", d: boundaries.map((time) => `M${x(time)} 0V1`).join("") });
    const cursor = svg("path", { class: "cursor" });
    const track = html("div", {
      cls: "track-states", tabindex: 0, role: "slider", "aria-orientation": "horizontal", data: { equipment: machine, states: states.length, made: made.length },
      "aria-label": `States of ${label.textContent}: arrow keys go from state to state`, "aria-valuemin": 0, "aria-valuemax": Math.max(0, states.length - 1), "aria-valuenow": 0, "aria-valuetext": "none chosen",
    },
    stretched({ class: "made", viewBox: `0 0 ${WIDE} 1` }, ...units),
    stretched({ class: "states", viewBox: `0 0 ${WIDE} 1` }, ...paths, shifts),
    stretched({ class: "over", viewBox: `0 0 ${WIDE} 1` }, cursor));
    let place = -1;
    const show = (state, time) => {
      cursor.setAttribute("d", `M${x(time)} 0V1`);
      const words = tellState(state);
      track.setAttribute("aria-valuetext", words);
      track.setAttribute("aria-valuenow", Math.max(0, place));
      tell(words);
    };
    const point = (event) => {
      const box = track.getBoundingClientRect();
      const time = from + (event.clientX - box.left) / box.width * (to - from);
      const near = (to - from) / box.width * 3;
      const unit = event.clientY < box.top + box.height * 0.36
        && made.find((one) => (one.width ? time >= one.at && time < one.at + one.width : Math.abs(time - one.at) <= near));
      if (unit) {
        cursor.setAttribute("d", `M${x(time)} 0V1`);
        return tell(tellMade(unit));
      }
      place = states.findIndex((state) => time >= state.from && time < state.to);
      if (place >= 0) show(states[place], time);
    };
    track.onpointermove = point;
    track.onpointerdown = point;
    track.onkeydown = (event) => {
      const moves = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
      if (!(event.key in moves) || states.length === 0) return;
      event.preventDefault();
      place = Math.min(states.length - 1, Math.max(0, place + moves[event.key]));
      show(states[place], Math.max(from, states[place].from));
    };
    return html("div", { cls: "row" }, html("div", { cls: "label" }, label), track);
  });
  return html("div", { cls: "timeline" }, ...lines, html("div", { cls: "row" }, html("div", { cls: "label", "aria-hidden": "true" }, ""), axis(zone, from, to)));
}

// ---- Pareto --------------------------------------------------------------------------------------

/** Bars of `share` of the whole, and the line of `so_far`; `amount` writes a value. */
export function pareto(rows, amount, chosen, choose) {
  const at = (place) => (rows[place].so_far ?? 0) * WIDE;
  return html("ol", { cls: "pareto" }, ...rows.map((row, place) => {
    const mid = at(place);
    const above = place > 0 ? (at(place - 1) + mid) / 2 : mid;
    const below = place + 1 < rows.length ? (mid + at(place + 1)) / 2 : mid;
    const line = `${place > 0 ? `M${fixed(above)} 0L${fixed(mid)} 0.5` : `M${fixed(mid)} 0.5`}${place + 1 < rows.length ? `L${fixed(below)} 1` : ""}`;
    const said = `${row.name}: ${amount(row.value)}, ${asPercent(row.so_far)} up to here`;
    const parts = [
      html("span", { cls: "name" }, row.name),
      stretched({ viewBox: `0 0 ${WIDE} 1` },
        svg("rect", { class: `state-${row.category}`, x: 0, y: 0.16, width: fixed((row.share ?? 0) * WIDE), height: 0.68 }),
        svg("path", { class: "cumulated", d: line }),
        svg("path", { class: "cumulated dot", d: `M${fixed(mid)} 0.5h0.01` })),
      html("b", {}, amount(row.value)),
      html("small", {}, asPercent(row.so_far)),
    ];
    const data = { reason: row.code ?? "", value: row.value, cumulated: row.so_far, category: row.category };
    if (!choose) return html("li", {}, html("div", { cls: "cause", role: "img", "aria-label": said, title: said, data }, ...parts));
    const button = html("button", {
      cls: "cause", type: "button", "aria-pressed": row.code === chosen, "aria-label": said, title: `${said} (${STATES[row.category]?.word ?? row.category})`, data,
    }, ...parts);
    button.onclick = () => choose(row.code);
    return html("li", {}, button);
  }));
}

// ---- trends --------------------------------------------------------------------------------------

/** One small line per signal; `points` are [time, value]. `start` is a line, the `moment`; from there to `end`, or what is to be `shaded`, is shaded. */
export function trend({ name, uom, points, stepped, from, to, start, end, atStart, zone, shaded = [start, end], moment = "the stop's start" }) {
  let low = Infinity;
  let high = -Infinity;
  for (const [, value] of points) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const x = (time) => fixed((Math.min(to, Math.max(from, time)) - from) / (to - from) * WIDE);
  const y = (value) => fixed(high > low ? 96 - (value - low) / (high - low) * 92 : 50);
  const d = points.map(([time, value], place) =>
    (place === 0 ? `M${x(time)} ${y(value)}` : stepped ? `H${x(time)}V${y(value)}` : `L${x(time)} ${y(value)}`)).join("");
  const unit = uom ? ` ${uom}` : "";
  const clock = timeFormat(zone, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return html("figure", { cls: "trend", data: { signal: name, points: points.length, value: atStart } },
    html("figcaption", {}, html("b", {}, name), " ", html("span", {}, `${asReading(atStart)}${atStart === null ? "" : unit} at ${moment}`)),
    html("div", { cls: "plot" },
      html("span", { cls: "scale", "aria-hidden": "true" }, html("i", {}, asReading(high)), html("i", {}, asReading(low))),
      svg("svg", {
        viewBox: `0 0 ${WIDE} 100`, preserveAspectRatio: "none", role: "img",
        "aria-label": `${name} from ${clock.format(from)} to ${clock.format(to)}: between ${asReading(low)} and ${asReading(high)}${unit}`,
      },
      svg("rect", { class: "shade", x: x(shaded[0]), y: 0, width: fixed(Math.max(1, x(shaded[1]) - x(shaded[0]))), height: 100 }),
      svg("path", { class: "line", d }),
      svg("path", { class: "start", d: `M${x(start)} 0V100` }))),
    html("div", { cls: "ends", "aria-hidden": "true" }, ...[from, start, to].map((time) => html("i", {}, clock.format(time)))));
}

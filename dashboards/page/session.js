// What the pages share: the login of this tab, questions to the server, and how figures and times are written.

const LOGIN_KEY = "takt.authorization";
const SQL = "/api/v1/sql?format=json";
const SVG = "http://www.w3.org/2000/svg";

export const STATES = {
  run: { word: "Running", path: "M6 3l15 9-15 9z" },
  unplanned: { word: "Stopped", path: "M8 2h8l6 6v8l-6 6H8l-6-6V8zM7 10v4h10v-4z" },
  changeover: { word: "Changeover", path: "M12 3a9 9 0 0 1 8.5 6H23l-4 5-4-5h2.3A6 6 0 0 0 6.7 9H3.5A9 9 0 0 1 12 3zM12 21a9 9 0 0 1-8.5-6H1l4-5 4 5H6.7a6 6 0 0 0 10.6 0h3.2A9 9 0 0 1 12 21z" },
  planned: { word: "Planned stop", path: "M5 3h5v18H5zM14 3h5v18h-5z" },
  no_order: { word: "No order", path: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm0 3a7 7 0 1 1 0 14 7 7 0 0 1 0-14z" },
  unknown: { word: "Unknown", path: "M10.5 17h3v3h-3zM12 3c3.3 0 6 2.2 6 5.3 0 2.6-1.6 3.7-2.9 4.7-1 .8-1.6 1.3-1.6 2.5h-3c0-2.7 1.6-3.9 2.8-4.8 1.1-.9 1.7-1.3 1.7-2.4C15 7 13.7 6 12 6S9 7.1 9 9H6c0-3.6 2.7-6 6-6z" },
};

// ---- figures -------------------------------------------------------------------------------------

const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const count = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const reading = new Intl.NumberFormat("en", { maximumSignificantDigits: 5, useGrouping: false });

export const NONE = "–";

const written = (format) => (value) => (value === null || value === undefined ? NONE : format.format(value));
export const asPercent = written(percent);
export const asCount = written(count);
export const asReading = written(reading);

export function asSpan(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  const minutes = Math.floor(seconds / 60);
  // Seconds tell short stops apart.
  if (minutes < 10 && Math.floor(seconds) % 60) return `${minutes} min ${Math.floor(seconds) % 60} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d`;
}

/** The zone, or UTC where this browser does not know it. */
export function knownZone(zone) {
  try {
    new Intl.DateTimeFormat("en-GB", { timeZone: zone });
    return zone;
  } catch {
    return "UTC";
  }
}

const formats = new Map();

/** Writes times in a zone; formats are kept, for making one is slow. */
export function timeFormat(zone, options) {
  const key = JSON.stringify([zone, options]);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone }));
  return formats.get(key);
}

// ---- nodes ---------------------------------------------------------------------------------------

export const byId = (id) => document.getElementById(id);

export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function mark(node, name, value) {
  const text = value === null || value === undefined ? "" : String(value);
  if (node.dataset[name] !== text) node.dataset[name] = text;
}

export function hint(node, text) {
  if (!text) node.removeAttribute("title");
  else if (node.title !== text) node.title = text;
}

/** A node of HTML with a class, children and data attributes. */
export function html(name, { cls, data = {}, ...attributes } = {}, ...children) {
  const node = document.createElement(name);
  if (cls) node.className = cls;
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) node.setAttribute(key, value);
  for (const [key, value] of Object.entries(data)) mark(node, key, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

export const icon = (path) => svg("svg", { viewBox: "0 0 24 24" }, svg("path", { d: path, "fill-rule": "evenodd" }));

/** The address of the OEE page of an equipment. */
export const oeeAddress = (equipment) => `/oee?${new URLSearchParams({ equipment })}`;

/** The address of the page where its stops are explained. */
export const stopsAddress = (equipment) => `/stops?${new URLSearchParams({ equipment })}`;

/** The address of the control charts of what is measured there, or below it. */
export const spcAddress = (equipment) => `/spc?${new URLSearchParams({ equipment })}`;

// ---- the server ----------------------------------------------------------------------------------

export class LoginNeeded extends Error {}

/** `fetch` with the login of this tab. What the server refuses is thrown in its own words. */
export async function request(address, options = {}) {
  const headers = { ...options.headers };
  const login = sessionStorage.getItem(LOGIN_KEY);
  if (login) headers.Authorization = login;
  const response = await fetch(address, { cache: "no-store", credentials: "omit", ...options, headers });
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  // Of refused rows the server says of each why: that is what helps.
  const reasons = (body?.error?.refused ?? []).map((row) => row.reason).join("; ");
  const message = reasons || (body?.error?.message ?? `the server answered ${response.status}`);
  if (response.status === 401) throw new LoginNeeded(login ? message : "");
  const error = new Error(message);
  error.status = response.status;
  throw error;
}

/** A text in SQL, whatever is in it. */
export const quoted = (text) => `'${String(text).replaceAll("'", "''")}'`;

/** The rows of a statement, each an object by the names of its columns. */
export async function ask(sql, signal) {
  const headers = { "Content-Type": "application/sql", Accept: "application/json" };
  const response = await request(SQL, { method: "POST", body: sql, headers, signal });
  const { columns, rows } = await response.json();
  return rows.map((row) => Object.fromEntries(columns.map(({ name }, place) => [name, row[place]])));
}

function loginForm() {
  const user = html("input", { id: "login-user", name: "user", autocomplete: "username", autocapitalize: "none", spellcheck: "false" });
  const secret = html("input", { id: "login-secret", name: "secret", type: "password", autocomplete: "current-password", required: "" });
  return html("form", { id: "login" },
    html("h2", {}, "Log in"),
    html("p", { id: "login-reason" }),
    html("label", {}, "User ", html("small", {}, "(leave empty for a token)"), user),
    html("label", {}, "Password or token", secret),
    html("button", {}, "Log in"),
    html("p", {}, html("small", {}, "Kept in this tab only. ", html("code", {}, "takt user token NAME"), " makes a token.")));
}

/** Whether somebody is asked to log in. */
export const isAskingLogin = () => Boolean(byId("login") && !byId("login").hidden);

/** Shows a form in the place of `content` until somebody has logged in. */
export function askLogin(reason, content) {
  sessionStorage.removeItem(LOGIN_KEY);
  if (!byId("login")) content.before(loginForm());
  put(byId("login-reason"), reason || "This server asks who is looking.");
  byId("login").hidden = false;
  content.hidden = true;
  byId("login-secret").focus();
  return new Promise((resolve) => {
    byId("login").onsubmit = (submitted) => {
      submitted.preventDefault();
      const user = byId("login-user").value.trim();
      const secret = byId("login-secret").value;
      const utf8 = String.fromCharCode(...new TextEncoder().encode(`${user}:${secret}`));
      sessionStorage.setItem(LOGIN_KEY, user ? `Basic ${btoa(utf8)}` : `Bearer ${secret.trim()}`);
      byId("login-secret").value = "";
      byId("login").hidden = true;
      content.hidden = false;
      resolve();
    };
  });
}

// One question before something is recorded: what will be done, what has to be said with it, and what the server says.

import { LoginNeeded, askLogin, byId, html, put, request } from "/session.js";
import { Words } from "/panel.js";

const dialog = () => byId("act");

function trouble(text, login = false) {
  byId("act-trouble").hidden = !text;
  put(byId("act-trouble"), text ?? "");
  byId("act-login").hidden = !login;
}

/** What the server does not take, in words that say what to do. */
function refusal(error) {
  if (error instanceof Words) return error.message;
  if (error instanceof TypeError) return "No connection to the server: nothing was recorded. Try again.";
  if (error.status === 403) return `Nothing was recorded: ${error.message}. It needs a login with the role write.`;
  return `Nothing was recorded: ${error.message}`;
}

async function logIn(reason) {
  dialog().close();
  await askLogin(reason, byId("panels"));
  dialog().showModal();
}

function fieldNode({ name, label, type = "text", value = "", required = true, hint = null, choices = null }) {
  const attributes = { name, required: required ? "" : null, autocomplete: "off" };
  const input = choices
    ? html("select", attributes, ...choices.map(([code, text]) => html("option", { value: code }, text)))
    : type === "long" ? html("textarea", { ...attributes, rows: 2 }) : html("input", { ...attributes, type });
  input.value = value;
  return html("label", {}, label, input, hint && html("small", {}, hint));
}

/**
 * Asks `fields` and sends what `rows` makes of them to `table`. `text` are nodes that say what will happen; `done` is
 * called once it is recorded.
 */
export function act({ title, text, fields = [], verb, table, rows, done }) {
  put(byId("act-title"), title);
  byId("act-text").replaceChildren(...[text].flat());
  byId("act-fields").replaceChildren(...fields.map(fieldNode));
  put(byId("act-do"), verb);
  trouble(null);
  dialog().showModal();
  const named = () => Object.fromEntries(new FormData(byId("act-form")).entries().map(([name, value]) => [name, String(value).trim()]));
  byId("act-cancel").onclick = () => dialog().close();
  byId("act-login").onclick = () => logIn("Log in as somebody who may write.");
  byId("act-form").onsubmit = async (submitted) => {
    submitted.preventDefault();
    const values = named();
    const empty = fields.find((field) => field.required !== false && !values[field.name]);
    if (empty) return trouble(`“${empty.label}” is empty: say it, for others read it later.`);
    byId("act-do").disabled = true;
    trouble(null);
    try {
      const body = JSON.stringify(await rows(values));
      await request(`/api/v1/${table}`, { method: "POST", body, headers: { "Content-Type": "application/json" } });
      dialog().close();
      done(values);
    } catch (error) {
      if (error instanceof LoginNeeded) await logIn(error.message);
      else trouble(refusal(error), error.status === 403);
    } finally {
      byId("act-do").disabled = false;
    }
  };
}

/** The live list of exports: what the server sent with the page, then every change. */

import { base, bytes, count, duration, make, messageOf, openLive } from "./page.js";

const live = openLive();
const body = document.querySelector("#exports tbody");
const notice = document.querySelector("#notice");
const isFirst = document.querySelector("#exports").dataset.first !== undefined;
const exports = new Map(); // by id, as the server describes them
const waiting = new Set(); // ids of rows that have to be drawn

/** Return the remaining time of an export, in seconds; null if it is unknown. */
function secondsLeft({ started, rows, rows_estimate }) {
  if (!rows || !rows_estimate || rows > rows_estimate) return null;
  return ((rows_estimate - rows) * (Date.now() / 1000 - started)) / rows;
}

function stateCell(it) {
  const cell = make("td", {}, it.state);
  if (it.paused) cell.append(", paused");
  if (it.queue_position) cell.append(` (${it.queue_position})`);
  // The state of a cancelled export says it already.
  if (it.error && it.error.error !== it.state)
    cell.append(" ", make("small", { className: it.state === "failed" ? "error" : "" }, it.error.message));
  // The error of a failed export says it already.
  if (it.state === "complete" && !it.kept) cell.append(" ", make("small", {}, "Expired, create it again"));
  if (it.state === "running" && it.rows_estimate) {
    const bar = make("progress", { max: it.rows_estimate, value: Math.min(it.rows, it.rows_estimate) });
    bar.setAttribute("aria-label", `${it.source}.${it.format}`);
    cell.append(" ", bar);
  }
  return cell;
}

function rateCell(it) {
  const left = it.state === "running" ? secondsLeft(it) : null;
  const rate = it.state === "running" && it.rate ? `${bytes(it.rate)}/s` : "";
  return make("td", { className: "number wide" }, left === null ? rate : `${rate}, ${duration(left)}`);
}

function readersText({ readers, slowest_reader, bytes: size }) {
  if (!readers || typeof slowest_reader !== "number" || !size) return count(readers);
  return `${count(readers)}, the slowest at ${Math.floor((100 * slowest_reader) / size)} %`;
}

function actionCell(it) {
  const isOpen = it.state === "queued" || it.state === "running";
  if (!it.may_cancel || (!isOpen && !it.kept)) return make("td");
  const button = make("button", { type: "button" }, isOpen ? "Cancel" : "Discard");
  button.setAttribute("aria-label", `${button.textContent} ${it.source}.${it.format}`);
  button.addEventListener("click", async () => {
    button.disabled = true;
    await live.cancel(it.id).catch((error) => say(messageOf(error)));
    refresh();
  });
  return make("td", {}, button);
}

/** Return a selection in readable form: `columns=carrier,flight`. */
function decoded(selection) {
  try {
    return decodeURIComponent(selection.replaceAll("+", " "));
  } catch {
    return selection;
  }
}

function row(it) {
  const name = `${it.source}.${it.format}`;
  const file = it.url ? make("a", { href: it.url }, name) : name;
  const head = make("th", { scope: "row" }, file);
  if (it.selection) head.append(" ", make("small", { className: "selection" }, decoded(it.selection)));
  const of = it.state === "running" && it.rows_estimate ? ` of ${count(it.rows_estimate)}` : "";
  const rows = make("td", { className: "number" }, count(it.rows) + of);
  rows.dataset.label = "rows"; // for narrow screens, where the table has no head
  return make(
    "tr",
    { id: it.id },
    head,
    stateCell(it),
    rows,
    make("td", { className: "number", title: `${count(it.bytes)} bytes` }, bytes(it.bytes)),
    rateCell(it),
    make("td", { className: "number wide" }, readersText(it)),
    make("td", { className: "wide" }, make("code", { title: it.sha256 ?? "" }, (it.sha256 ?? "").slice(0, 12))),
    actionCell(it),
  );
}

/** Draw what has changed, at most once a frame. A row that has the focus keeps it. */
function draw() {
  for (const id of waiting) {
    const old = document.getElementById(id);
    const fresh = row(exports.get(id));
    const hadFocus = old?.contains(document.activeElement);
    if (old) old.replaceWith(fresh);
    else body.prepend(fresh);
    if (hadFocus) fresh.querySelector("button, a")?.focus();
  }
  waiting.clear();
  document.querySelector("#none").hidden = exports.size > 0;
}

/** Take an event of any export. A page of older exports shows only those that it has. */
function takeEvent(it) {
  if (isFirst || exports.has(it.id)) take(it);
}

function take(it) {
  if (waiting.size === 0) requestAnimationFrame(draw);
  // The list says what the user may do with an export; an event does not.
  if (!exports.has(it.id) && it.may_cancel === undefined) refresh();
  exports.set(it.id, { ...exports.get(it.id), ...it, url: it.url && `${base.pathname}exports/${it.id}/file` });
  waiting.add(it.id);
}

function say(text) {
  notice.textContent = text;
  notice.hidden = false;
}

/** Request this page again: a gap may hide changes, and a restart may have removed exports. */
async function refresh() {
  // Not cached: the browser would show the JSON at this address when the user comes back to it.
  const how = { headers: { Accept: "application/json" }, cache: "no-store" };
  const answer = await fetch(`exports${location.search}`, how).catch(() => null);
  if (!answer?.ok) return;
  const { exports: all } = await answer.json();
  const known = new Set(all.map((it) => it.id));
  for (const id of exports.keys())
    if (!known.has(id)) {
      exports.delete(id);
      waiting.delete(id);
      document.getElementById(id)?.remove();
    }
  for (const it of all.reverse()) take(it);
}

// Readers of complete exports are not announced. So the page asks for them while it is visible.
setInterval(() => document.hidden || live.state.status === "refused" || refresh(), 3000);

// A user who may not follow the topic gets the state every three seconds.
if (document.querySelector("#exports").dataset.live !== undefined)
  live.subscribe("exports", {
    onEvent: (event) => takeEvent(event.data),
    onGap(gap) {
      if (gap.reason === "restarted") say("The server was restarted. Create incomplete exports again.");
      refresh();
    },
    onError: (error) => say(messageOf(error)),
  });
refresh();

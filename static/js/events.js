/** The page of live topics: follow, filter, pause and resume, show gaps, publish a test event. */

import { clock, count, duration, make, messageOf, openLive } from "./page.js";

const KEPT = 2000; // events that a filter searches
const SHOWN = 500; // of these, so many are in the page
const CELL = 2000; // characters of one event

export const live = openLive();
const list = document.querySelector("#stream");
const follow = document.querySelector("#follow");
const pause = document.querySelector("#pause");
const behind = document.querySelector("#behind");

let feed = null;
let cursor = null; // the position at which a pause began
let kept = []; // events and gaps, oldest first
let fresh = []; // those that are not drawn yet
let total = 0;
let last = null; // the time of the newest event drawn
let problem = ""; // why no events arrive

function line(it) {
  if (it.gap) return gapLine(it.gap);
  const text = JSON.stringify(it.data);
  const shown = text.length > CELL ? `${text.slice(0, CELL)}… (${count(text.length)} characters)` : text;
  return make(
    "li",
    { title: it.id },
    make("time", {}, clock(it.time)),
    make("span", { className: "name" }, `${it.topic} ${it.name}`),
    make("span", { className: "data" }, shown),
  );
}

const countEvents = (n) => `${count(n)} ${n === 1 ? "event" : "events"}`;

function gapLine(gap) {
  const lost = gap.lost === null ? "Some events" : countEvents(gap.lost);
  const again = make("button", { type: "button" }, "Load retained events");
  again.addEventListener("click", () => begin("all"));
  const said = `${lost} of ${gap.topic} are no longer available (${gap.reason}). `;
  return make("li", { className: "gap" }, said, again);
}

const matches = (it) => {
  const wanted = follow.filter.value.toLowerCase();
  return it.gap || !wanted || JSON.stringify([it.topic, it.name, it.data]).toLowerCase().includes(wanted);
};

function take(it) {
  if (fresh.length === 0) requestAnimationFrame(draw);
  fresh.push(it);
  if (fresh.length > SHOWN) fresh.splice(0, fresh.length - SHOWN);
  kept.push(it);
  if (kept.length > 2 * KEPT) kept = kept.slice(-KEPT);
  total += it.gap ? 0 : 1;
}

/** Draw what arrived since the last frame. If the user looks at the end, the list stays there. */
function draw() {
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(...fresh.filter(matches).map(line));
  while (list.children.length > SHOWN) list.firstChild.remove();
  if (isAtEnd) list.scrollTop = list.scrollHeight;
  last = fresh.findLast((it) => !it.gap)?.time ?? last;
  fresh = [];
  tellBehind();
}

/** Show the position: at every event that is drawn, and whenever the connection's state changes. */
function tellBehind() {
  const said = last === null ? "Nothing yet." : `${countEvents(total)}, the last of ${clock(last)}`;
  const late = Date.now() / 1000 - last;
  const isBehind = last !== null && late > 2 && live.state.status === "catching up";
  const lag = isBehind ? `: ${duration(late)} behind` : "";
  behind.className = problem ? "error" : "quiet";
  behind.textContent = problem || said + lag + (cursor === null ? "" : " (paused)");
}

function refuse(error) {
  problem = messageOf(error);
  tellBehind();
}

function begin(since) {
  feed?.close();
  problem = "";
  feed = live.subscribe(follow.topic.value.trim(), {
    since: since === "now" ? undefined : since,
    onEvent: take,
    onGap: (gap) => take({ gap }),
    onError: refuse,
  });
  cursor = null;
  pause.textContent = "Pause";
  pause.setAttribute("aria-pressed", "false");
  tellBehind();
}

function clear() {
  kept = [];
  fresh = [];
  total = 0;
  last = null;
  list.replaceChildren();
}

function startToFollow() {
  follow.addEventListener("submit", (event) => {
    event.preventDefault();
    clear();
    begin(follow.since.value);
  });
  follow.filter.addEventListener("input", () => {
    list.replaceChildren(...kept.filter(matches).slice(-SHOWN).map(line));
    list.scrollTop = list.scrollHeight;
  });
  pause.addEventListener("click", () => {
    if (cursor !== null) return begin(cursor);
    if (!feed) return;
    // During a pause the page stores nothing: the server retains the events, and the cursor is the position.
    cursor = feed.cursor ?? "now";
    feed.close();
    pause.textContent = "Resume";
    pause.setAttribute("aria-pressed", "true");
    tellBehind();
  });
  live.onState(tellBehind);
  const asked = new URLSearchParams(location.search).get("topic");
  if (asked) follow.topic.value = asked;
  begin(follow.since.value);
}

// A user who may not follow gets a page without this form.
if (follow) startToFollow();

const publish = document.querySelector("#publish");
publish?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const out = publish.querySelector("output");
  try {
    const data = JSON.parse(publish.data.value);
    const receipt = await live.publish(publish.topic.value.trim(), { name: publish.elements.name.value, data });
    out.textContent = `published as ${receipt.id}`;
  } catch (error) {
    out.textContent = messageOf(error);
  }
});

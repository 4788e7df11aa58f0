/**
 * A log as it grows. However many lines there are, the page has elements for those in sight only:
 * a box as high as all of them, and in it a list that is moved to where one looks.
 */

import { count, openLive } from "./page.js";

const MOST = 200_000; // lines held; the oldest fifth goes when there are more
const AROUND = 20; // lines drawn above and below what is in sight
const SHOWN = 4000; // characters of a line

const box = document.querySelector("#log");
const room = box.firstElementChild;
const list = document.createElement("ol");
const look = document.querySelector("#look");
const told = document.querySelector("#told");
const pause = document.querySelector("#pause");
const topic = `logs/${box.dataset.name}`;
room.append(list);

const live = openLive();
let lines = [];
let matching = null; // those of them with the text that is looked for; null: all
let feed = null;
let cursor = null; // where it goes on after a pause
let isPaused = false;
let isAtEnd = true;
let isDrawing = false;
let begun = 0; // how often
let isLoading = false;

const shown = () => matching ?? lines;
const wanted = () => look.filter.value.toLowerCase();
const matches = (line) => line.toLowerCase().includes(wanted());

function rowHeight() {
  return parseFloat(getComputedStyle(box).lineHeight);
}

function draw() {
  isDrawing = false;
  const height = rowHeight();
  const all = shown();
  room.style.height = `${all.length * height}px`;
  if (isAtEnd) box.scrollTop = box.scrollHeight;
  const from = Math.max(0, Math.floor(box.scrollTop / height) - AROUND);
  const to = Math.min(all.length, Math.ceil((box.scrollTop + box.clientHeight) / height) + AROUND);
  list.style.transform = `translateY(${from * height}px)`;
  list.replaceChildren(
    ...all.slice(from, to).map((line) => {
      const item = document.createElement("li");
      item.textContent = line.length > SHOWN ? `${line.slice(0, SHOWN)}…` : line;
      if (line.startsWith("# gap:")) item.className = "gap";
      return item;
    }),
  );
  const some = matching ? `${count(matching.length)} of ` : "";
  told.textContent = `${some}${count(lines.length)} lines${isPaused ? ", paused" : ""}`;
}

function redraw() {
  if (!isDrawing) requestAnimationFrame(draw);
  isDrawing = true;
}

function take(line) {
  lines.push(line);
  if (matching && matches(line)) matching.push(line);
  if (lines.length > MOST) {
    lines = lines.slice(MOST / 5);
    if (matching) matching = lines.filter(matches);
  }
  redraw();
}

function follow() {
  feed = live.subscribe(topic, {
    since: cursor ?? undefined,
    onEvent: (event) => take(event.data.line),
    onGap: (gap) => take(`# gap: ${gap.lost ?? "some"} lines are not to be had any more (${gap.reason})`),
    onError: (error) => (told.textContent = error.message),
  });
}

/** Take the last lines at once, then go on behind them. */
async function begin() {
  const mine = ++begun;
  feed?.close();
  feed = null;
  isLoading = true;
  told.textContent = "Loading…";
  const answer = await fetch(`?lines=${look.lines.value}`, { headers: { Accept: "application/x-ndjson" } });
  const text = await answer.text();
  // Another number of lines was chosen meanwhile.
  if (mine !== begun) return;
  isLoading = false;
  if (!answer.ok) return (told.textContent = JSON.parse(text).message);
  lines = [];
  cursor = answer.headers.get("Headwater-Cursor");
  for (const event of text.split("\n").filter(Boolean).map((each) => JSON.parse(each))) {
    if (event.name === "line") lines.push(event.data.line);
    cursor = event.id;
  }
  matching = wanted() ? lines.filter(matches) : null;
  isAtEnd = true;
  if (!isPaused) follow();
  redraw();
}

box.addEventListener("scroll", () => {
  isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < rowHeight() * 2;
  redraw();
});
new ResizeObserver(redraw).observe(box);
look.addEventListener("submit", (event) => event.preventDefault());
look.lines.addEventListener("change", begin);
look.filter.addEventListener("input", () => {
  matching = wanted() ? lines.filter(matches) : null;
  isAtEnd = true;
  redraw();
});
document.querySelector("#end").addEventListener("click", () => {
  isAtEnd = true;
  redraw();
});
pause.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.textContent = isPaused ? "Go on" : "Pause";
  pause.setAttribute("aria-pressed", String(isPaused));
  if (isPaused) {
    cursor = feed?.cursor ?? cursor;
    feed?.close();
  } else if (!isLoading) follow();
  redraw();
});

begin();

/**
 * The page of one log. The page has elements only for visible lines, however many lines there are:
 * a box as high as all lines, and in it a list that moves to the visible part. A wrapped line is as
 * high as its rows, which are counted, not measured.
 */

import { count, messageOf, openLive } from "./page.js";
import { Rows } from "./rows.js";

const MOST = 200_000; // lines in the page; when there are more, the oldest fifth is removed
const AROUND = 20; // lines drawn above and below the visible part
const SHOWN = 4000; // characters shown of a line
const HIGHEST = 30_000_000; // pixels; browsers support no higher elements

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
let matching = null; // the lines with the filter's text; null: all
let feed = null;
let cursor = null; // where the feed continues after a pause
let isPaused = false;
let isAtEnd = true;
let isDrawing = false;
let begun = 0; // how often the log was loaded
let isLoading = false;
let rows = new Rows(Infinity); // of the shown lines

const shown = () => matching ?? lines;
const wanted = () => look.filter.value.toLowerCase();
const matches = (line) => line.toLowerCase().includes(wanted());

function rowHeight() {
  return parseFloat(getComputedStyle(box).lineHeight);
}

const cut = (line) => (line.length > SHOWN ? `${line.slice(0, SHOWN)}…` : line);

/** Return how many letters fit into a row; Infinity if lines are not wrapped. */
function columns() {
  if (!look.wrap.checked) return Infinity;
  const letters = document.createElement("canvas").getContext("2d");
  letters.font = getComputedStyle(box).font;
  return Math.max(1, Math.floor(list.clientWidth / (letters.measureText("0".repeat(100)).width / 100)));
}

/** Count the rows again, when other lines are shown or the length of rows has changed. */
function arrange() {
  box.classList.toggle("wrap", look.wrap.checked);
  rows = new Rows(columns(), shown().map(cut));
  if (rows.count * rowHeight() > HIGHEST) {
    box.classList.remove("wrap");
    rows = new Rows(Infinity, shown());
  }
  redraw();
}

/** Wrap lines to the present width of the box, and keep the first visible line in place. */
function rearrange() {
  const height = rowHeight();
  const first = rows.lineAt(Math.floor(box.scrollTop / height));
  arrange();
  if (isAtEnd) return;
  room.style.height = `${rows.count * height}px`;
  box.scrollTop = rows.start(first) * height;
}

function draw() {
  isDrawing = false;
  const height = rowHeight();
  const all = shown();
  room.style.height = `${rows.count * height}px`;
  if (isAtEnd) box.scrollTop = box.scrollHeight;
  const from = Math.max(0, rows.lineAt(Math.floor(box.scrollTop / height)) - AROUND);
  const bottom = Math.ceil((box.scrollTop + box.clientHeight) / height);
  const to = Math.min(all.length, rows.lineAt(bottom) + 1 + AROUND);
  list.style.transform = `translateY(${rows.start(from) * height}px)`;
  list.replaceChildren(
    ...all.slice(from, to).map((line, index) => {
      const item = document.createElement("li");
      item.textContent = cut(line);
      item.style.height = `${rows.of(from + index) * height}px`;
      if (line.startsWith("# gap:")) item.className = "gap";
      return item;
    }),
  );
  const some = matching ? `${count(matching.length)} of ` : "";
  told.className = "quiet";
  told.textContent = `${some}${count(lines.length)} lines${isPaused ? ", paused" : ""}`;
}

function redraw() {
  if (!isDrawing) requestAnimationFrame(draw);
  isDrawing = true;
}

function take(line) {
  lines.push(line);
  const isShown = !matching || matches(line);
  if (matching && isShown) matching.push(line);
  if (isShown) rows.add(cut(line));
  if (lines.length > MOST) {
    lines = lines.slice(MOST / 5);
    if (matching) matching = lines.filter(matches);
    arrange();
  } else if (rows.columns !== Infinity && rows.count * rowHeight() > HIGHEST) arrange();
  redraw();
}

const gapLine = (gap) => `# gap: ${gap.lost ?? "some"} lines are no longer available (${gap.reason})`;

function refuse(error) {
  told.className = "error";
  told.textContent = messageOf(error);
}

function follow() {
  feed = live.subscribe(topic, {
    since: cursor ?? undefined,
    onEvent: (event) => take(event.data.line),
    onGap: (gap) => take(gapLine(gap)),
    onError: refuse,
  });
}

/** Load the last lines, then follow from there. */
async function begin() {
  const mine = ++begun;
  feed?.close();
  feed = null;
  isLoading = true;
  told.textContent = "Loading…";
  const answer = await fetch(`?lines=${look.lines.value}`, { headers: { Accept: "application/x-ndjson" } });
  const text = await answer.text();
  // The user chose another number of lines meanwhile.
  if (mine !== begun) return;
  isLoading = false;
  if (!answer.ok) return refuse(JSON.parse(text));
  lines = [];
  cursor = answer.headers.get("Headwater-Cursor");
  for (const event of text.split("\n").filter(Boolean).map((each) => JSON.parse(each))) {
    if (event.name === "line") lines.push(event.data.line);
    if (event.name === "gap") lines.push(gapLine(event.data));
    cursor = event.id;
  }
  matching = wanted() ? lines.filter(matches) : null;
  isAtEnd = true;
  arrange();
  if (!isPaused) follow();
}

box.addEventListener("scroll", () => {
  isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < rowHeight() * 2;
  redraw();
});
new ResizeObserver(() => (columns() === rows.columns ? redraw() : rearrange())).observe(box);
look.wrap.addEventListener("change", rearrange);
look.addEventListener("submit", (event) => event.preventDefault());
look.lines.addEventListener("change", begin);
look.filter.addEventListener("input", () => {
  matching = wanted() ? lines.filter(matches) : null;
  isAtEnd = true;
  arrange();
});
document.querySelector("#end").addEventListener("click", () => {
  isAtEnd = true;
  redraw();
});
pause.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.textContent = isPaused ? "Resume" : "Pause";
  pause.setAttribute("aria-pressed", String(isPaused));
  if (isPaused) {
    cursor = feed?.cursor ?? cursor;
    feed?.close();
  } else if (!isLoading) follow();
  redraw();
});

begin();

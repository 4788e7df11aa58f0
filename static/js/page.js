/** Shared by the live pages: one connection, the badge with its state, and formats of numbers. */

import { connect } from "./live.js";

const SAYS = {
  live: "live",
  "catching up": "catching up",
  fallback: "live, over Server-Sent Events",
  reconnecting: "reconnecting",
  deaf: "deaf: no events arrive, reconnecting",
  closed: "closed",
};

// A page has this CSRF token if it was made for a user who had logged in.
const mark = document.querySelector("meta[name=csrf-token]")?.content;

/** The address below which all pages are. */
export const base = new URL("../..", import.meta.url);

const number = new Intl.NumberFormat("en");

/** Show the elements that need JavaScript. */
export function reveal() {
  for (const element of document.querySelectorAll("[data-script]")) element.hidden = false;
}

/** Return the badge's text for a refused session: a link to log in, which leads back here. */
function sayRefused() {
  const address = new URL("login", base);
  address.searchParams.set("next", location.pathname + location.search);
  const link = make("a", { href: address.href }, "log in");
  document.querySelector(".log-out")?.remove();
  return [mark ? "your session has ended: " : "you are not logged in: ", link];
}

/** Return the page's connection. The badge shows its state. */
export function openLive() {
  reveal();
  const live = connect({ url: base.href, headers: mark ? { "X-CSRFToken": mark } : {} });
  const badge = document.querySelector("#badge");
  let state = live.state;
  let until = 0;
  const show = () => {
    badge.dataset.status = state.status;
    badge.hidden = false;
    if (state.status === "refused") return badge.replaceChildren(...sayRefused());
    const left = Math.ceil((until - Date.now()) / 1000);
    const wait = state.status === "reconnecting" && left > 0 ? ` in ${left} s` : "";
    badge.textContent = SAYS[state.status] + wait;
  };
  live.onState((now) => {
    state = now;
    until = Date.now() + (now.retryInMs ?? 0);
    show();
  });
  setInterval(() => state.status === "reconnecting" && show(), 1000);
  return live;
}

/** Return the text that a page shows for an error of live.js. */
export const messageOf = ({ status, message }) => (status === 401 ? "Your session has ended." : message);

/** Return a time in the format of the pages. */
export const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");

export const count = (n) => (n === null || n === undefined ? "–" : number.format(n));

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

export function bytes(n) {
  let unit = 0;
  for (; n >= 1000 && unit < UNITS.length - 1; unit++) n /= 1000;
  return `${unit && n < 100 ? n.toFixed(1) : Math.round(n)} ${UNITS[unit]}`;
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 3600) return `${Math.ceil(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** Return an element: make("td", {className: "number"}, "text", other…). */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

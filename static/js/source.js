/** The form of a source: every change shows its result. Without JavaScript, the button does. */

const form = document.querySelector("#selection");
const WAIT_MS = 250;
let timer;
let asked = 0;

async function show() {
  const mine = ++asked;
  const address = `${form.action}?${new URLSearchParams(new FormData(form))}`;
  const answer = await fetch(address, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer || mine !== asked) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const result = page.querySelector("#result");
  if (!result || mine !== asked) return;
  document.querySelector("#result").replaceChildren(...result.childNodes);
  history.replaceState(null, "", address);
}

form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(show, WAIT_MS);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  show();
});

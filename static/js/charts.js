/** Charts of the topic `status`: the last ten minutes from history, then each new event. */

import uPlot from "../vendor/uPlot.esm.js";
import { live } from "./events.js";
import { bytes, clock, count, make } from "./page.js";

const SECONDS = 600;
const HEIGHT = 130;

const sum = (numbers) => Object.values(numbers).reduce((a, b) => a + b, 0);
const CHARTS = [
  ["Connections", (status) => sum(status.connections), count],
  ["Events a second", (status) => status.events_per_s, count],
  ["Bytes a second", (status) => status.bytes_per_s, (n) => `${bytes(n)}/s`],
  ["Memory", (status) => status.memory_bytes, bytes],
  ["Hub lag", (status) => status.hub_lag_ms, (n) => `${n.toFixed(1)} ms`],
];

const place = document.querySelector("#charts");
const times = [];
const charts = CHARTS.map(([title, value, show]) => {
  const caption = make("figcaption", {}, title);
  const figure = make("figure", {}, caption);
  place.append(figure);
  const style = getComputedStyle(document.documentElement);
  const axis = { stroke: style.getPropertyValue("--quiet"), grid: { stroke: style.getPropertyValue("--line") } };
  const options = {
    width: figure.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [
      { ...axis, space: 80, values: (_, marks) => marks.map(clock) },
      { ...axis, size: 80, values: (_, marks) => marks.map(show) },
    ],
    series: [{}, { stroke: style.getPropertyValue("--link"), width: 1.5, points: { show: false } }],
  };
  const plot = new uPlot(options, [[], []], figure);
  plot.root.setAttribute("role", "img");
  plot.root.setAttribute("aria-label", `${title} over the last ten minutes`);
  new ResizeObserver(() => plot.setSize({ width: figure.clientWidth, height: HEIGHT })).observe(figure);
  return { title, value, show, caption, plot, values: [] };
});

let isDrawing = false;

function draw() {
  isDrawing = false;
  for (const { title, show, caption, plot, values } of charts) {
    plot.setData([times, values]);
    caption.textContent = `${title}: ${show(values.at(-1))}`;
  }
}

live.subscribe("status", {
  since: "10m",
  onError() {}, // the badge shows the state of the session
  onEvent({ data }) {
    times.push(data.time);
    for (const chart of charts) chart.values.push(chart.value(data));
    while (times.length && times[0] < data.time - SECONDS) {
      times.shift();
      for (const chart of charts) chart.values.shift();
    }
    if (!isDrawing) requestAnimationFrame(draw);
    isDrawing = true;
  },
});

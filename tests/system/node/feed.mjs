/**
 * Follows a topic on /live with the JavaScript client, and prints what it hears: [reader, kind,
 * fields] a line. kind is opened, event, refused, cut or ended; heartbeats and gaps are events.
 *
 * base, topic, since: what to follow. readers: so many at once. resumes: come back after each cut
 * until the event `last`; otherwise end with the first cut. transports: as the client takes them.
 * idleMs: end when nothing is heard for so long.
 */

import { io } from "socket.io-client";

const { base, topic, since, readers = 1, resumes = false, transports, idleMs } = JSON.parse(
  process.argv[2],
);
const RETRY_MS = 100;
let open = readers;

function say(reader, kind, fields) {
  process.stdout.write(`${JSON.stringify([reader, kind, fields])}\n`);
}

/** One reader. Its own connection, and the client's own way of coming back. */
function follow(reader) {
  const socket = io(`${base}/live`, {
    forceNew: true,
    reconnection: resumes,
    reconnectionDelay: 50,
    reconnectionDelayMax: 500,
    ...(transports ? { transports } : {}),
  });
  let cursor = since;
  let told = false; // when to come back
  let idle;

  function end(kind, fields) {
    clearTimeout(idle);
    say(reader, kind, fields);
    socket.disconnect();
    open -= 1;
    if (open === 0) process.stdout.write("", () => process.exit(0));
  }
  function hear(fields) {
    if (idleMs) {
      clearTimeout(idle);
      idle = setTimeout(() => end("cut", `nothing for ${idleMs} ms`), idleMs);
    }
    say(reader, "event", fields);
  }
  function subscribe() {
    const connection = socket.id;
    socket.emit("subscribe", { topic, since: cursor }, (answer) => {
      if (connection !== socket.id) return; // it was cut meanwhile
      if (answer.ok) {
        cursor = answer.cursor;
        if (!resumes) say(reader, "opened", answer);
      } else if (resumes && answer.status === 503) setTimeout(subscribe, RETRY_MS);
      else end("refused", answer);
    });
  }

  socket.on("connect", subscribe);
  socket.on("connect_error", (error) => {
    if (!resumes) end("cut", error.message);
    else if (!socket.active) setTimeout(() => socket.connect(), RETRY_MS);
  });
  socket.on("disconnect", (reason) => {
    if (resumes && reason === "io server disconnect") setTimeout(() => socket.connect(), RETRY_MS);
    else if (!resumes && reason !== "io client disconnect") end(told ? "ended" : "cut", reason);
  });
  socket.on("event", (event) => {
    cursor = event.id;
    hear(event);
    if (resumes && event.name === "last") end("ended");
  });
  socket.on("gap", (gap) => {
    cursor = gap.to;
    hear({ id: gap.to, name: "gap", data: gap, topic: gap.topic });
  });
  socket.on("heartbeat", ({ topic: of, newest }) => {
    hear({ id: newest, name: "heartbeat", data: {}, topic: of });
  });
  socket.on("reconnect", (fields) => {
    told = true;
    hear({ id: null, name: "reconnect", data: fields });
  });
}

for (let reader = 0; reader < readers; reader += 1) follow(reader);

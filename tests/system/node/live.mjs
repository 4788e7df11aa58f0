/**
 * Connects to /live with the JavaScript client, emits, and prints what it hears: [name, fields] a
 * line, acknowledgements under the name `ack`. Runs until it is ended.
 *
 * base; emits: a list of [event, fields]; transports: as the client takes them.
 */

import { io } from "socket.io-client";

const { base, emits = [], transports } = JSON.parse(process.argv[2]);
const socket = io(`${base}/live`, transports ? { transports } : {});
const say = (name, fields) => process.stdout.write(`${JSON.stringify([name, fields])}\n`);

socket.onAny(say);
socket.on("disconnect", (reason) => say("disconnect", reason));
socket.on("connect", () => {
  say("connect", {});
  for (const [event, fields] of emits) socket.emit(event, fields, (answer) => say("ack", answer));
});

// Node's Socket.IO server as a peer: what is published on /publish goes to everyone on /live.
// So does the body of a POST to /publish, which is JSON.
// Started by broadcasters.py: node socketio_app.mjs <port>

import { createServer } from "node:http";
import { Server } from "socket.io";

const server = createServer();
const io = new Server(server, { serveClient: false });
const live = io.of("/live");

live.on("connection", (socket) => {
  socket.emit("response", { data: "Connected to live stream" });
});
io.of("/publish").on("connection", (socket) => {
  socket.on("publish", (data) => live.emit("event", { data }));
});
server.on("request", (request, response) => {
  if (request.method !== "POST" || request.url !== "/publish") return;
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    live.emit("event", { data: JSON.parse(Buffer.concat(parts)) });
    response.writeHead(201, { "Content-Length": 0 }).end();
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1");

// Node's Socket.IO server as a peer: what is published on /publish goes to everyone on /live.
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
server.listen(Number(process.argv[2]), "127.0.0.1");

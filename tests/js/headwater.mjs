/** A real Headwater on a free port, a TCP proxy in front of it that can misbehave, and waiting. */

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, openSync, closeSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const PYTHON = path.resolve(ROOT, process.env.HEADWATER_PYTHON || ".venv/bin/python");
const GUNICORN = path.join(path.dirname(PYTHON), "gunicorn");

const CATALOGUE = `
sources.users = { generate = "users", rows = 10000 }
[topics."demo/*"]
durable = true
[topics."short/*"]
durable = true
retain_events = 10
[topics."brief/*"]
durable = false
`;

/** Wait until condition() is true; say what was waited for when it does not come true in time. */
export async function until(condition, what, withinMs = 20_000) {
  const end = Date.now() + withinMs;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`in vain for ${withinMs} ms: ${what()}`);
    await pause(10);
  }
}

const running = new Set();
// A group of its own outlives us otherwise.
process.on("exit", () => running.forEach((server) => server.killNow()));
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => process.exit(1));

export class Headwater {
  folder = mkdtempSync(path.join(tmpdir(), "headwater-js-"));
  #process = null;
  #ended = null;
  #logged = 0;

  /** Start, also again: what the instance folder holds stays. Returns once it answers. */
  async start() {
    writeFileSync(path.join(this.folder, "headwater.toml"), CATALOGUE);
    const path_ = path.join(this.folder, "server.log");
    const log = openSync(path_, "a");
    this.#logged = readFileSync(path_).length;
    // Detached: a group of its own, so that all of it can be killed at once.
    const stdio = ["ignore", log, log];
    const options = { cwd: ROOT, env: this.#environ, stdio, detached: true };
    this.#process = spawn(PYTHON, [GUNICORN, "-c", "gunicorn.conf.py", "wsgi:app"], options);
    closeSync(log);
    running.add(this);
    this.#ended = once(this.#process, "exit").then(() => running.delete(this));
    await until(() => this.#answers(), () => `the server answers: ${this.log}`, 30_000);
    return this;
  }

  get #environ() {
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith("HEADWATER_"));
    return {
      ...Object.fromEntries(own),
      HEADWATER_PORT: "0",
      HEADWATER_INSTANCE: path.join(this.folder, "instance"),
      HEADWATER_CATALOGUE: path.join(this.folder, "headwater.toml"),
    };
  }

  async #answers() {
    if (this.#process.exitCode !== null) throw new Error(`the server has ended: ${this.log}`);
    if (!this.port) return false;
    const answer = await fetch(`${this.url}/events`).catch(() => null);
    return answer?.ok;
  }

  /** What this start has said. */
  get log() {
    return readFileSync(path.join(this.folder, "server.log")).subarray(this.#logged).toString();
  }

  get port() {
    return Number(/Listening at: http:\/\/127\.0\.0\.1:(\d+)/.exec(this.log)?.[1] ?? 0);
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** SIGKILL to all of it, so that nothing is tidied. */
  async kill() {
    this.killNow();
    await this.#ended;
  }

  killNow() {
    if (running.has(this)) process.kill(-this.#process.pid, "SIGKILL");
  }

  /** SIGTERM; returns at once. ended() waits. */
  terminate() {
    this.#process.kill("SIGTERM");
  }

  async ended() {
    await this.#ended;
  }

  async remove() {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Make a token, and return its text. The server sees it soon. */
  async addToken() {
    return (await this.#tokens("add", "ann", "--scope", "admin")).trim();
  }

  async withdraw(token) {
    await this.#tokens("withdraw", token.split("_")[1]);
  }

  async #tokens(...words) {
    const command = ["-m", "flask", "--app", "wsgi", "tokens", ...words];
    const options = { cwd: ROOT, env: this.#environ };
    return (await promisify(execFile)(PYTHON, command, options)).stdout;
  }

  // What anybody may ask over HTTP.

  async publish(topic, events) {
    const lines = events.map((event) => `${JSON.stringify(event)}\n`).join("");
    const headers = { "Content-Type": "application/x-ndjson" };
    const answer = await fetch(`${this.url}/events/${topic}`, { method: "POST", headers, body: lines });
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  }

  /** All events that are kept. */
  async kept(topic) {
    const answer = await fetch(`${this.url}/events/${topic}?since=all&poll=1`);
    const lines = (await answer.text()).split("\n").filter(Boolean);
    return lines.map((line) => JSON.parse(line)).filter((event) => event.name !== "heartbeat");
  }
}

// Node 20 never ends if a socket is reset that is being shut down (it spins in CleanupHandles): such
// a one sends what it still has.
function reset(socket) {
  if (socket.writableEnded) socket.destroySoon();
  else socket.resetAndDestroy();
}

/** Passes bytes on to a port, until it is told otherwise. */
export class Proxy {
  /** What is refused: of a connection's first bytes. */
  refuses = () => false;
  #pairs = new Set();
  #server;

  /** target: returns the port. */
  constructor(target) {
    this.#server = net.createServer((client) => this.#serve(client, target()));
  }

  async listen() {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  get connections() {
    return this.#pairs.size;
  }

  #serve(client, port) {
    const server = net.connect(port, "127.0.0.1");
    const pair = { client, server, deaf: false };
    this.#pairs.add(pair);
    for (const [one, other] of [[client, server], [server, client]]) {
      one.setNoDelay();
      one.on("error", () => {}); // "close" follows
      one.on("end", () => other.end());
      one.on("close", () => {
        this.#pairs.delete(pair);
        reset(other);
      });
    }
    client.once("data", (head) => {
      if (this.refuses(head.toString("latin1"))) return reset(client);
      server.write(head);
      client.on("data", (data) => server.write(data));
    });
    server.on("data", (data) => pair.deaf || client.write(data));
  }

  /** Reset all connections. */
  cut() {
    for (const { client } of [...this.#pairs]) reset(client);
  }

  /** From now on the connections there are bring nothing to the client; new ones do. */
  deafen() {
    for (const pair of this.#pairs) pair.deaf = true;
  }

  close() {
    this.cut();
    this.#server.close();
  }
}

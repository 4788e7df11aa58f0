/**
 * Lines: connections to the server, over Socket.IO or over Server-Sent Events with HTTP. A line is used
 * once: it is opened, carries feeds and requests, is lost or closed, and another one replaces it.
 *
 * Each has: transport; open(): resolves when it is up; follow(feed, done): calls done(error, answer)
 * before it hands on the first event; drop(feed); ask(name, body, done); close().
 * Each calls: up.event, up.gap, up.heartbeat (with what came), up.changed(), up.down(line, after_ms?).
 */

// An EventSource's readyState.
const OPEN = 1;
const CLOSED = 2;

const UNAUTHORIZED = 401;

/** The server does not accept the credential, or no longer: do not try again. answer: the server's. */
export class Unauthorized extends Error {
  constructor(answer) {
    super(answer.message);
    this.answer = { error: "unauthorized", status: UNAUTHORIZED, ...answer };
  }
}

export const isUnauthorized = ({ status }) => status === UNAUTHORIZED;

/** Return the reason that a Socket.IO client gives: an answer of the namespace, or the status of a poll. */
const reasonOf = (error) =>
  isUnauthorized(error.data ?? {}) || error.description === UNAUTHORIZED
    ? new Unauthorized(error.data ?? { message: "the server does not accept the credential" })
    : error;

export class SocketLine {
  isUp = true;

  /** socket: a socket of the Socket.IO client, not connected yet. */
  constructor(socket, { answerMs, openMs }, up) {
    Object.assign(this, { socket, answerMs, openMs, up });
  }

  get transport() {
    return this.socket.io.engine?.transport.name ?? null;
  }

  open() {
    const { socket, up } = this;
    return new Promise((resolve, reject) => {
      this.late = setTimeout(() => reject(new Error("no connection in time")), this.openMs);
      socket.on("connect", () => {
        clearTimeout(this.late);
        socket.io.engine.on("upgrade", () => up.changed());
        resolve();
      });
      socket.on("connect_error", (error) => reject(reasonOf(error)));
      socket.on("disconnect", () => {
        this.isUp = false;
        up.down(this);
      });
      socket.on("reconnect", ({ after_ms }) => up.down(this, after_ms));
      socket.on("event", (event) => up.event(event));
      socket.on("gap", (gap) => up.gap(gap));
      socket.on("heartbeat", ({ topic, newest }) => up.heartbeat(newest, topic));
      socket.connect();
    });
  }

  follow(feed, done) {
    this.ask("subscribe", { topic: feed.topic, since: feed.since }, done);
  }

  drop(feed) {
    this.socket.emit("unsubscribe", { topic: feed.topic });
  }

  /** done: called once, also if the line is cut before the answer, but not after close(). */
  ask(name, body, done) {
    this.socket.timeout(this.answerMs).emit(name, body, done);
  }

  close() {
    clearTimeout(this.late);
    this.socket.off();
    this.socket.disconnect();
  }
}

const NDJSON = { headers: { Accept: "application/x-ndjson" } };
const JSON_BODY = { "Content-Type": "application/json" };
const REQUESTS = {
  publish: ({ topic, key, ...event }) => [
    `events/${topic}`,
    { method: "POST", headers: { ...JSON_BODY, "Idempotency-Key": key }, body: JSON.stringify(event) },
  ],
  readers: ({ topic }) => [`events/${topic}/readers`],
  cancel: ({ id }) => [`exports/${id}`, { method: "DELETE" }],
};

/** Return the answer in the form of a Socket.IO acknowledgement. */
async function answerOf(response) {
  const text = await response.text();
  const fields = response.headers.get("Content-Type")?.includes("json") ? JSON.parse(text) : {};
  return { ok: response.ok, status: response.status, ...fields };
}

/**
 * One EventSource carries all feeds: browsers have six for all tabs. Ids sort over all topics, so it
 * begins at the oldest cursor, and each feed drops what it has seen.
 */
export class EventSourceLine {
  transport = "sse";
  #feeds = new Set();
  #source = null;
  #starting = 0;
  #asked = Promise.resolve();
  #closing = new AbortController();

  /** base: the server's URL, with "/" at the end. */
  constructor(base, { eventSource, answerMs, headers }, up) {
    Object.assign(this, { base, eventSource, answerMs, headers, up });
  }

  /** False while the EventSource reconnects by itself. */
  get isUp() {
    return this.#source === null || this.#source.readyState === OPEN;
  }

  async open() {
    const response = await this.#fetch(this.#url("events"));
    if (isUnauthorized(response)) throw new Unauthorized(await answerOf(response));
    response.body?.cancel();
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
  }

  /** Ask by fetch first: an EventSource says neither why it is refused nor where it begins. */
  async follow(feed, done) {
    this.#feeds.add(feed);
    this.#starting += 1;
    try {
      const query = { since: feed.since, poll: 1 };
      const response = await this.#fetch(this.#url(`events/${feed.topic}`, query), NDJSON);
      if (response.ok) {
        response.body?.cancel();
        done(null, { ok: true, cursor: response.headers.get("Headwater-Cursor") });
      } else {
        this.#feeds.delete(feed);
        done(null, await answerOf(response));
      }
    } catch (error) {
      done(error);
    }
    this.#starting -= 1;
    this.#listen();
  }

  drop(feed) {
    this.#feeds.delete(feed);
    this.#listen();
  }

  /** Requests go one after the other, as on a socket. */
  ask(name, body, done) {
    this.#asked = this.#asked.then(async () => {
      try {
        const [path, options] = REQUESTS[name](body);
        done(null, await answerOf(await this.#fetch(this.#url(path), options)));
      } catch (error) {
        done(error);
      }
    });
  }

  close() {
    this.#closing.abort();
    this.#source?.close();
  }

  #listen() {
    if (this.#starting || this.#closing.signal.aborted) return;
    this.#source?.close();
    this.#source = null;
    const feeds = [...this.#feeds];
    if (feeds.length === 0) return;
    const topics = feeds.map((feed) => feed.topic).join(",");
    const since = feeds.map((feed) => feed.cursor).sort()[0];
    const source = new this.eventSource(this.#url(`events/${topics}`, { since, whole: 1 }));
    this.#source = source;
    for (const name of ["message", "gap", "heartbeat"])
      source.addEventListener(name, (message) => this.#take(JSON.parse(message.data)));
    source.addEventListener("open", () => {
      for (const feed of this.#feeds) feed.hear(Date.now());
      this.up.changed();
    });
    // It reconnects by itself, after the time that the server gave, unless it is refused.
    source.addEventListener("error", () => {
      if (source.readyState === CLOSED) this.up.down(this);
      else this.up.changed();
    });
  }

  #take(event) {
    if (event.name === "gap") this.up.gap({ topic: event.topic, id: event.id, ...event.data });
    else if (event.name !== "heartbeat") this.up.event(event);
    const now = Date.now();
    // A heartbeat is for all feeds together.
    const isBehind = [...this.#feeds].every((feed) => feed.cursor < event.id);
    for (const feed of this.#feeds)
      if (event.name !== "heartbeat") feed.hear(now);
      else feed.hear(now, isBehind ? event.id : feed.cursor);
  }

  #url(path, query = {}) {
    const url = new URL(this.base);
    url.pathname += path; // escapes characters with a meaning in a URL
    for (const [key, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(key, value);
    return url;
  }

  #fetch(url, options = {}) {
    const signal = AbortSignal.any([AbortSignal.timeout(this.answerMs), this.#closing.signal]);
    const headers = { ...this.headers, ...options.headers };
    return fetch(url, { ...options, headers, signal });
  }
}

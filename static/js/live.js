/**
 * Live feeds without loss: subscribe, publish, and a state to show, over Socket.IO, or over Server-Sent
 * Events where Socket.IO does not get through. docs/live-js.md says how to use it, docs/events.md what
 * the server does.
 *
 * Nothing is lost: each feed keeps its cursor, and every new line continues from there. Nothing is seen
 * twice: a feed takes only events after its cursor. A publish happens once: it has a key, under which
 * the server stores it once, however often it is sent. Way in: connect.
 */

import { Feed, LiveError, tell } from "./feed.js";
import { EventSourceLine, isUnauthorized, SocketLine, Unauthorized } from "./lines.js";

const DEFAULTS = {
  url: globalThis.location?.origin, // where Headwater is, with the path under which it is mounted
  io: undefined, // the Socket.IO client's io(); without it, io is imported from client
  client: new URL("../vendor/socket.io.esm.min.js", import.meta.url).href,
  token: undefined, // a token of the server; a browser that has logged in needs none
  headers: {}, // more header fields of requests over HTTP
  socket: {}, // more options for io(): auth, extraHeaders, …
  sse: "auto", // "never", "only"
  eventSource: globalThis.EventSource,
  heartbeatMs: 15_000, // the server's interval
  silentHeartbeats: 2.5, // after so many silent intervals a line is deaf
  lagMs: 2_000, // also if an event that a heartbeat named takes longer than this
  answerMs: 10_000, // after so long without an answer, ask again
  openMs: 10_000,
  backoffMs: [500, 30_000], // the first and the longest wait; the client waits half of it to all of it
  triesBeforeSse: 3,
  retrySocketMs: 60_000, // how often Socket.IO is tried again while SSE carries the feeds
};

const MAX_TOPICS = 64; // the server's limit for one connection

// From the best to the worst. With two connections, the state is the worse one.
const STATUSES = ["live", "fallback", "catching up", "reconnecting", "deaf", "refused", "closed"];

/** Return a Live that connects at once. options: see DEFAULTS. */
export function connect(options = {}) {
  const all = { ...DEFAULTS, ...options };
  if (all.token) {
    all.headers = { Authorization: `Bearer ${all.token}`, ...all.headers };
    all.socket = { auth: { token: all.token }, ...all.socket };
  }
  return new Live(all);
}

class Live {
  #options;
  #base;
  #feeds = new Set();
  #asks = new Set(); // unanswered requests, in their order
  #watchers = new Set();
  #told = {};
  #line = null; // the line that is up
  #trying = null; // the line that is being opened
  #busy = false;
  #failures = 0; // since the last answer
  #socketFailures = 0; // since Socket.IO was up
  #deaf = false;
  #closed = false;
  #refusal = null; // the server's answer, once it has not accepted the credential
  #retryAt = null;
  #retryTimer;
  #tickTimer;
  #next = null; // another connection: for overlapping feeds, and for more topics than one may have

  constructor(options) {
    this.#options = options;
    this.#base = new URL(options.url, globalThis.location?.href).href.replace(/\/*$/, "/");
    this.#tickTimer = setInterval(() => this.#tick(), Math.min(options.lagMs, options.heartbeatMs) / 4);
    this.#try();
  }

  /**
   * Follow a topic, or several ("a,b", "demo/*"). handlers: since, restart, onEvent, onGap, onError
   * (see Feed). Returns the Feed: its cursor can be stored, and used as since later.
   */
  subscribe(topic, handlers = {}) {
    if (this.#closed) throw new Error("this connection is closed");
    const feeds = [...this.#feeds];
    const names = [topic, ...feeds.map((feed) => feed.topic)].join().split(",").length;
    if (feeds.length && (names > MAX_TOPICS || feeds.some((feed) => feed.overlaps(topic)))) {
      this.#next ??= this.#connectAnother();
      return this.#next.subscribe(topic, handlers);
    }
    const feed = new Feed(topic, handlers, () => this.#leave(feed));
    if (this.#refusal) {
      queueMicrotask(() => feed.refuse(this.#refusal));
      return feed;
    }
    this.#feeds.add(feed);
    if (this.#line) this.#follow(feed, this.#line);
    this.#changed();
    return feed;
  }

  /** Resolves to {id, topic, count} once the event is retained: once, whatever happens to the connection. */
  publish(topic, { name, data }, { key = randomKey() } = {}) {
    return this.#ask("publish", { topic, name, data, key });
  }

  /** Cancel an export. Resolves to {id, state}. */
  cancel(exportId) {
    return this.#ask("cancel", { id: exportId });
  }

  /** Resolves to {topic, count, readers}. */
  readers(topic) {
    return this.#ask("readers", { topic });
  }

  /** {status, transport, retryInMs?}; see docs/live-js.md. */
  get state() {
    const mine = this.#ownState();
    const other = this.#next?.state;
    return other && STATUSES.indexOf(other.status) > STATUSES.indexOf(mine.status) ? other : mine;
  }

  /** Call fn(state) now and at every change. Returns a function that ends this. */
  onState(fn) {
    this.#watchers.add(fn);
    tell(fn, this.state);
    return () => this.#watchers.delete(fn);
  }

  /** End all feeds. Unanswered requests are rejected, though they may have happened. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#end({ error: "closed", message: "closed before the answer" });
    this.#next?.close();
    this.#changed();
  }

  /** Stop trying. answer: the reason, for unanswered requests. */
  #end(answer) {
    clearInterval(this.#tickTimer);
    clearTimeout(this.#retryTimer);
    this.#retryAt = null;
    for (const feed of this.#feeds) feed.pause();
    for (const line of [this.#line, this.#trying]) line?.close();
    this.#line = null;
    for (const ask of this.#asks) ask.reject(new LiveError(answer, ask.body.key));
    this.#asks.clear();
  }

  /** The server does not accept the credential: end feeds and requests with its answer. */
  #refuse(answer) {
    if (this.#refusal || this.#closed) return;
    this.#refusal = answer;
    this.#end(answer);
    const feeds = [...this.#feeds];
    this.#feeds.clear();
    this.#changed();
    for (const feed of feeds) feed.refuse(answer);
  }

  get #isOver() {
    return this.#closed || this.#refusal !== null;
  }

  #ownState() {
    if (this.#closed) return { status: "closed", transport: null };
    if (this.#refusal) return { status: "refused", transport: null };
    if (this.#line?.isUp) {
      const current = [...this.#feeds].every((feed) => feed.caughtUp);
      const best = this.#line instanceof SocketLine ? "live" : "fallback";
      return { status: current ? best : "catching up", transport: this.#line.transport };
    }
    const state = { status: this.#deaf ? "deaf" : "reconnecting", transport: null };
    if (!this.#line && this.#retryAt !== null) state.retryInMs = Math.max(0, this.#retryAt - Date.now());
    return state;
  }

  #changed() {
    const { state } = this;
    const now = { status: state.status, transport: state.transport, retryAt: this.#retryAt };
    if (Object.keys(now).every((key) => now[key] === this.#told[key])) return;
    this.#told = now;
    for (const fn of this.#watchers) tell(fn, state);
  }

  #connectAnother() {
    const next = new Live(this.#options);
    next.onState(() => this.#changed());
    return next;
  }

  // Connecting: one #try() at a time. It ends with a line, or with a time for the next try.

  async #try() {
    this.#busy = true;
    this.#retryAt = null;
    this.#changed();
    const up = await this.#openOne();
    this.#busy = false;
    if (this.#isOver || (up && this.#line)) return;
    this.#failures += 1;
    this.#retry(this.#line ? jitter(this.#options.retrySocketMs) : this.#backoff());
  }

  // Returns whether to stay with this line. SSE is not final if Socket.IO may work later.
  async #openOne() {
    const { sse, triesBeforeSse } = this.#options;
    if (sse !== "only") {
      if (await this.#open(() => this.#socketLine())) return true;
      this.#socketFailures += 1;
      if (this.#isOver) return false;
      if (sse === "never" || this.#socketFailures < triesBeforeSse) return false;
    }
    if (!this.#line && !this.#isOver)
      await this.#open(() => new EventSourceLine(this.#base, this.#options, this.#ears()));
    return sse === "only" && this.#line !== null;
  }

  async #open(make) {
    let line;
    try {
      line = await make();
      this.#trying = line;
      await line.open();
      if (this.#isOver || !line.isUp) throw new Error("too late");
    } catch (error) {
      line?.close();
      this.#deaf = false;
      if (error instanceof Unauthorized) this.#doubt(line, error.answer);
      return false;
    } finally {
      this.#trying = null;
    }
    this.#take(line);
    return true;
  }

  /** Over Socket.IO a header field with the credential may be missing. So ask over HTTP, too. */
  #doubt(line, answer) {
    const { sse, triesBeforeSse } = this.#options;
    if (line instanceof SocketLine && sse !== "never") this.#socketFailures = triesBeforeSse;
    else if (this.#line === null) this.#refuse(answer);
  }

  async #socketLine() {
    const { client, socket } = this.#options;
    const { io = (await import(client)).io } = this.#options;
    const { origin, pathname } = new URL(this.#base);
    const transports = ["websocket", "polling"];
    const options = { path: `${pathname}socket.io`, transports, tryAllTransports: true, ...socket };
    const own = { forceNew: true, reconnection: false, autoConnect: false };
    return new SocketLine(io(`${origin}/live`, { ...options, ...own }), this.#options, this.#ears());
  }

  #ears() {
    return {
      event: (event) => {
        const now = Date.now();
        for (const feed of this.#feeds) if (feed.follows(event.topic)) feed.takeEvent(event, now);
        if (this.#told.status === "catching up") this.#changed();
      },
      gap: (gap) => {
        const now = Date.now();
        for (const feed of this.#feeds) if (feed.follows(gap.topic)) feed.takeGap(gap, now);
      },
      heartbeat: (newest, topic) => {
        for (const feed of this.#feeds) if (feed.topic === topic) feed.hear(Date.now(), newest);
      },
      changed: () => this.#changed(),
      down: (line, afterMs) => this.#lose(line, afterMs),
    };
  }

  #take(line) {
    this.#line?.close();
    this.#line = line;
    this.#deaf = false;
    if (line instanceof SocketLine) this.#socketFailures = 0;
    for (const feed of this.#feeds) this.#follow(feed, line);
    for (const ask of this.#asks) this.#send(ask, line);
    this.#changed();
  }

  #lose(line, afterMs = this.#backoff()) {
    if (line !== this.#line || this.#isOver) return;
    this.#line = null;
    line.close();
    for (const feed of this.#feeds) feed.pause();
    if (!this.#busy) this.#retry(afterMs);
    this.#changed();
  }

  #retry(ms) {
    clearTimeout(this.#retryTimer);
    this.#retryAt = Date.now() + ms;
    this.#retryTimer = setTimeout(() => this.#try(), ms);
    this.#changed();
  }

  #backoff() {
    const [first, longest] = this.#options.backoffMs;
    return jitter(Math.min(longest, first * 2 ** this.#failures));
  }

  #tick() {
    const { heartbeatMs, silentHeartbeats, lagMs } = this.#options;
    const limits = { silentMs: heartbeatMs * silentHeartbeats, lagMs };
    const now = Date.now();
    if (this.#line?.isUp && [...this.#feeds].some((feed) => feed.isDeaf(now, limits))) {
      this.#deaf = true;
      this.#lose(this.#line);
    }
    this.#changed();
  }

  // Feeds and requests.

  #follow(feed, line) {
    feed.pause();
    line.follow(feed, (error, answer) => {
      if (line !== this.#line || !this.#feeds.has(feed)) return;
      if (error || isPassing(answer)) return this.#lose(line);
      if (isUnauthorized(answer)) return this.#refuse(answer);
      this.#failures = 0;
      if (answer.ok) feed.begin(answer, Date.now());
      else if (feed.refuse(answer)) return this.#follow(feed, line);
      else this.#feeds.delete(feed);
      this.#changed();
    });
  }

  #leave(feed) {
    if (this.#feeds.delete(feed)) this.#line?.drop(feed);
    this.#changed();
  }

  #ask(name, body) {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new Error("this connection is closed");
      if (this.#refusal) throw new LiveError(this.#refusal, body.key);
      const ask = { name, body, resolve, reject };
      this.#asks.add(ask);
      if (this.#line) this.#send(ask, this.#line);
    });
  }

  // An unanswered request stays. The next line sends it again, after those before it.
  #send(ask, line) {
    line.ask(ask.name, ask.body, (error, answer) => {
      if (error || isPassing(answer)) return this.#lose(line);
      if (isUnauthorized(answer)) return this.#refuse(answer);
      if (!this.#asks.delete(ask)) return;
      this.#failures = 0;
      const { ok, ...fields } = answer;
      if (ok) ask.resolve(fields);
      else ask.reject(new LiveError(answer, ask.body.key));
    });
  }
}

// Not crypto.randomUUID, which is available to pages over HTTPS only.
const randomKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-");
// Too many requests, or a server that starts or stops: its next process will answer.
const isPassing = ({ ok, status }) => !ok && (status === 429 || status === 503);
const jitter = (ms) => ms * (0.5 + Math.random() / 2);

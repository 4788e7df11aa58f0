/**
 * Feeds: what one subscription has seen, and what it hands on: every event once, in the order of the
 * ids, and a gap for events that are not available.
 *
 * Pure: knows no network and no timers. A line reports what arrived, and when. Way in: Feed.
 */

const namesIn = (topics) => topics.split(",");
const covers = (name, topic) =>
  name === topic || (name.endsWith("*") && topic.startsWith(name.slice(0, -1)));

const UNKNOWN = "~"; // greater than every id

const AGE = /^(all|[0-9]+(ms|[smhd]))$/;
const REFUSED_CURSOR = new Set(["malformed_cursor", "future_cursor"]);

/** A refusal of the server. code, status, detail: of its answer; key: of a publish. */
export class LiveError extends Error {
  constructor({ error, message, status, detail }, key) {
    super(message ?? error);
    Object.assign(this, { name: "LiveError", code: error, status, detail, key });
  }
}

/** Call a handler. An exception in it is reported, and the other handlers get their event. */
export function tell(handler, what) {
  try {
    handler?.(what);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** Its public part: topic, cursor (null until the server has said where it begins), close(). */
export class Feed {
  cursor = null;
  #names;
  #since;
  #on;
  #leave;
  #refused = null; // the gap to report once the server has said where the feed begins again
  #begun = false; // events before the acknowledgement belong to an earlier subscription
  #target = UNKNOWN; // the id at which it has caught up
  #heardAt = 0;
  #newest = ""; // the id in the last heartbeat; "" once anything arrived after it
  #doubts = 0;

  /**
   * since: a cursor, an age ("5m"), "all" or undefined for now. restart: where to begin when the
   * server refuses the cursor, "now" or "all". leave: called by close().
   */
  constructor(topic, { since, restart = "now", onEvent, onGap, onError }, leave) {
    this.topic = topic;
    this.#names = namesIn(topic);
    this.restart = restart;
    this.#on = { onEvent, onGap, onError };
    this.#leave = leave;
    if (since === undefined || AGE.test(since)) this.#since = since;
    else this.cursor = since;
  }

  close() {
    this.#begun = false;
    this.#leave(this);
  }

  /** Return whether an event of topic belongs to this feed. A gap may be of all its topics together. */
  follows(topic) {
    return topic === this.topic || this.#names.some((name) => covers(name, topic));
  }

  /** Return whether a topic may be in both: the server does not say to which of two an event belongs. */
  overlaps(topics) {
    const each = (other) => this.follows(other) || this.#names.some((name) => covers(other, name));
    return namesIn(topics).some(each);
  }

  /** Where to continue. */
  get since() {
    return this.cursor ?? this.#since;
  }

  get caughtUp() {
    return this.#begun && this.cursor >= this.#target;
  }

  /** The line is gone or was replaced: take nothing until begin(). */
  pause() {
    this.#begun = false;
  }

  /** The server has acknowledged the subscription. newest: the newest event there was, if it said. */
  begin({ cursor, newest }, nowMs) {
    const isNow = this.since === undefined;
    this.cursor ??= cursor;
    this.#begun = true;
    this.hear(nowMs);
    this.#target = newest ?? (isNow ? "" : UNKNOWN);
    const gap = this.#refused;
    this.#refused = null;
    if (gap) tell(this.#on.onGap, { ...gap, id: this.cursor, to: this.cursor });
  }

  /** Handle a refusal. Returns true to ask again: the cursor was the reason, and is now forgotten. */
  refuse(answer) {
    if (this.cursor !== null && REFUSED_CURSOR.has(answer.error)) {
      const { error, message } = answer;
      this.#refused = { topic: this.topic, from: this.cursor, lost: null, reason: "refused", error, message };
      this.cursor = null;
      this.#since = this.restart === "all" ? "all" : undefined;
      return true;
    }
    const error = new LiveError(answer);
    if (this.#on.onError) tell(this.#on.onError, error);
    else console.error(`live feed ${this.topic}: ${error.message}`);
    return false;
  }

  takeEvent(event, nowMs) {
    if (this.#advance(event.id, nowMs)) tell(this.#on.onEvent, event);
  }

  /** gap: topic, id, from, to, lost, reason, …. Events of other topics up to `to` may come after it. */
  takeGap(gap, nowMs) {
    const isNews = this.#begun && !((gap.to ?? gap.id) <= this.cursor);
    this.#advance(gap.id, nowMs);
    if (isNews) tell(this.#on.onGap, gap);
  }

  /** Something arrived. newest: the newest id, if this is a heartbeat. */
  hear(nowMs, newest = "") {
    this.#heardAt = nowMs;
    this.#newest = newest;
    this.#doubts = 0;
    if (newest !== "" && this.#target === UNKNOWN) this.#target = newest;
  }

  /**
   * Return whether events are missing. Called on every tick. silentMs: the longest time without any
   * sign. lagMs: the longest time between a heartbeat and the event that it names. Two ticks in a row
   * have to agree: after a sleep the clock has jumped, and unread data waits behind this tick.
   */
  isDeaf(nowMs, { silentMs, lagMs }) {
    const quietMs = nowMs - this.#heardAt;
    // The server has not said where the feed has caught up. A pause in the data has to do.
    if (this.#target === UNKNOWN && quietMs > lagMs / 4) this.#target = "";
    const doubt = quietMs > silentMs || (this.#newest > this.cursor && quietMs > lagMs);
    this.#doubts = this.#begun && doubt ? this.#doubts + 1 : 0;
    return this.#doubts > 1;
  }

  #advance(id, nowMs) {
    if (!this.#begun) return false;
    this.hear(nowMs);
    if (id <= this.cursor) return false;
    this.cursor = id;
    return true;
  }

}

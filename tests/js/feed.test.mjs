import assert from "node:assert/strict";
import { test } from "node:test";
import { Feed } from "../../static/js/feed.js";

const LIMITS = { silentMs: 100, lagMs: 10 };

function makeFeed(topic = "demo/a", options = {}) {
  const told = [];
  const handlers = {
    onEvent: (event) => told.push(event.id),
    onGap: (gap) => told.push(gap),
    onError: (error) => told.push(error),
  };
  const feed = new Feed(topic, { ...handlers, ...options }, () => {});
  return { feed, told };
}

function begunFeed(options) {
  const made = makeFeed("demo/a", options);
  made.feed.begin({ cursor: "c0" }, 0);
  return made;
}

test("an event is told once, and only after its cursor", () => {
  const { feed, told } = begunFeed();
  for (const id of ["c1", "c2", "c2", "c1", "c3", "c0"]) feed.takeEvent({ id }, 0);
  assert.deepEqual(told, ["c1", "c2", "c3"]);
  assert.equal(feed.cursor, "c3");
});

test("nothing is taken before the acknowledgement: it is of an earlier subscription", () => {
  const { feed, told } = makeFeed("demo/a", { since: "all" });
  feed.takeEvent({ id: "c9" }, 0);
  feed.begin({ cursor: "c0" }, 0);
  feed.takeEvent({ id: "c1" }, 0);
  assert.deepEqual(told, ["c1"]);
});

test("a cursor that was handed in is kept, whatever the acknowledgement says", () => {
  const { feed, told } = makeFeed("demo/a", { since: "c5" });
  feed.begin({ cursor: "c8" }, 0);
  feed.takeGap({ from: "c5", to: "c7", lost: 2, reason: "expired" }, 0);
  feed.takeEvent({ id: "c8" }, 0);
  assert.deepEqual(told, [{ from: "c5", to: "c7", lost: 2, reason: "expired" }, "c8"]);
});

test("a gap that is an event of the topic ends at its own id, and is told once", () => {
  const { feed, told } = makeFeed("logs/app");
  feed.begin({ cursor: "1" }, 0);
  const gap = { id: "2", from: "1", to: null, lost: null, reason: "rotated" };
  for (const each of [gap, gap]) feed.takeGap(each, 0);
  assert.deepEqual(told, [gap]);
});

test("an age is asked for until the server has said where that is", () => {
  const { feed } = makeFeed("demo/a", { since: "5m" });
  assert.equal(feed.since, "5m");
  feed.begin({ cursor: "c0" }, 0);
  assert.equal(feed.since, "c0");
});

for (const [restart, since] of [["now", undefined], ["all", "all"]]) {
  test(`a refused cursor is told as a gap and the feed begins with ${restart}`, () => {
    const { feed, told } = makeFeed("demo/a", { since: "c5", restart });
    assert.equal(feed.refuse({ error: "future_cursor", message: "ahead" }), true);
    assert.equal(feed.since, since);
    feed.begin({ cursor: "b1" }, 0);
    const gap = { topic: "demo/a", id: "b1", from: "c5", to: "b1", lost: null, reason: "refused" };
    assert.deepEqual(told, [{ ...gap, error: "future_cursor", message: "ahead" }]);
  });
}

test("another refusal ends the feed", () => {
  const { feed, told } = makeFeed();
  assert.equal(feed.refuse({ error: "no_such_topic", message: "no", status: 404 }), false);
  assert.equal(told[0].code, "no_such_topic");
});

test("a silent line is deaf, on the second look", () => {
  const { feed } = begunFeed();
  assert.deepEqual([90, 101, 102].map((now) => feed.isDeaf(now, LIMITS)), [false, false, true]);
});

test("a heartbeat that names what has not come makes it deaf after a moment", () => {
  const { feed } = begunFeed();
  feed.hear(0, "c1");
  assert.deepEqual([9, 11, 12].map((now) => feed.isDeaf(now, LIMITS)), [false, false, true]);
});

test("it is not deaf when that comes in the end", () => {
  const { feed } = begunFeed();
  feed.hear(0, "c1");
  assert.equal(feed.isDeaf(11, LIMITS), false);
  feed.takeEvent({ id: "c1" }, 12);
  assert.deepEqual([50, 51].map((now) => feed.isDeaf(now, LIMITS)), [false, false]);
});

test("a heartbeat of what is there already is a sign of life", () => {
  const { feed } = begunFeed();
  feed.takeEvent({ id: "c1" }, 0);
  feed.hear(90, "c1");
  assert.deepEqual([180, 181].map((now) => feed.isDeaf(now, LIMITS)), [false, false]);
});

test("it has caught up with what was the newest when it began", () => {
  const { feed } = makeFeed("demo/a", { since: "c1" });
  feed.begin({ cursor: "c1", newest: "c3" }, 0);
  const seen = [feed.caughtUp];
  for (const id of ["c2", "c3"]) {
    feed.takeEvent({ id }, 0);
    seen.push(feed.caughtUp);
  }
  assert.deepEqual(seen, [false, false, true]);
});

test("when nobody says what was the newest, a heartbeat or a pause tells that it has caught up", () => {
  for (const settle of [(feed) => feed.hear(2, "c0"), (feed) => feed.isDeaf(3, LIMITS)]) {
    const { feed } = makeFeed("demo/a", { since: "c0" });
    feed.begin({ cursor: "c0" }, 0);
    feed.isDeaf(1, LIMITS);
    assert.equal(feed.caughtUp, false);
    settle(feed);
    assert.equal(feed.caughtUp, true);
  }
});

test("a feed that begins now has caught up", () => {
  assert.equal(begunFeed().feed.caughtUp, true);
});

test("what a handler throws stops nobody and is reported", (t) => {
  const later = t.mock.method(globalThis, "queueMicrotask", () => {});
  const { feed } = makeFeed("demo/a", {
    onEvent() {
      throw new Error("theirs");
    },
  });
  feed.begin({ cursor: "c0" }, 0);
  feed.takeEvent({ id: "c1" }, 0);
  assert.equal(feed.cursor, "c1");
  assert.throws(later.mock.calls[0].arguments[0], { message: "theirs" });
});

const FOLLOWS = {
  "demo/a": { "demo/a": true, "demo/ab": false, "demo": false },
  "demo/*": { "demo/a": true, "demo/a/b": true, "demo": false, "demos/a": false },
  "status,demo/*": { status: true, "demo/a": true, exports: false },
  "*": { status: true, "demo/a": true },
};

for (const [topics, cases] of Object.entries(FOLLOWS)) {
  test(`what ${topics} follows`, () => {
    for (const [topic, want] of Object.entries(cases))
      assert.equal(makeFeed(topics).feed.follows(topic), want, topic);
  });
}

const OVERLAPS = [
  ["demo/a", "demo/a", true],
  ["demo/a", "demo/b", false],
  ["demo/*", "demo/a", true],
  ["demo/a", "demo/*", true],
  ["demo/*", "demo/x/*", true],
  ["*", "status", true],
  ["status,exports", "exports,logs/a", true],
  ["exports", "exports/1", false],
];

for (const [one, other, want] of OVERLAPS) {
  test(`${one} and ${other} ${want ? "overlap" : "are apart"}`, () => {
    assert.equal(makeFeed(one).feed.overlaps(other), want);
  });
}

/** static/js/live.js against a real server, over connections that are cut, deaf or refused. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EventSource } from "eventsource";
import { io } from "socket.io-client";
import { connect } from "../../static/js/live.js";
import { Headwater, Proxy, until } from "./headwater.mjs";

const QUICK = { io, eventSource: EventSource, backoffMs: [20, 200], answerMs: 3000, openMs: 3000 };
const ONLY = { websocket: { transports: ["websocket"] }, polling: { transports: ["polling"] } };

let shared; // the server of the tests that leave it alone
before(async () => (shared = await new Headwater().start()));
after(() => shared.remove());

/** A server of the test's own, or the shared one; a proxy; clients: all gone when the test has ended. */
async function arrange(t, { own = false } = {}) {
  const server = own ? await new Headwater().start() : shared;
  const proxy = await new Proxy(() => server.port).listen();
  const open = [];
  t.after(async () => {
    open.forEach((live) => live.close());
    proxy.close();
    if (own) await server.remove();
  });
  return {
    server,
    proxy,
    connect(options) {
      const live = connect({ ...QUICK, url: proxy.url, ...options });
      open.push(live);
      return live;
    },
  };
}

/** A feed and what it has told: numbers for events, gaps as they are. */
function follow(live, topic, options) {
  const told = [];
  const handlers = { onEvent: (event) => told.push(event.data.n), onGap: (gap) => told.push(gap) };
  const feed = live.subscribe(topic, { ...handlers, ...options });
  return { feed, told, events: () => told.filter((each) => typeof each === "number") };
}

const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const numbered = (from, to) => numbers(from, to).map((n) => ({ name: "number", data: { n } }));
const has = (told, n) => until(() => told.at(-1) === n, () => `${n} comes: ${told.slice(-5)}`);
const is = (live, status, withinMs) =>
  until(() => live.state.status === status, () => `it is ${status}: ${live.state.status}`, withinMs);
/** Wait until the retention has let go of all but so many, and return those. */
async function keptOnly(server, topic, count) {
  let kept = [];
  const expired = async () => (kept = await server.kept(topic)).length <= count;
  await until(expired, () => `${count} are kept: ${kept.length}`);
  return kept;
}

const topicOf = (t, folder = "demo") => `${folder}/${t.name.replace(/[^a-z]+/g, "-")}`;

for (const [name, socket] of Object.entries({ ...ONLY, "WebSocket or polling": {} })) {
  test(`every number once and in order over cuts, ${name}`, async (t) => {
    const { server, proxy, connect } = await arrange(t);
    const topic = topicOf(t);
    const live = connect({ socket });
    let cuts = 0;
    const { told } = follow(live, topic, {
      since: "all",
      onEvent(event) {
        told.push(event.data.n);
        if (event.data.n % 97 === 0 && ++cuts) proxy.cut();
      },
    });
    for (let n = 1; n < 1000; n += 10) await server.publish(topic, numbered(n, n + 9));
    await has(told, 1000);
    assert.deepEqual(told, numbers(1, 1000));
    assert.equal(cuts, 10);
    await is(live, "live");
  });
}

test("every number once and in order over kill -9, from who publishes to who reads", async (t) => {
  const { server, connect } = await arrange(t, { own: true });
  const topic = topicOf(t);
  const { told } = follow(connect(), topic, { since: "all" });
  const writer = connect();
  const publishing = (async () => {
    for (let n = 1; n <= 300; n += 1) await writer.publish(topic, { name: "number", data: { n } });
  })();
  for (const n of [50, 150, 250]) {
    await until(() => told.length >= n, () => `${n} have come: ${told.length}`);
    await server.kill();
    await server.start();
  }
  await publishing;
  await has(told, 300);
  assert.deepEqual(told, numbers(1, 300));
});

test("every number once and in order over a server that stops and starts", async (t) => {
  const { server, connect } = await arrange(t, { own: true });
  const topic = topicOf(t);
  const { told } = follow(connect(), topic, { since: "all" });
  const writer = connect({ sse: "never" });
  let n = 0;
  let isOver = false;
  const publishing = (async () => {
    while (!isOver) await writer.publish(topic, { name: "number", data: { n: ++n } });
  })();
  await until(() => told.length >= 20, () => `20 have come: ${told.length}`);
  server.terminate();
  await server.ended();
  await server.start();
  const before = n;
  await until(() => n > before + 20, () => `it goes on: ${n}`);
  isOver = true;
  await publishing;
  await has(told, n);
  assert.deepEqual(told, numbers(1, n));
});

test("what is asked at once is done in order over a cut", async (t) => {
  const { server, proxy, connect } = await arrange(t);
  const topic = topicOf(t);
  const writer = connect();
  await is(writer, "live");
  proxy.deafen();
  const first = numbered(1, 50).map((event) => writer.publish(topic, event));
  await until(async () => (await server.kept(topic)).length > 0, () => "the first is kept");
  proxy.cut();
  const second = numbered(51, 100).map((event) => writer.publish(topic, event));
  const answers = await Promise.all([...first, ...second]);
  const kept = await server.kept(topic);
  assert.deepEqual(kept.map((event) => event.data.n), numbers(1, 100));
  assert.deepEqual(answers.map((answer) => answer.id), kept.map((event) => event.id));
});

test("a gap is told when the retention went over the cursor", async (t) => {
  const { server, proxy, connect } = await arrange(t);
  const topic = topicOf(t, "short");
  const live = connect({ sse: "never" });
  const { told, feed } = follow(live, topic, { since: "all" });
  await server.publish(topic, numbered(1, 5));
  await has(told, 5);
  const cursor = feed.cursor;
  proxy.refuses = () => true;
  proxy.cut();
  await is(live, "reconnecting");
  await server.publish(topic, numbered(6, 100));
  const [oldest] = await keptOnly(server, topic, 10);
  proxy.refuses = () => false;
  await has(told, 100);
  const [gap] = told.splice(5, 1);
  const { from, lost, reason } = gap;
  assert.deepEqual({ topic: gap.topic, from, lost, reason }, {
    topic, from: cursor, lost: oldest.data.n - 6, reason: "expired",
  });
  assert.deepEqual(told, [...numbers(1, 5), ...numbers(oldest.data.n, 100)]);
});

test("a feed goes on from a cursor that was kept", async (t) => {
  const { server, connect } = await arrange(t);
  const topic = topicOf(t);
  const { feed, told } = follow(connect(), topic, { since: "all" });
  await server.publish(topic, numbered(1, 5));
  await has(told, 5);
  feed.close();
  await server.publish(topic, numbered(6, 10));
  const later = follow(connect(), topic, { since: feed.cursor });
  await has(later.told, 10);
  assert.deepEqual([told, later.told], [numbers(1, 5), numbers(6, 10)]);
});

for (const [cursor, error] of [["not a cursor", "malformed_cursor"], ["v".repeat(30), "future_cursor"]]) {
  for (const restart of ["now", "all"]) {
    test(`${error}: the feed says so and begins with ${restart}`, async (t) => {
      const { server, connect } = await arrange(t);
      const topic = topicOf(t);
      await server.publish(topic, numbered(1, 3));
      const { told, feed } = follow(connect(), topic, { since: cursor, restart });
      await until(() => told.length > 0, () => "it is told");
      await server.publish(topic, numbered(4, 5));
      await has(told, 5);
      const gap = told.shift();
      assert.deepEqual([gap.reason, gap.error, gap.from], ["refused", error, cursor]);
      assert.deepEqual(told, restart === "all" ? numbers(1, 5) : numbers(4, 5));
      assert.ok(feed.cursor > gap.to);
    });
  }
}

test("a line that brings nothing any more is deaf, and another one goes on", async (t) => {
  const { server, proxy, connect } = await arrange(t);
  const topic = topicOf(t);
  // The status comes every second; that stands in for the heartbeats, which are slower.
  const live = connect({ heartbeatMs: 800 });
  const seen = [];
  live.onState(({ status }) => seen.push(status));
  live.subscribe("status");
  const { told } = follow(live, topic, { since: "all" });
  const beat = setInterval(() => server.publish(topic, [{ data: {} }]).catch(() => {}), 300);
  t.after(() => clearInterval(beat));
  await server.publish(topic, numbered(1, 3));
  await until(() => told.includes(3), () => `3 comes: ${told}`);
  proxy.deafen();
  await server.publish(topic, numbered(4, 6));
  await until(() => told.includes(6), () => `6 comes: ${told}`);
  assert.deepEqual(told.filter(Boolean), numbers(1, 6));
  assert.ok(seen.includes("deaf"), seen.join());
  assert.ok(!seen.includes("reconnecting") || seen.indexOf("deaf") > seen.indexOf("live"));
  await is(live, "live");
});

test("an event that a heartbeat names and that did not come makes it deaf", async (t) => {
  const { server, connect } = await arrange(t);
  const topic = topicOf(t);
  let swallow = true;
  const losing = (url, options) => {
    const socket = io(url, options);
    const { on } = socket;
    socket.on = (name, handler) =>
      on.call(socket, name, (...args) => {
        if (name !== "event" || args[0].data?.n !== 2 || !swallow) handler(...args);
        else swallow = false;
      });
    return socket;
  };
  const live = connect({ io: losing, lagMs: 200 });
  const seen = [];
  live.onState(({ status }) => seen.push(status));
  const { told } = follow(live, topic, { since: "all" });
  await server.publish(topic, numbered(1, 2));
  await until(() => told.length === 2, () => `the second comes: ${told}`, 40_000);
  assert.deepEqual(told, [1, 2]);
  assert.ok(seen.includes("deaf"), seen.join());
});

test("when the server stops it is come back to after the time it said", async (t) => {
  const { server, connect } = await arrange(t, { own: true });
  const topic = topicOf(t);
  const live = connect({ sse: "never" });
  const { told } = follow(live, topic, { since: "all" });
  await server.publish(topic, numbered(1, 3));
  await has(told, 3);
  await is(live, "live");
  const waits = [];
  live.onState(({ retryInMs }) => retryInMs !== undefined && waits.push(retryInMs));
  server.terminate();
  await is(live, "reconnecting");
  // Its own first wait would be 20 ms at most.
  assert.ok(waits[0] > QUICK.backoffMs[0], `${waits}`);
  await server.ended();
  await server.start();
  await server.publish(topic, numbered(4, 6));
  await has(told, 6);
  assert.deepEqual(told, numbers(1, 6));
});

test("where Socket.IO cannot get through, SSE carries feeds and requests, until it can", async (t) => {
  const { server, proxy, connect } = await arrange(t);
  const topic = topicOf(t);
  proxy.refuses = (head) => head.includes(" /socket.io");
  const live = connect({ retrySocketMs: 1500 });
  const { told } = follow(live, topic, { since: "all" });
  const other = follow(live, `${topic}/other`, { since: "all" });
  await is(live, "fallback");
  assert.equal(live.state.transport, "sse");
  for (let n = 1; n <= 50; n += 1) {
    await live.publish(topic, { name: `name ${n}`, data: { n } });
    if (n % 10 === 0) {
      await has(told, n);
      proxy.cut();
    }
  }
  await live.publish(`${topic}/other`, { data: { n: 1 } });
  await has(other.told, 1);
  assert.equal((await live.readers(topic)).topic, topic);
  proxy.refuses = () => false;
  await is(live, "live");
  await server.publish(topic, numbered(51, 60));
  await has(told, 60);
  assert.deepEqual([told, other.told], [numbers(1, 60), [1]]);
});

test("SSE only: a refused cursor is told, an unknown topic is an error", async (t) => {
  const { server, connect } = await arrange(t);
  const topic = topicOf(t);
  await server.publish(topic, numbered(1, 2));
  const live = connect({ sse: "only" });
  const { told } = follow(live, topic, { since: "v".repeat(30), restart: "all" });
  const refused = new Promise((resolve) => live.subscribe("nobody/knows", { onError: resolve }));
  await has(told, 2);
  assert.equal(told[0].reason, "refused");
  assert.equal((await refused).status, 404);
  await is(live, "fallback");
});

test("SSE only: every number once and in order over kill -9", async (t) => {
  const { server, connect } = await arrange(t, { own: true });
  const topic = topicOf(t);
  const live = connect({ sse: "only" });
  const { told } = follow(live, topic, { since: "all" });
  for (const n of [1, 11, 21]) {
    await Promise.all(numbered(n, n + 9).map((event) => live.publish(topic, event)));
    await has(told, n + 9);
    await server.kill();
    await server.start();
  }
  await live.publish(topic, { data: { n: 31 } });
  await has(told, 31);
  assert.deepEqual(told, numbers(1, 31));
});

test("feeds that overlap lose nothing to each other", async (t) => {
  const { server, connect } = await arrange(t);
  const topic = topicOf(t);
  await server.publish(`${topic}/a`, numbered(1, 500));
  const live = connect();
  const one = follow(live, `${topic}/*`, { since: "all" });
  const two = follow(live, `${topic}/a`, { since: "all" });
  const three = follow(live, `${topic}/a`, { since: undefined });
  await is(live, "live");
  await server.publish(`${topic}/a`, numbered(501, 510));
  await Promise.all([one, two, three].map(({ told }) => has(told, 510)));
  assert.deepEqual([one.told, two.told], [numbers(1, 510), numbers(1, 510)]);
  assert.deepEqual(three.told, numbers(501, 510));
});

test("one feed of several topics has the events of all, once, over cuts", async (t) => {
  const { server, proxy, connect } = await arrange(t);
  const topics = ["a", "b", "c"].map((end) => `${topicOf(t)}/${end}`);
  const seen = [];
  connect().subscribe(topics.join(), {
    since: "all",
    onEvent({ topic, data, id }) {
      seen.push({ topic, n: data.n, id });
      if (seen.length % 50 === 0) proxy.cut();
    },
  });
  await Promise.all(topics.map(async (topic) => {
    for (let n = 1; n <= 100; n += 1) await server.publish(topic, numbered(n, n));
  }));
  await until(() => seen.length >= 300, () => `300 come: ${seen.length}`);
  for (const topic of topics)
    assert.deepEqual(seen.filter((e) => e.topic === topic).map((e) => e.n), numbers(1, 100));
  assert.deepEqual(seen.map((e) => e.id), seen.map((e) => e.id).sort());
});

test("a feed of several topics begins with what is not older than an age", async (t) => {
  const { server, connect } = await arrange(t);
  const topics = ["a", "b"].map((end) => `${topicOf(t)}/${end}`);
  for (const [i, topic] of topics.entries()) await server.publish(topic, numbered(10 * i, 10 * i + 3));
  for (const sse of ["auto", "only"]) {
    const { told } = follow(connect({ sse }), topics.join(), { since: "5m" });
    await has(told, 13);
    assert.deepEqual(told, [...numbers(0, 3), ...numbers(10, 13)], sse);
  }
});

test("a gap in one of a feed's topics costs nothing of the others", async (t) => {
  const { server, proxy, connect } = await arrange(t);
  const [short, long] = [topicOf(t, "short"), topicOf(t)];
  const live = connect({ sse: "never" });
  const { told, events } = follow(live, `${long},${short}`, { since: "all" });
  await server.publish(long, numbered(1, 2));
  await has(told, 2);
  proxy.refuses = () => true;
  proxy.cut();
  await is(live, "reconnecting");
  await server.publish(short, numbered(1001, 1050));
  await server.publish(long, numbered(3, 20));
  await server.publish(short, numbered(1051, 1100));
  await keptOnly(server, short, 10);
  proxy.refuses = () => false;
  await until(() => events().includes(1100), () => `1100 comes: ${told.length}`);
  assert.deepEqual(events().filter((n) => n < 1000), numbers(1, 20));
  assert.deepEqual(told.filter((each) => each.topic).map((gap) => gap.topic), [short]);
});

test("subscribing while somebody publishes loses nothing after the acknowledgement", async (t) => {
  const { server, connect } = await arrange(t);
  const topic = topicOf(t);
  const writer = connect({ url: server.url });
  let n = 0;
  const publishing = (async () => {
    while (n < 400) await writer.publish(topic, { data: { n: ++n } });
  })();
  const feeds = [];
  while (n < 400) {
    const each = follow(connect({ url: server.url }), topic, { since: feeds.length % 2 ? "all" : undefined });
    feeds.push(each);
    await until(() => each.told.length > 0 || n >= 400, () => "something comes");
  }
  await publishing;
  // One that begins now, and not with all, has to be there before the last.
  for (const { feed } of feeds) await until(() => feed.cursor, () => "the feed has begun");
  await writer.publish(topic, { data: { n: 401 } });
  for (const { told } of feeds) {
    await has(told, 401);
    assert.deepEqual(told, numbers(told[0], 401));
  }
  assert.equal(feeds[1].told[0], 1);
});

test("a feed that was closed and opened again begins where it is told", async (t) => {
  const { server, connect } = await arrange(t);
  const topic = topicOf(t);
  await server.publish(topic, numbered(1, 1000));
  const live = connect();
  for (let round = 0; round < 5; round += 1) {
    const first = follow(live, topic, { since: "all" });
    await until(() => first.told.length > round * 100, () => "it has begun");
    first.feed.close();
    const length = first.told.length;
    const again = follow(live, topic, { since: "all" });
    await has(again.told, 1000);
    assert.deepEqual(again.told, numbers(1, 1000));
    assert.equal(first.told.length, length);
    again.feed.close();
  }
});

test("more topics than one connection may have", async (t) => {
  const { server, connect } = await arrange(t);
  const topics = numbers(1, 70).map((n) => `${topicOf(t)}/${n}`);
  const live = connect();
  const feeds = topics.map((topic) => follow(live, topic, { since: "all" }));
  for (const topic of topics) await server.publish(topic, numbered(1, 1));
  await Promise.all(feeds.map(({ told }) => has(told, 1)));
  await is(live, "live");
});

test("what the server refuses is an error with its code", async (t) => {
  const { connect } = await arrange(t);
  const live = connect();
  const refused = new Promise((resolve) => live.subscribe("nobody/knows", { onError: resolve }));
  assert.equal((await refused).status, 404);
  await assert.rejects(live.publish("nobody/knows", { data: 1 }), { name: "LiveError", status: 404 });
  await assert.rejects(live.cancel("nothing"), { name: "LiveError", status: 404 });
});

/** A server that needs a token, and it. */
async function arrangeWithToken(t) {
  const all = await arrange(t, { own: true });
  const token = await all.server.addToken();
  const ask = () => fetch(`${all.server.url}/exports`).catch(() => null); // cut when it is needed
  const isNeeded = async () => (await ask())?.status === 401;
  await until(isNeeded, () => "the server needs the token");
  return { ...all, token };
}

for (const [name, options, status] of [
  ["over Socket.IO or SSE", {}, "live"],
  ["over Socket.IO only", { sse: "never" }, "live"],
  ["over polling", { sse: "never", socket: ONLY.polling }, "live"],
  ["over SSE only", { sse: "only" }, "fallback"],
]) {
  test(`a token that is withdrawn ends it, ${name}`, async (t) => {
    const { server, proxy, connect, token } = await arrangeWithToken(t);
    // Node's own EventSource shows no token.
    const eventSource = class extends EventSource {
      constructor(url) {
        const shown = { Authorization: `Bearer ${token}` };
        super(url, { fetch: (to, how) => fetch(to, { ...how, headers: { ...how.headers, ...shown } }) });
      }
    };
    const auth = { ...options.socket, auth: { token } };
    const live = connect({ token, eventSource, ...options, socket: auth });
    const errors = [];
    live.subscribe(topicOf(t), { since: "all", onError: (error) => errors.push(error) });
    await is(live, status);
    await server.withdraw(token);
    await is(live, "refused");
    assert.deepEqual(live.state, { status: "refused", transport: null });
    assert.deepEqual(errors.map((error) => error.status), [401]);
    await assert.rejects(live.publish(topicOf(t), { data: 1 }), { name: "LiveError", status: 401 });
    const late = new Promise((resolve) => live.subscribe("demo/late", { onError: resolve }));
    assert.equal((await late).status, 401);
    await until(() => proxy.connections === 0, () => "nothing is tried any more");
  });
}

test("who shows a token in a header only is let in over SSE", async (t) => {
  const { connect, token } = await arrangeWithToken(t);
  const live = connect({ headers: { Authorization: `Bearer ${token}` } });
  await is(live, "fallback");
  assert.equal((await live.publish(topicOf(t), { data: 1 })).count, 1);
});

test("a client without a credential is refused, and its requests are rejected", async (t) => {
  const { connect } = await arrangeWithToken(t);
  const live = connect();
  const asked = assert.rejects(live.publish(topicOf(t), { data: 1 }), { status: 401 });
  await is(live, "refused");
  await asked;
  live.close();
  assert.equal(live.state.status, "closed");
});

test("who reads is told, an export is cancelled", async (t) => {
  const { server, connect } = await arrange(t);
  const topic = topicOf(t);
  const live = connect();
  follow(live, topic);
  await is(live, "live");
  const { count, readers } = await live.readers(topic);
  assert.deepEqual([count, readers.length], [1, 1]);
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ source: "users", format: "csv" });
  const made = await fetch(`${server.url}/exports`, { method: "POST", headers, body });
  const { id } = await made.json();
  assert.equal((await live.cancel(id)).id, id);
});

test("without io it is imported, and where there is none SSE carries the feed", async (t) => {
  const { server, connect } = await arrange(t);
  const topic = topicOf(t);
  const { told } = follow(connect({ io: undefined, client: "file:///nowhere.js" }), topic, { since: "all" });
  await server.publish(topic, numbered(1, 3));
  await has(told, 3);
});

test("the state is told from the first connection to the last", async (t) => {
  const { server, proxy, connect } = await arrange(t);
  const topic = topicOf(t);
  await server.publish(topic, numbered(1, 5000));
  proxy.refuses = () => true;
  const live = connect({ sse: "never" });
  const seen = [];
  const { told } = follow(live, topic, { since: "all" });
  let toldWhenLive;
  const stop = live.onState(({ status }) => {
    if (status !== seen.at(-1)) seen.push(status);
    if (status === "live") toldWhenLive ??= told.length;
  });
  await until(() => live.state.retryInMs > 0, () => "it waits");
  proxy.refuses = () => false;
  await has(told, 5000);
  await is(live, "live");
  live.close();
  stop();
  assert.deepEqual(seen, ["reconnecting", "catching up", "live", "closed"]);
  assert.equal(toldWhenLive, 5000);
});

test("after close nothing comes and nothing is asked", async (t) => {
  const { server, proxy, connect } = await arrange(t);
  const topic = topicOf(t);
  const live = connect();
  const { told } = follow(live, topic);
  await is(live, "live");
  proxy.deafen();
  const waiting = live.publish(topic, { data: { n: 1 } });
  live.close();
  await assert.rejects(waiting, { code: "closed" });
  await assert.rejects(live.publish(topic, { data: { n: 2 } }));
  assert.throws(() => live.subscribe(topic));
  await server.publish(topic, numbered(3, 3));
  await until(() => proxy.connections === 0, () => "the connection is gone");
  assert.deepEqual([told, live.state.status], [[], "closed"]);
});

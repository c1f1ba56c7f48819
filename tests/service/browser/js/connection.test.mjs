import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Connection } from "../../../../audio_pipeline/service/console/audio/connection.js";
import { Flag, Format, parseHeader, writeHeader } from "../../../../audio_pipeline/service/console/audio/frames.js";

/** A WebSocket that does what the test wants. */
class FakeSocket {
  readyState = 0;
  bufferedAmount = 0;
  sent = /** @type {any[]} */ ([]);

  open() {
    this.readyState = 1;
    this.onopen();
  }

  /** @param {object} message */
  say(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }

  send(data) {
    this.sent.push(typeof data === "string" ? JSON.parse(data) : parseHeader(data.slice(0)));
  }

  close() {
    this.readyState = 3;
    this.onclose({ code: 1006, reason: "" });
  }

  /** @param {string} kind */
  take(kind) {
    const found = this.sent.filter(({ t }) => t === kind);
    this.sent = this.sent.filter(({ t }) => t !== kind);
    return found;
  }
}

let now = 0;
let sockets = /** @type {FakeSocket[]} */ ([]);
let told = /** @type {any[]} */ ([]);
let delivered = /** @type {any[]} */ ([]);
let connection = /** @type {Connection} */ (/** @type {unknown} */ (null));

beforeEach(() => {
  [now, sockets, told, delivered] = [1_000, [], [], []];
  const connect = () => {
    sockets.push(new FakeSocket());
    return /** @type {any} */ (sockets.at(-1));
  };
  connection = new Connection("ws://x/audio", { connect, tell: (message) => told.push(message), nowMs: () => now });
  connection.listen({ stream: 1, port: "mix.out" }, (delivery) => delivered.push(delivery));
  connection.feed({ stream: 2, node: "singer" });
});

function frame(seq, over = {}) {
  const message = new ArrayBuffer(64 + 4 * 480);
  writeHeader(message, {
    format: Format.S16, channels: 2, rate: 48_000, samples: 480, flags: 0, epoch: 1, stream: 1, seq,
    position: seq * 480, capturedNs: 0, generation: 0, ...over,
  });
  return message;
}

function welcomed() {
  sockets.at(-1)?.open();
  sockets.at(-1)?.say({ t: "welcome", stream: 1, rate: 48_000, channels: 2, epoch: 1, timeline: "mix" });
  sockets.at(-1)?.say({ t: "welcome", stream: 2, window: 50 });
  return /** @type {FakeSocket} */ (sockets.at(-1));
}

const block = (position) => ({
  message: new ArrayBuffer(64), isGap: true, samples: 240, channels: 1, position, rate: 44_100, endS: 0.5,
});

test("on one socket: the time, a hello, an offer, credit; then frames to where they belong", () => {
  const socket = welcomed();
  assert.deepEqual(socket.sent.map(({ t }) => t), ["time", "hello", "offer", "credit", "alive"]);
  for (const seq of [1, 2]) socket.onmessage({ data: frame(seq) });
  socket.onmessage({ data: frame(1, { stream: 9 }) });
  assert.deepEqual(delivered.map(({ header, timeline }) => [header.seq, timeline]), [[1, "mix"], [2, "mix"]]);
  assert.deepEqual(told.map(({ t }) => t), ["open", "welcome", "welcome"]);
});

test("what is no frame and no message is counted, and nothing else happens", () => {
  const socket = welcomed();
  for (const data of ["{", "[]", "7", '{"t": 5}', new ArrayBuffer(3), frame(1).slice(0, 99)]) socket.onmessage({ data });
  assert.equal(connection.counts.bad, 6);
});

test("a block of the microphone is a frame of its stream, stamped by the host's clock", () => {
  const socket = welcomed();
  socket.say({ t: "time", t1: 1_000e6, t2: 5_000e6, t3: 5_000e6 });
  connection.context.set(0.25, 1_100); // at 0.5 s on the audio clock it is 1,350 on the page's, 5,350 ms on the host's
  socket.sent = [];
  for (const position of [0, 240]) connection.send(2, block(position));
  const fields = socket.sent.map(({ stream, seq, position, rate, samples, flags, capturedNs, epoch }) => ({
    stream, seq, position, rate, samples, flags, capturedNs, epoch,
  }));
  const each = { stream: 2, rate: 44_100, samples: 240, flags: Flag.GAP, capturedNs: 5_350e6, epoch: 1 };
  assert.deepEqual(fields, [{ ...each, seq: 1, position: 0 }, { ...each, seq: 2, position: 240 }]);
});

test("sound that would wait behind more than a breath of unsent bytes is left out", () => {
  const socket = welcomed();
  socket.sent = [];
  socket.bufferedAmount = 100_000;
  connection.send(2, block(0));
  assert.deepEqual(socket.sent, []);
});

test("a lost connection is made anew, later and later, at ticks of the audio clock", () => {
  welcomed().close();
  assert.deepEqual(told.at(-1), { t: "lost", why: "the connection was closed (1006)" });
  const at = [];
  for (; now < 12_900; now += 50) {
    const before = sockets.length;
    connection.turn();
    if (sockets.length > before) {
      at.push(now - 1_000);
      sockets.at(-1)?.close();
    }
  }
  assert.deepEqual(at.slice(0, 6), [100, 200, 400, 900, 1_900, 3_900]);
  connection.turn();
  const socket = welcomed();
  assert.deepEqual(socket.take("hello").map(({ greeting, instance }) => [greeting, instance > 0]), [[2, true]]);
});

test("a host that says nothing for three seconds is given up", () => {
  welcomed();
  now += 3_001;
  connection.turn();
  assert.deepEqual(told.at(-1), { t: "lost", why: "the host has fallen silent" });
  connection.turn();
  assert.equal(sockets.length, 2);
});

test("events come with their position, a refusal with its reason", () => {
  const socket = welcomed();
  const body = Uint8Array.from([0x81, 0xa4, ...new TextEncoder().encode("kind"), 0xa5, ...new TextEncoder().encode("media")]);
  const message = new ArrayBuffer(64 + body.length);
  new Uint8Array(message, 64).set(body);
  writeHeader(message, {
    format: Format.EVENT, channels: 0, rate: 48_000, samples: 0, flags: 0, epoch: 1, stream: 1, seq: 1, position: 77,
    capturedNs: 0, generation: 0,
  });
  socket.onmessage({ data: message });
  assert.deepEqual({ ...told.at(-1), event: { ...told.at(-1).event } }, { t: "event", stream: 1, position: 77, event: { kind: "media" } });
  socket.say({ t: "refused", stream: 2, code: "busy", why: "'Ann' plays here already" });
  assert.equal(told.at(-1).why, "'Ann' plays here already");
});

test("what is audible is stated once a second, on the host's clock", () => {
  const socket = welcomed();
  const state = { place: 4_800.4, contextS: 0.5, bufferMs: 21.04, underruns: 2 };
  connection.audible(1, state);
  assert.deepEqual(socket.take("audible"), [], "no clock is known yet");
  socket.say({ t: "time", t1: 1_000e6, t2: 5_000e6, t3: 5_000e6 });
  connection.context.set(0.25, 1_100);
  for (; now < 3_000; now += 50) connection.audible(1, state);
  const [first, ...others] = socket.take("audible");
  assert.deepEqual(first, { t: "audible", stream: 1, position: 4_800, at: 5_350e6, buffer_ms: 21, underruns: 2 });
  assert.equal(others.length, 1);
});

test("a page that leaves says bye for each stream", () => {
  const socket = welcomed();
  connection.close();
  assert.deepEqual(socket.take("bye").map(({ stream }) => stream), [1, 2]);
  now += 60_000;
  connection.turn();
  assert.equal(sockets.length, 1, "and stays away");
});

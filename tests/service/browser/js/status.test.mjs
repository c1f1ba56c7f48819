import assert from "node:assert/strict";
import { test } from "node:test";

import { ContextClock, HostClock, audibleNow, outputLatencyS } from "../../../../audio_pipeline/service/console/audio/clock.js";
import { refusals } from "../../../../audio_pipeline/service/console/audio/microphone.js";
import { Observable, songSeconds } from "../../../../audio_pipeline/service/console/audio/status.js";

test("of several exchanges of time the one with the shortest round trip counts", () => {
  const clock = new HostClock();
  assert.equal(clock.hostNs(5), 0);
  clock.onAnswer({ t: "time", t1: 0, t2: 1_000e6, t3: 1_000e6 }, 50); // 50 ms there and back: off by up to 25
  clock.onAnswer({ t: "time", t1: 100e6, t2: 1_101e6, t3: 1_101e6 }, 102);
  clock.onAnswer({ t: "time", t1: 200e6, t2: 1_290e6, t3: 1_290e6 }, 300);
  assert.deepEqual([clock.hostNs(500), clock.roundTripMs], [1_500e6, 2]);
});

test("answers that cannot be are left out", () => {
  const clock = new HostClock();
  for (const answer of [{ t1: 9e6, t2: 1, t3: 1 }, { t1: 1, t2: 9, t3: 8 }, { t1: 1, t2: "x", t3: 8 }, {}]) {
    clock.onAnswer({ t: "time", ...answer }, 1);
  }
  assert.ok(!clock.known);
});

test("the time is asked for quickly at first, then once a second", () => {
  const clock = new HostClock();
  let asked = 0;
  for (let ms = 0; ms < 5_000; ms += 50) asked += clock.due(ms).length;
  assert.equal(asked, 8 + 4);
});

test("the audio clock goes on from what is audible", () => {
  const clock = new ContextClock();
  assert.equal(clock.pageMs(1), null);
  clock.set(10, 2_000);
  assert.equal(clock.pageMs(10.5), 2_500);
});

test("where a browser states no output latency, 40 ms are assumed", () => {
  const context = /** @type {AudioContext} */ (/** @type {unknown} */ ({ currentTime: 5, baseLatency: 0.01 }));
  assert.equal(outputLatencyS(context), 0.05);
  assert.deepEqual(audibleNow(context, 700), { contextS: 4.95, pageMs: 700 });
});

test("a song's time follows its last event, and stands while it is paused", () => {
  const media = { position: 48_000, media_s: 10, playing: true, rate: 1 };
  assert.equal(songSeconds(media, 96_000, 48_000), 11);
  assert.equal(songSeconds(media, 0, 48_000), 10, "what is announced has not begun");
  assert.equal(songSeconds({ ...media, playing: false }, 96_000, 48_000), 10);
  assert.equal(songSeconds(null, 96_000, 48_000), null);
});

test("what a browser keeps on is stated in words", () => {
  assert.deepEqual(refusals({ echoCancellation: false, noiseSuppression: false, autoGainControl: false }), []);
  assert.match(refusals({ echoCancellation: true }).join(), /^echo cancellation stays on/);
  assert.equal(refusals({ echoCancellation: "all", noiseSuppression: true }).length, 2);
});

test("a value tells those who subscribed, until they leave", () => {
  const value = new Observable(1);
  const seen = /** @type {number[]} */ ([]);
  const leave = value.subscribe((x) => seen.push(x));
  value.value = 2;
  leave();
  value.value = 3;
  assert.deepEqual(seen, [1, 2]);
});

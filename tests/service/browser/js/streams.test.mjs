import assert from "node:assert/strict";
import { test } from "node:test";

import { Feeding } from "../../../../audio_pipeline/service/console/audio/feeding.js";
import { Format } from "../../../../audio_pipeline/service/console/audio/frames.js";
import { Listening } from "../../../../audio_pipeline/service/console/audio/listening.js";

const frame = (seq, over = {}) => ({
  format: Format.S16, channels: 2, rate: 48_000, samples: 480, flags: 0, clockId: 0, epoch: 1, stream: 1, seq,
  position: seq * 480, capturedNs: 0, generation: 0, sentAgeUs: 0, start: 64, payloadBytes: 1_920, ...over,
});

function listening() {
  const end = new Listening({ stream: 1, port: "mix.out", instance: 5, window: 24 });
  const [hello] = end.due(0);
  assert.deepEqual(hello, {
    t: "hello", v: 1, stream: 1, port: "mix.out", format: "s16", window: 24, since: null, instance: 5, greeting: 1,
  });
  end.onMessage({ t: "welcome", stream: 1, epoch: 1, timeline: "mix", greeting: 1 });
  return end;
}

test("credit is absolute, and sent every 50 ms", () => {
  const end = listening();
  const sent = [];
  for (let seq = 1; seq <= 100; seq++) {
    assert.ok(end.onFrame(frame(seq), seq * 10));
    sent.push(...end.due(seq * 10));
  }
  assert.equal(sent.length, 20);
  assert.deepEqual(sent.at(-1), { t: "credit", stream: 1, epoch: 1, delivered: 96, granted: 120 });
});

test("short frames are credited before the window is used up", () => {
  const end = listening();
  let granted = 24;
  for (let seq = 1; seq <= 500; seq++) {
    end.onFrame(frame(seq, { samples: 120, position: seq * 120 }), seq * 2.5);
    for (const credit of end.due(seq * 2.5)) granted = Number(credit.granted);
    assert.ok(granted - seq >= 18, `${seq} of ${granted}`);
  }
});

test("numbers that are missing are lost frames, and need no credit", () => {
  const end = listening();
  for (const seq of [1, 2, 6]) end.onFrame(frame(seq), seq * 10);
  assert.equal(end.counts.lost, 3);
  assert.equal(end.due(1_000)[0].delivered, 6);
});

test("frames of a higher epoch are counted anew, those of a lower one are used and not credited", () => {
  const end = listening();
  end.onFrame(frame(50), 500);
  assert.ok(end.onFrame(frame(1, { epoch: 2, position: 51 * 480 }), 510));
  assert.ok(end.onFrame(frame(51), 511));
  assert.deepEqual(end.due(1_000)[0], { t: "credit", stream: 1, epoch: 2, delivered: 1, granted: 25 });
});

test("sound of an older generation is dropped and credited, until the timeline is another", () => {
  const end = listening();
  assert.ok(end.onFrame(frame(1, { generation: 4 }), 10));
  assert.ok(!end.onFrame(frame(2, { generation: 3 }), 20));
  assert.deepEqual([end.delivered, end.counts.cancelled], [2, 1]);
  end.onMessage({ t: "timeline", timeline: "song", epoch: 1, from: 4 });
  assert.ok(!end.onFrame(frame(3, { generation: 0 }), 30));
  assert.ok(end.onFrame(frame(4, { generation: 0 }), 40));
  assert.equal(end.timeline, "song");
});

test("what lies three seconds in a socket is not played, what comes on time behind it is", () => {
  const end = listening();
  for (let seq = 1; seq <= 100; seq++) end.onFrame(frame(seq), seq * 10);
  for (let seq = 101; seq <= 112; seq++) assert.ok(!end.onFrame(frame(seq), 4_000 + seq / 1_000), `${seq}`);
  assert.ok(end.onFrame(frame(399), 4_002));
  assert.equal(end.counts.late, 12);
  assert.equal(end.delivered, 399);
});

test("late for a second, that is another route", () => {
  const end = listening();
  for (let seq = 1; seq <= 100; seq++) end.onFrame(frame(seq), seq * 10);
  const played = [];
  for (let seq = 101; seq <= 300; seq++) if (end.onFrame(frame(seq), seq * 10 + 400)) played.push(seq);
  assert.deepEqual([played[0], played.length], [201, 100]);
});

test("who is answered by another greeting, a new connection as well", () => {
  const end = listening();
  end.onMessage({ t: "who", stream: 1 });
  const [again] = end.due(10);
  assert.deepEqual([again.t, again.greeting, again.instance], ["hello", 2, 5]);
  end.onMessage({ t: "welcome", stream: 1, epoch: 1, greeting: 1 });
  assert.ok(!end.welcomed, "the answer to an older greeting counts for nothing");
  end.reconnect();
  assert.equal(end.due(20)[0].greeting, 3);
});

test("a greeting without an answer is sent again after a second, a refused one after three", () => {
  const end = new Listening({ stream: 1, port: "mix.out", instance: 5 });
  assert.equal([0, 500, 1_000, 1_500].flatMap((ms) => end.due(ms)).length, 2);
  end.onMessage({ t: "refused", stream: 1, why: "'x.y' is not exported" });
  assert.equal(end.refused, "'x.y' is not exported");
  assert.equal([2_000, 3_000, 4_000, 4_500].flatMap((ms) => end.due(ms)).length, 1);
  end.onMessage({ t: "welcome", stream: 1, epoch: 1, greeting: 1 });
  assert.equal(end.refused, "");
});

function feeding() {
  const end = new Feeding({ stream: 2, node: "singer", instance: 5 });
  assert.deepEqual(end.due(0), [
    { t: "offer", v: 1, stream: 2, node: "singer", format: "s16", instance: 5, greeting: 1 },
  ]);
  return end;
}

test("a feed sends within its window, and drops what would have to wait", () => {
  const end = feeding();
  assert.equal(end.next(1), 0, "nothing before the welcome");
  end.onMessage({ t: "welcome", stream: 2, window: 3, greeting: 1 });
  assert.deepEqual([1, 2, 3, 4, 5].map((ms) => end.next(ms)), [1, 2, 3, 0, 0]);
  end.onMessage({ t: "credit", stream: 2, greeting: 1, delivered: 2, granted: 5 });
  assert.deepEqual([6, 7, 8].map((ms) => end.next(ms)), [4, 5, 0]);
  assert.deepEqual([end.counts.dropped, end.underWay], [4, 3]);
});

test("credit that was overtaken, or of another greeting, changes nothing", () => {
  const end = feeding();
  end.onMessage({ t: "welcome", stream: 2, window: 2, greeting: 1 });
  end.next(1);
  end.next(2);
  end.onMessage({ t: "credit", stream: 2, greeting: 1, delivered: 2, granted: 4 });
  end.onMessage({ t: "credit", stream: 2, greeting: 1, delivered: 1, granted: 3 });
  end.onMessage({ t: "credit", stream: 2, greeting: 7, delivered: 2, granted: 900 });
  assert.deepEqual([3, 4, 5].map((ms) => end.next(ms)), [3, 4, 0]);
});

test("a sign of life for each tenth of a second without a frame", () => {
  const end = feeding();
  end.onMessage({ t: "welcome", stream: 2, window: 99, greeting: 1 });
  const sent = [];
  for (let ms = 10; ms <= 1_000; ms += 10) sent.push(...end.due(ms));
  assert.equal(sent.length, 10);
  for (let ms = 1_010; ms <= 2_000; ms += 10) {
    end.next(ms);
    assert.deepEqual(end.due(ms), []);
  }
});

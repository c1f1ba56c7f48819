import assert from "node:assert/strict";
import { test } from "node:test";

import { PlayoutBuffer } from "../../../../audio_pipeline/service/console/audio/buffer.js";
import { signalToResidual, toneToRest } from "./tones.mjs";

const RATE = 48_000;
const QUANTUM = 128;

/** Pseudo-random numbers from 0 to 1, the same each time. */
function dice(seed) {
  return () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
}

/**
 * Frames of a stream go over a network into a buffer that an audio clock reads, all in virtual time.
 * @param {object} terms
 */
function play({
  seconds, delayS = () => 0.02, rate = RATE, frame = rate / 100, ppm = 0, hz = 997, channels = 1, quantum = QUANTUM,
  wallS = (t) => t, value, over = () => ({}), stopped = () => false,
}) {
  const buffer = new PlayoutBuffer({ rate: RATE, channels: 2 });
  const signal = value ?? ((place) => 0.5 * Math.sin((2 * Math.PI * hz * place) / rate));
  const frames = Math.floor((seconds * rate) / frame);
  const arrivals = Array.from({ length: frames }, (_, k) => {
    const sentS = ((k + 1) * frame) / rate / (1 + ppm * 1e-6);
    return { k, at: sentS + delayS(sentS, k) };
  });
  for (let k = 1; k < frames; k++) arrivals[k].at = Math.max(arrivals[k].at, arrivals[k - 1].at); // TCP keeps the order
  const left = new Float32Array(Math.floor((seconds * RATE) / quantum) * quantum);
  const states = [];
  let next = 0;
  for (let at = 0; at < left.length; at += quantum) {
    const nowS = at / RATE;
    for (; next < frames && arrivals[next].at <= nowS; next++) {
      const position = arrivals[next].k * frame;
      const sound = {
        position, samples: frame, rate, channels, epoch: 1, generation: 0, timeline: "mix",
        value: (_, i) => signal(position + i), ...over(arrivals[next].k, position),
      };
      if (sound.samples > 0) buffer.write(sound, nowS);
    }
    if (stopped(nowS)) continue;
    const out = [left.subarray(at, at + quantum), new Float32Array(quantum)];
    buffer.read(out, nowS + quantum / RATE, wallS(nowS) * 1e3);
    states.push({ nowS, place: buffer.place, delayMs: buffer.delayMs(nowS + quantum / RATE), targetMs: buffer.targetMs });
  }
  return { buffer, left, states, from: (s) => left.subarray(Math.floor(s * RATE)) };
}

/** Largest second difference: a click shows there, whatever is played. */
function roughness(x) {
  let worst = 0;
  for (let i = 2; i < x.length; i++) worst = Math.max(worst, Math.abs(x[i] - 2 * x[i - 1] + x[i - 2]));
  return worst;
}

const CLICKLESS = 0.5 * ((2 * Math.PI * 997) / RATE) ** 2 * 1.5 + 0.01; // the tone's own, and that of fades of 2.5 ms

test("frames that come on time are played without a break, behind one frame and a reserve", () => {
  const { buffer, states, from } = play({ seconds: 6 });
  assert.equal(buffer.counts.underruns, 0);
  assert.ok(states.at(-1).delayMs < 22, `${states.at(-1).delayMs} ms`);
  assert.ok(toneToRest(from(4), 997, RATE).ratio > 85);
});

test("what begins fades in", () => {
  const { left } = play({ seconds: 1, value: () => 0.5 });
  assert.ok(roughness(left) < 0.02, `${roughness(left)}`);
});

test("within 3 s the delay is what it stays, after a burst of frames that had waited", () => {
  const random = dice(3);
  const delayS = (sentS) => (sentS < 0.3 ? 0.4 - sentS : 0.02) + 0.005 * random();
  const { states } = play({ seconds: 20, delayS });
  const settled = states.filter(({ nowS }) => nowS > 3.4).map(({ delayMs }) => delayMs);
  assert.ok(Math.max(...settled) - Math.min(...settled) < 6, `${Math.min(...settled)} to ${Math.max(...settled)} ms`);
  assert.ok(settled[0] < 30, `${settled[0]} ms`);
});

for (const ppm of [-300, 300]) {
  test(`a clock that is ${ppm} ppm off is followed: nothing runs dry, the pitch is right`, () => {
    const random = dice(5);
    const { buffer, states, from } = play({ seconds: 120, ppm, delayS: () => 0.02 + 0.004 * random() });
    assert.equal(buffer.counts.underruns, 0);
    const late = states.filter(({ nowS }) => nowS > 60).map(({ delayMs }) => delayMs);
    assert.ok(Math.max(...late) < 35, `${Math.max(...late)} ms`);
    const { level, ratio } = toneToRest(from(119).subarray(0, 9_600), 997 * (1 + ppm * 1e-6), RATE);
    assert.ok(Math.abs(level - 0.5) < 0.01, `${level}: another frequency fits better`);
    assert.ok(ratio > 40, `${ratio} dB`); // over 0.2 s; the rest is the loop's wander of phase, a hundredth of a radian
  });
}

test("it runs dry without a click, goes on behind what it waited for, and waits longer from then on", () => {
  const { buffer, left, states } = play({ seconds: 12, delayS: (s) => (s > 6 && s < 6.1 ? 0.08 : 0.02) });
  assert.equal(buffer.counts.underruns, 1);
  assert.ok(roughness(left) < CLICKLESS, `${roughness(left)}`);
  const before = states.find(({ nowS }) => nowS > 5.9);
  const after = states.find(({ nowS }) => nowS > 6.5);
  assert.ok(after.delayMs > before.delayMs + 30, `${before.delayMs} then ${after.delayMs} ms`);
});

test("what was needed is kept for longer each time that it was not kept for long enough", () => {
  const { buffer } = play({ seconds: 150, delayS: (s) => (s > 4 && s % 12 < 0.05 ? 0.07 : 0.02) });
  assert.ok(buffer.counts.underruns <= 5, `${buffer.counts.underruns} times for twelve hiccups`);
});

test("after a stall of 3 s of the network nothing older than 150 ms is heard", () => {
  // The host drops what is older than its queue; what lay in sockets comes at once. Here all of it comes.
  const { buffer, states } = play({ seconds: 12, delayS: (s) => (s > 5 && s < 8 ? 8.02 - s : 0.02) });
  for (const { nowS, place } of states.filter(({ nowS }) => nowS > 8.2)) {
    if (place !== null) assert.ok(nowS - place / RATE < 0.15 + 0.02, `${nowS}: ${nowS - place / RATE} s old`);
  }
  assert.ok(states.at(-1).place !== null);
  assert.equal(buffer.counts.outages, 1);
});

test("after a stall of 3 s of the browser nothing older than 150 ms is heard", () => {
  // Nothing runs for 3 s: the audio clock stands, the wall clock goes on. Frames are what `Listening` lets through.
  const seen = [];
  const buffer = new PlayoutBuffer({ rate: RATE, channels: 2 });
  const out = [new Float32Array(QUANTUM), new Float32Array(QUANTUM)];
  let content = 0;
  for (let at = 0; at < 6 * RATE; at += QUANTUM) {
    const nowS = at / RATE;
    const wallS = nowS > 3 ? nowS + 3 : nowS;
    for (; (content + 480) / RATE + 0.01 <= wallS; content += 480) {
      const isOld = wallS - (content + 480) / RATE > 0.15;
      if (!isOld) {
        const sound = { position: content, samples: 480, rate: RATE, channels: 1, epoch: 1, generation: 0, timeline: "" };
        buffer.write({ ...sound, value: () => 0.1 }, nowS);
      }
    }
    buffer.read(out, nowS + QUANTUM / RATE, wallS * 1e3);
    if (buffer.place !== null) seen.push({ wallS, ageS: wallS - buffer.place / RATE });
  }
  assert.equal(buffer.counts.stalls, 1);
  assert.ok(seen.every(({ ageS }) => ageS < 0.15), `${Math.max(...seen.map(({ ageS }) => ageS))} s`);
  assert.ok(seen.at(-1).wallS > 8.9);
});

test("a hole is silence between two fades, as long as it was", () => {
  const { buffer, left, from } = play({ seconds: 6, over: (k) => (k >= 300 && k < 305 ? { samples: 0 } : {}) });
  assert.equal(buffer.counts.concealedSamples, 5 * 480);
  assert.ok(roughness(left) < CLICKLESS, `${roughness(left)}`);
  assert.ok(toneToRest(from(5), 997, RATE).ratio > 85);
});

test("frames of silence lie between two fades", () => {
  const { buffer, left, from } = play({ seconds: 6, over: (k) => (k >= 300 && k < 305 ? { value: null } : {}) });
  assert.deepEqual([buffer.counts.underruns, buffer.counts.joins], [0, 1]);
  assert.ok(roughness(left) < CLICKLESS, `${roughness(left)}`);
  assert.ok(toneToRest(from(5), 997, RATE).ratio > 85);
});

test("another generation at the same place follows without a break and without a click", () => {
  const over = (k, position) => (k < 300 ? {} : { generation: 1, value: (_, i) => -0.5 * Math.sin((2 * Math.PI * 997 * (position + i)) / RATE) });
  const { buffer, left } = play({ seconds: 5, over });
  assert.deepEqual([buffer.counts.joins, buffer.counts.underruns], [2, 0]);
  assert.ok(roughness(left) < CLICKLESS, `${roughness(left)}`);
});

test("positions that begin elsewhere are played after a fade", () => {
  const over = (k, position) => (k < 300 ? {} : { position: position + 10 * RATE, epoch: 2 });
  const { buffer, left, states } = play({ seconds: 6, over });
  assert.ok(states.at(-1).place > 12 * RATE);
  assert.equal(buffer.counts.joins, 2);
  assert.ok(roughness(left) < CLICKLESS, `${roughness(left)}`);
});

for (const [rate, frame] of [[8_000, 160], [44_100, 441], [96_000, 480], [192_000, 1_920]]) {
  test(`a stream of ${rate} Hz keeps its pitch`, () => {
    const { buffer, from } = play({ seconds: 5, rate, frame });
    assert.equal(buffer.counts.underruns, 0);
    assert.ok(toneToRest(from(4), 997, RATE).ratio > 75, `${toneToRest(from(4), 997, RATE).ratio} dB`);
  });
}

for (const quantum of [64, 480, 1_024]) {
  test(`blocks of ${quantum} samples are filled whole`, () => {
    const { buffer, from } = play({ seconds: 6, quantum });
    assert.equal(buffer.counts.underruns, 0);
    assert.ok(toneToRest(from(4), 997, RATE).ratio > 85);
  });
}

test("what is played is what came, to a fraction of a decibel above the noise of 16 bits", () => {
  const { left, states } = play({ seconds: 6, value: (place) => 0.3 * Math.sin(place * 0.1) + 0.2 * Math.sin(place * 0.7) });
  const { place, nowS } = states[Math.floor((5 * RATE) / QUANTUM)];
  const at = Math.round(nowS * RATE) + QUANTUM; // `place` is read next
  const wanted = Float64Array.from({ length: 1_000 }, (_, i) => 0.3 * Math.sin((place + i) * 0.1) + 0.2 * Math.sin((place + i) * 0.7));
  assert.ok(signalToResidual(left.subarray(at, at + 1_000), wanted) > 60);
});

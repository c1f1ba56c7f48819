import assert from "node:assert/strict";
import { test } from "node:test";

import { BlockCutter, toS16 } from "../../../../audio_pipeline/service/console/audio/blocks.js";

const fadeSamples = 10;

/** @param {import("../../../../audio_pipeline/service/console/audio/blocks.js").Block} block */
const payload = (block) => [...new Int16Array(block.message, 64)];

/** All blocks that a signal becomes. */
function cut(cutter, value, quantum, total) {
  const blocks = [];
  for (let at = 0; at < total; at += quantum) {
    const plane = Float32Array.from({ length: quantum }, (_, i) => value(at + i));
    const block = cutter.push([plane], quantum);
    if (block !== null) blocks.push(block);
  }
  return blocks;
}

for (const quantum of [1, 64, 128, 480, 1_000, 4_096]) {
  test(`quanta of ${quantum}: nothing is missing, nothing comes twice`, () => {
    const cutter = new BlockCutter({ burst: 441, channels: 1, fadeSamples: 1 });
    const blocks = cut(cutter, (at) => (at % 30_000) / 32_768, quantum, 40_000);
    const got = blocks.flatMap(payload);
    assert.ok(got.length > 39_000);
    assert.deepEqual(got.slice(1), got.slice(1).map((_, i) => (i + 1) % 30_000));
    const samples = blocks.map((block) => block.samples);
    assert.deepEqual(blocks.map(({ position }) => position), samples.map((_, k) => samples.slice(0, k).reduce((a, b) => a + b, 0)));
  });
}

test("a block ends with the last quantum that a device's block of 441 samples needs", () => {
  const blocks = cut(new BlockCutter({ burst: 441, channels: 1, fadeSamples: 1 }), () => 0, 128, 44_100);
  for (const [k, { position, samples }] of blocks.entries()) {
    const needed = 441 * (k + 1); // rendered until then: the first whole number of quanta that has so much
    assert.equal(position + samples, Math.ceil(needed / 128) * 128);
  }
  assert.equal(blocks.length, 100);
});

test("where the first quantum lies within a burst, blocks end where bursts do all the same", () => {
  const [first] = cut(new BlockCutter({ burst: 441, channels: 1, fadeSamples: 1, start: 128 * 5 }), () => 0, 128, 4_096);
  assert.equal(128 * 5 + first.samples, Math.ceil((2 * 441) / 128) * 128);
});

test("without a microphone the blocks are gaps of full length, and positions go on", () => {
  const cutter = new BlockCutter({ burst: 240, channels: 1, fadeSamples });
  const inputs = [[], [], [new Float32Array(240).fill(0.5)], []];
  const blocks = inputs.map((input) => /** @type {any} */ (cutter.push(input, 240)));
  assert.deepEqual(blocks.map(({ isGap }) => isGap), [true, true, false, true]);
  assert.deepEqual(blocks.map(({ message }) => message.byteLength), [64, 64, 64 + 480, 64]);
  assert.deepEqual(blocks.map(({ position }) => position), [0, 240, 480, 720]);
});

test("a microphone that comes within a block fades in behind silence", () => {
  const cutter = new BlockCutter({ burst: 240, channels: 1, fadeSamples });
  cutter.push([new Float32Array(240).fill(1)], 240); // what was before must not shine through
  cutter.push([], 100);
  const got = payload(/** @type {any} */ (cutter.push([new Float32Array(140).fill(0.5)], 140)));
  assert.deepEqual(got.slice(0, 100), Array(100).fill(0));
  assert.ok(got.slice(100, 110).every((x, i) => Math.abs(x - 16_384 * ((i + 0.5) / 10)) <= 1));
  assert.ok(got.slice(110).every((x) => x === 16_384));
});

test("stereo becomes mono by its mean, mono goes to both", () => {
  const planes = [new Float32Array(240).fill(0.5), new Float32Array(240).fill(0.25)];
  const block = (channels, input) =>
    payload(/** @type {any} */ (new BlockCutter({ burst: 240, channels, fadeSamples: 1 }).push(input, 240)));
  assert.ok(block(1, planes).slice(1).every((x) => x === 12_288));
  assert.deepEqual(block(2, planes).slice(2, 4), [16_384, 8_192]);
  assert.deepEqual(block(2, planes.slice(0, 1)).slice(2, 4), [16_384, 16_384]);
});

test("full scale is clipped, what is no number is silence", () => {
  assert.deepEqual([2, 1, -1, -2, NaN, Infinity, 0.5].map(toS16), [32_767, 32_767, -32_768, -32_768, 0, 32_767, 16_384]);
});

import assert from "node:assert/strict";
import { test } from "node:test";

import { BlockCutter, toS16 } from "../../../../audio_pipeline/service/console/audio/blocks.js";

const fadeSamples = 10;

/** @param {import("../../../../audio_pipeline/service/console/audio/blocks.js").Block} block */
const payload = (block) => [...new Int16Array(block.message, 64)];

for (const quantum of [1, 64, 128, 480, 1_000]) {
  test(`quanta of ${quantum} are cut by sample: nothing missing, nothing twice`, () => {
    const cutter = new BlockCutter({ samples: 240, channels: 1, fadeSamples: 1 });
    const blocks = [];
    for (let at = 0; at < 10_000; at += quantum) {
      const plane = Float32Array.from({ length: quantum }, (_, i) => (at + i) / 32_768);
      blocks.push(...cutter.push([plane], quantum));
    }
    const got = blocks.flatMap(payload);
    assert.deepEqual(got.slice(1), got.slice(1).map((_, i) => i + 1));
    assert.deepEqual(blocks.map(({ position }) => position), blocks.map((_, k) => 240 * k));
  });
}

test("without a microphone the blocks are gaps of full length, and positions go on", () => {
  const cutter = new BlockCutter({ samples: 240, channels: 1, fadeSamples });
  const blocks = [...cutter.push([], 480), ...cutter.push([new Float32Array(240).fill(0.5)], 240), ...cutter.push([], 240)];
  assert.deepEqual(blocks.map(({ isGap }) => isGap), [true, true, false, true]);
  assert.deepEqual(blocks.map(({ message }) => message.byteLength), [64, 64, 64 + 480, 64]);
  assert.deepEqual(blocks.map(({ position }) => position), [0, 240, 480, 720]);
});

test("a microphone that comes within a block fades in behind silence", () => {
  const cutter = new BlockCutter({ samples: 240, channels: 1, fadeSamples });
  cutter.push([], 100);
  const [block] = cutter.push([new Float32Array(140).fill(0.5)], 140);
  const got = payload(block);
  assert.deepEqual(got.slice(0, 100), Array(100).fill(0));
  assert.ok(got.slice(100, 110).every((x, i) => Math.abs(x - 16_384 * ((i + 0.5) / 10)) <= 1));
  assert.ok(got.slice(110).every((x) => x === 16_384));
});

test("stereo becomes mono by its mean, mono goes to both", () => {
  const planes = [new Float32Array(240).fill(0.5), new Float32Array(240).fill(0.25)];
  const mono = new BlockCutter({ samples: 240, channels: 1, fadeSamples: 1 });
  assert.ok(payload(mono.push(planes, 240)[0]).slice(1).every((x) => x === 12_288));
  const stereo = new BlockCutter({ samples: 240, channels: 2, fadeSamples: 1 });
  assert.deepEqual(payload(stereo.push(planes, 240)[0]).slice(2, 4), [16_384, 8_192]);
  const both = new BlockCutter({ samples: 240, channels: 2, fadeSamples: 1 });
  assert.deepEqual(payload(both.push(planes.slice(0, 1), 240)[0]).slice(2, 4), [16_384, 16_384]);
});

test("full scale is clipped, what is no number is silence", () => {
  assert.deepEqual([2, 1, -1, -2, NaN, Infinity, 0.5].map(toS16), [32_767, 32_767, -32_768, -32_768, 0, 32_767, 16_384]);
});

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
    blocks.push(cutter.push([plane], quantum));
  }
  return blocks;
}

for (const quantum of [1, 64, 128, 480, 1_000, 4_096]) {
  test(`quanta of ${quantum} are cut by sample: nothing is missing, nothing comes twice`, () => {
    const cutter = new BlockCutter({ samples: 441, channels: 1, fadeSamples: 1 });
    const blocks = cut(cutter, (at) => (at % 30_000) / 32_768, quantum, 40_000).flat();
    const got = blocks.flatMap(payload);
    assert.ok(got.length > 39_000);
    assert.deepEqual(got.slice(1), got.slice(1).map((_, i) => (i + 1) % 30_000));
    assert.deepEqual(blocks.map(({ position }) => position), blocks.map((_, k) => 441 * k));
  });
}

for (const start of [0, 128 * 5]) {
  test(`from ${start} on each burst of quanta that a device takes completes one block`, () => {
    const blocks = cut(new BlockCutter({ samples: 441, channels: 1, fadeSamples: 1, start }), () => 0, 128, 44_100);
    let rendered = start;
    const bursts = new Map();
    for (const completed of blocks) {
      const burst = Math.ceil((rendered + 1) / 441); // the device asked for so many blocks when this was rendered
      rendered += 128;
      if (rendered >= burst * 441) bursts.set(burst, completed.length);
    }
    assert.ok(bursts.size >= 98 && [...bursts.values()].every((count) => count === 1));
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
  cutter.push([new Float32Array(240).fill(1)], 240); // what was before must not shine through
  cutter.push([], 100);
  const got = payload(cutter.push([new Float32Array(140).fill(0.5)], 140)[0]);
  assert.deepEqual(got.slice(0, 100), Array(100).fill(0));
  assert.ok(got.slice(100, 110).every((x, i) => Math.abs(x - 16_384 * ((i + 0.5) / 10)) <= 1));
  assert.ok(got.slice(110).every((x) => x === 16_384));
});

test("stereo becomes mono by its mean, mono goes to both", () => {
  const planes = [new Float32Array(240).fill(0.5), new Float32Array(240).fill(0.25)];
  const block = (channels, input) => payload(new BlockCutter({ samples: 240, channels, fadeSamples: 1 }).push(input, 240)[0]);
  assert.ok(block(1, planes).slice(1).every((x) => x === 12_288));
  assert.deepEqual(block(2, planes).slice(2, 4), [16_384, 8_192]);
  assert.deepEqual(block(2, planes.slice(0, 1)).slice(2, 4), [16_384, 16_384]);
});

test("full scale is clipped, what is no number is silence", () => {
  assert.deepEqual([2, 1, -1, -2, NaN, Infinity, 0.5].map(toS16), [32_767, 32_767, -32_768, -32_768, 0, 32_767, 16_384]);
});

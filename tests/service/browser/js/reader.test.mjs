import assert from "node:assert/strict";
import { test } from "node:test";

import { Reader, SincTable } from "../../../../audio_pipeline/service/console/audio/reader.js";
import { Ring } from "../../../../audio_pipeline/service/console/audio/ring.js";
import { signalToResidual, sine, toneToRest } from "./tones.mjs";

const FAR = 2 ** 40; // eight months of 48 kHz: places must not have lost their fractions there

/** Reads `n` outputs of a tone in chunks; the tone is in the ring as far as it is needed. */
function read({ hz, rate, ratio, n, chunk = n, start = FAR, table = new SincTable(ratio) }) {
  const tone = sine(hz, rate);
  const capacity = 1 << 18; // holds all that is read at once
  const ring = new Ring(1, capacity);
  ring.clear(start);
  const out = new Float32Array(n);
  const reader = new Reader(ring, table);
  reader.moveTo(start + 256);
  for (let i = 0; i < n; i += chunk) {
    const samples = Math.min(chunk, n - i);
    while (reader.spare(samples, ratio) < 0) {
      const from = ring.end - start;
      ring.append(64, (_, /** @type {number} */ k) => tone(from + k));
    }
    reader.read([out.subarray(i, i + samples)], 0, samples, ratio);
  }
  return { out, wanted: Float64Array.from({ length: n }, (_, i) => tone(256 + i * ratio)) };
}

// 150 ppm is more than two good crystals differ by; the bars are those that a 16-bit stream needs (96 dB) less the
// rounding of 32-bit filters.
for (const [hz, bar] of [[997, 90], [9_973, 90], [15_000, 90]]) {
  test(`a tone of ${hz} Hz at 150 ppm has a residual below -${bar} dB`, () => {
    const { out, wanted } = read({ hz, rate: 48_000, ratio: 1.00015, n: 48_000, table: new SincTable(1) });
    assert.ok(signalToResidual(out, wanted) >= bar, `${signalToResidual(out, wanted).toFixed(1)} dB`);
  });
}

test("read in chunks it is the same as at once, to the bit", () => {
  const terms = { hz: 5_000, rate: 48_000, ratio: 1.00015, n: 10_240 };
  const whole = read(terms).out;
  for (const chunk of [1, 17, 128, 480, 1024]) {
    assert.deepEqual(read({ ...terms, chunk }).out, whole, `chunks of ${chunk}`);
  }
});

for (const rate of [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000]) {
  for (const to of [44_100, 48_000]) {
    test(`a tone goes from ${rate} to ${to} Hz`, () => {
      const hz = 0.3 * Math.min(rate, to); // well within the band of both
      const { out, wanted } = read({ hz, rate, ratio: rate / to, n: to / 2 });
      assert.ok(signalToResidual(out, wanted) >= 85, `${signalToResidual(out, wanted).toFixed(1)} dB`);
    });
  }
}

test("what the lower rate cannot hold is gone, not folded", () => {
  const { out } = read({ hz: 60_000, rate: 192_000, ratio: 4, n: 24_000 });
  const level = Math.sqrt(out.reduce((sum, x) => sum + x * x, 0) / out.length);
  assert.ok(20 * Math.log10(level) < -85, `${(20 * Math.log10(level)).toFixed(1)} dB`);
});

test("a ratio that slews keeps its tone free of steps", () => {
  const rate = 48_000;
  const ring = new Ring(1, 65_536);
  ring.clear(0);
  ring.append(60_000, (_, i) => sine(1_000, rate)(i));
  const reader = new Reader(ring, new SincTable(1));
  reader.moveTo(100);
  const out = new Float32Array(128 * 300);
  for (let q = 0; q < 300; q++) reader.read([out.subarray(q * 128, q * 128 + 128)], 0, 128, 1 + q * 1e-6, 1 + (q + 1) * 1e-6);
  let worst = 0; // the second difference of a sine is bounded by omega^2; a click is not
  for (let i = 2; i < out.length; i++) worst = Math.max(worst, Math.abs(out[i] - 2 * out[i - 1] + out[i - 2]));
  assert.ok(worst < 1.01 * ((2 * Math.PI * 1_000) / rate) ** 2, `${worst}`);
});

test("a constant stays what it is at any place", () => {
  const ring = new Ring(1, 4_096);
  ring.clear(0);
  ring.append(4_000, () => 0.5);
  const reader = new Reader(ring, new SincTable(1));
  reader.moveTo(200.3);
  const out = new Float32Array(3_000);
  reader.read([out], 0, 3_000, 1.00037);
  assert.ok(out.every((x) => Math.abs(x - 0.5) < 1e-6));
});

test("the fit that the tests use finds a residual that is there", () => {
  const noisy = Float64Array.from({ length: 48_000 }, (_, i) => sine(1_000, 48_000)(i) + 1e-3 * sine(3_333, 48_000)(i));
  const { level, ratio } = toneToRest(noisy, 1_000, 48_000);
  assert.ok(Math.abs(level - 1) < 1e-3 && Math.abs(ratio - 60) < 0.5);
});

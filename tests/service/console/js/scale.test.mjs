import assert from "node:assert/strict";
import { test } from "node:test";

import { OFF_DB, faderDb, faderShare, logRows, loudest, meterShare } from "../../../../audio_pipeline/service/console/scale.js";

test("a fader's law can be followed both ways, and rises everywhere", () => {
  let before = -Infinity;
  for (let share = 0.001; share <= 1; share += 0.001) {
    const db = faderDb(share);
    assert.ok(db > before, `${share}: ${db} after ${before}`);
    assert.ok(Math.abs(faderShare(db) - share) < 1e-9);
    before = db;
  }
});

test("the ends of a fader: off, and 6 dB", () => {
  assert.equal(faderDb(0), OFF_DB);
  assert.equal(faderShare(OFF_DB), 0);
  assert.equal(faderDb(1), 6);
  assert.equal(faderShare(24), 1);
  assert.equal(faderDb(0.75), 0);
});

test("a meter shows -60 to 0 dB, the last 18 in its upper half", () => {
  assert.deepEqual([-120, -60, -18, 0, 3].map(meterShare), [0, 0, 0.5, 1, 1]);
});

test("rows of a spectrogram: equal ratios of frequency, from the top down", () => {
  const [bins, rate] = [1_024, 48_000];
  const rows = logRows(101, bins, rate, 100, 10_000);
  const hz = [...rows].map((bin) => (bin * rate) / 2 / bins);
  assert.ok(Math.abs(hz[0] - 10_000) < 1 && Math.abs(hz[100] - 100) < 0.1);
  for (let i = 1; i < hz.length; i++) assert.ok(Math.abs(hz[i] / hz[i - 1] - 100 ** (-1 / 100)) < 1e-4);
});

test("no row asks for a bin that is not there, at any rate", () => {
  for (const rate of [8_000, 16_000, 44_100, 192_000])
    for (const bin of logRows(50, 1_024, rate)) assert.ok(bin >= 0 && bin <= 1_023);
});

test("a row of several bins shows the loudest, one between two bins what lies between", () => {
  const spectrum = Float32Array.from([-90, -60, -30, -80]);
  assert.equal(loudest(spectrum, 0.5, 3), -30);
  assert.ok(Math.abs(loudest(spectrum, 1.4, 1.6) - -45) < 1e-4);
  assert.equal(loudest(spectrum, 3, 3), -80);
});

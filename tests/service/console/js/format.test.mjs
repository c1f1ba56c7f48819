import assert from "node:assert/strict";
import { test } from "node:test";

import * as format from "../../../../audio_pipeline/service/console/format.js";

test("what is not known is a dash, never zero", () => {
  for (const unknown of [null, undefined, NaN, Infinity, "3"]) {
    assert.equal(format.milliseconds(unknown), "–");
    assert.equal(format.percent(unknown), "–");
    assert.equal(format.decibels(unknown), "–");
    assert.equal(format.megabytes(unknown), "–");
    assert.equal(format.duration(unknown), "–");
    assert.equal(format.time(unknown), "-:--");
  }
});

test("times of songs", () => {
  assert.equal(format.time(0), "0:00");
  assert.equal(format.time(59.99), "0:59");
  assert.equal(format.time(187), "3:07");
  assert.equal(format.time(3_723), "1:02:03");
  assert.equal(format.timeInWords(3_661), "1 hour 1 minute 1 second");
  assert.equal(format.timeInWords(120), "2 minutes 0 seconds");
});

test("levels have a sign, one decimal, and an end", () => {
  assert.equal(format.decibels(0), "0.0 dB");
  assert.equal(format.decibels(-0.04), "0.0 dB");
  assert.equal(format.decibels(-12.34), "−12.3 dB");
  assert.equal(format.decibels(6), "+6.0 dB");
  assert.equal(format.decibels(-120), "−∞ dB");
});

test("sizes step from unit to unit without four digits", () => {
  assert.equal(format.bytes(999), "999 B");
  assert.equal(format.bytes(999_700), "1.0 MB");
  assert.equal(format.bytes(9_949_000), "9.9 MB");
  assert.equal(format.bytes(52_000_000), "52 MB");
  assert.equal(format.megabytes(24_000), "24 GB");
});

test("a song is called as its file, without the ending", () => {
  assert.equal(format.titleOf("My_song.flac"), "My song");
  assert.equal(format.titleOf(".mp3"), ".mp3");
  assert.equal(format.titleOf("Vol. 2"), "Vol. 2");
});

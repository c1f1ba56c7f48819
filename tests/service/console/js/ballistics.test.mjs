import assert from "node:assert/strict";
import { test } from "node:test";

import { Ballistics, FLOOR_DB, Reading } from "../../../../audio_pipeline/service/console/ballistics.js";

/** Seconds until a meter that was at 0 dB has fallen by 20 dB, drawn so many times a second. */
function fallS(framesS) {
  const meter = new Ballistics();
  meter.move(0, 0);
  for (let i = 1; ; i++) {
    meter.move(-60, i / framesS);
    if (meter.level <= -20) return i / framesS;
  }
}

test("falls 20 dB in 1.7 s as IEC 60268-10 type I asks, on any screen alike", () => {
  for (const framesS of [24, 60, 144]) assert.ok(Math.abs(fallS(framesS) - 1.7) < 0.05, `${framesS}: ${fallS(framesS)}`);
});

test("rises at once and holds its peak", () => {
  const meter = new Ballistics();
  meter.move(-40, 0);
  meter.move(-3, 0.01);
  assert.equal(meter.level, -3);
  for (let t = 0.02; t < 1.4; t += 0.02) meter.move(-40, t);
  assert.equal(meter.held, -3);
  for (let t = 1.6; t < 3; t += 0.02) meter.move(-40, t);
  assert.ok(meter.held < -10);
});

test("silence, NaN and no answer end at the floor, and stay there", () => {
  for (const quiet of [null, NaN, -Infinity, -200]) {
    const meter = new Ballistics();
    meter.move(-1, 0);
    for (let t = 0; t < 20; t += 0.1) meter.move(quiet, t);
    assert.equal(meter.level, FLOOR_DB);
    assert.equal(meter.isMoving, false);
  }
});

test("a clock that stands still moves nothing", () => {
  const meter = new Ballistics();
  meter.move(-10, 5);
  for (let i = 0; i < 1_000; i++) meter.move(-50, 5);
  assert.equal(meter.level, -10);
});

test("a figure changes four times a second at most and shows the loudest of each quarter", () => {
  const reading = new Reading(0.25);
  let changes = 0;
  for (let i = 0; i < 600; i++) changes += reading.move(-20 - (i % 7), i / 60) ? 1 : 0;
  assert.ok(changes <= 41, String(changes));
  assert.equal(reading.value, -20);
});

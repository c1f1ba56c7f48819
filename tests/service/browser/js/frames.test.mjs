import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Flag, Format, FrameError, parseHeader, writeHeader } from "../../../../audio_pipeline/service/console/audio/frames.js";
import { PackedError, unpackMap } from "../../../../audio_pipeline/service/console/audio/packed.js";
import { soundOf } from "../../../../audio_pipeline/service/console/audio/sound.js";

const golden = JSON.parse(readFileSync(new URL("../../golden_frames.json", import.meta.url), "utf8"));
const NAMES = {
  channels: "channels", rate: "rate", samples: "samples", flags: "flags", clock_id: "clockId", epoch: "epoch",
  stream: "stream", seq: "seq", position: "position", captured_ns: "capturedNs", generation: "generation",
  sent_age_us: "sentAgeUs",
};

/** @param {string} hex */
const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));

for (const frame of golden.good) {
  test(`golden frame: ${frame.name}`, () => {
    const message = bytes(frame.hex).buffer;
    const header = parseHeader(message);
    for (const [theirs, ours] of Object.entries(NAMES)) assert.equal(header[ours], frame[theirs], ours);
    if (frame.event) {
      const event = unpackMap(new Uint8Array(message, header.start));
      assert.deepEqual({ ...event }, frame.event);
      return;
    }
    const { value } = soundOf({ message, header, timeline: "song" });
    const sound = frame.sound.map((_, k) => value?.(k % header.channels, Math.floor(k / header.channels)) ?? 0);
    assert.deepEqual(sound, frame.sound);
  });
}

for (const frame of golden.bad) {
  test(`no frame: ${frame.name}`, () => {
    assert.throws(() => parseHeader(bytes(frame.hex).buffer), FrameError);
  });
}

test("what is written is read again, and reads in Python as the golden one does", () => {
  const message = new ArrayBuffer(64 + 8);
  const fields = {
    format: Format.S16, channels: 2, rate: 44_100, samples: 2, flags: Flag.SEGMENT_END, epoch: 1, stream: 2,
    seq: 2 ** 40 + 1, position: 2 ** 53, capturedNs: -(2 ** 51), generation: 4,
  };
  writeHeader(message, fields);
  const { start, payloadBytes, clockId, sentAgeUs, ...read } = parseHeader(message);
  assert.deepEqual(read, fields);
  assert.deepEqual([start, payloadBytes, clockId, sentAgeUs], [64, 8, 0, 0]);
});

test("a golden frame is written to the byte", () => {
  const frame = golden.good.find((/** @type {any} */ { name }) => name === "a gap");
  const message = new ArrayBuffer(64);
  writeHeader(message, { format: Format.F32, ...parseHeader(bytes(frame.hex).buffer) });
  const wanted = bytes(frame.hex);
  wanted[22] = 0; // a browser's clock is the host's, by its offset
  assert.deepEqual(new Uint8Array(message), wanted);
});

test("no NaN and no Inf reaches a loudspeaker", () => {
  const message = new ArrayBuffer(64 + 12);
  new Float32Array(message, 64).set([NaN, Infinity, 0.25]);
  const fields = { format: Format.F32, channels: 1, rate: 48_000, samples: 3, flags: 0, epoch: 1, stream: 1, seq: 1,
    position: 0, capturedNs: 0, generation: 0 };
  writeHeader(message, fields);
  const { value } = soundOf({ message, header: parseHeader(message), timeline: "" });
  assert.deepEqual([0, 1, 2].map((i) => value?.(0, i)), [0, 0, 0.25]);
});

test("any bytes are msgpack or refused", () => {
  let seed = 1;
  const random = () => (seed = (seed * 48_271) % 2_147_483_647);
  for (let k = 0; k < 5_000; k++) {
    const garbage = Uint8Array.from({ length: random() % 40 }, () => random() % 256);
    garbage[0] = 0x80 | (random() % 4);
    try {
      unpackMap(garbage);
    } catch (error) {
      assert.ok(error instanceof PackedError, String(error));
    }
  }
});

test("lists that are too deep, or longer than their bytes, are refused", () => {
  assert.throws(() => unpackMap(Uint8Array.from([0x81, 0xa1, 0x61, ...Array(40).fill(0x91), 0])), /deeper than 32/);
  assert.throws(() => unpackMap(Uint8Array.from([0x81, 0xa1, 0x61, 0xdd, 0xff, 0xff, 0xff, 0xff])), /ends within/);
  assert.throws(() => unpackMap(Uint8Array.from([0x91, 0x01])), /no map/);
});

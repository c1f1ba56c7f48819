// The audio thread's end of a stream that is listened to: frames from the worker in, one block after the other out.

import { PlayoutBuffer } from "./buffer.js";
import { soundOf } from "./sound.js";

const TICK_S = 0.05; // to the worker: what it sends, it sends by this clock
const REPORT_S = 0.1; // to the page

class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this._buffer = new PlayoutBuffer({ rate: sampleRate, channels: 2 });
    this._worker = /** @type {MessagePort | null} */ (null);
    this._tickS = this._reportS = 0;
    this._ended = false;
    this.port.onmessage = ({ data }) => this._onPage(data);
  }

  /** @param {{t: string, port: MessagePort}} message */
  _onPage(message) {
    if (message.t === "end") this._ended = true;
    if (message.t !== "connect") return;
    this._worker = message.port;
    this._worker.onmessage = ({ data }) => this._buffer.write(soundOf(data), currentTime);
  }

  /**
   * @param {Float32Array[][]} inputs
   * @param {Float32Array[][]} outputs
   */
  process(inputs, outputs) {
    const out = outputs[0];
    const now = currentTime + out[0].length / sampleRate;
    this._buffer.read(out, now, Date.now());
    if (now >= this._tickS) this._tick(now);
    if (now >= this._reportS) this._report(now);
    return !this._ended;
  }

  /** @param {number} now */
  _tick(now) {
    this._tickS = now + TICK_S;
    this._worker?.postMessage({ t: "tick", ...this._state(now) });
  }

  /** @param {number} now */
  _report(now) {
    this._reportS = now + REPORT_S;
    this.port.postMessage({ t: "report", ...this._state(now) });
  }

  /** @param {number} now */
  _state(now) {
    const buffer = this._buffer;
    return {
      place: buffer.place,
      contextS: now,
      wallMs: Date.now(),
      rate: buffer.sourceRate,
      bufferMs: buffer.delayMs(now),
      targetMs: buffer.targetMs,
      ppm: buffer.ppm,
      counts: { ...buffer.counts },
    };
  }
}

registerProcessor("player", Player);

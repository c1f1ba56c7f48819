// Cuts what a microphone gives, in quanta of any size, into messages of equal length: 16-bit samples behind room for a
// frame's header. Without a microphone the blocks are empty: silence.

import { HEADER_BYTES } from "./frames.js";

/**
 * @typedef {object} Block
 * @property {ArrayBuffer} message with room for the header; nothing behind it where the block is silence
 * @property {boolean} isGap
 * @property {number} samples per channel
 * @property {number} channels
 * @property {number} position of the first sample, counted since the start
 */

export class BlockCutter {
  _message = new ArrayBuffer(0);
  _payload = new Int16Array(0);
  _filled = 0; // samples of the block that is being made
  _isGap = true;

  /** @param {{samples: number, channels: number, fadeSamples: number}} block */
  constructor({ samples, channels, fadeSamples }) {
    this._samples = samples;
    this._channels = channels;
    this._fade = fadeSamples;
    this._gain = 0; // samples of the fade that were passed: the microphone may come and go anywhere in a wave
    this._position = 0;
    this._mixed = new Float32Array(channels);
    this._start();
  }

  _start() {
    this._message = new ArrayBuffer(HEADER_BYTES + this._samples * this._channels * 2);
    this._payload = new Int16Array(this._message, HEADER_BYTES);
    this._filled = 0;
    this._isGap = true;
  }

  /**
   * Takes a quantum; what it completes.
   * @param {Float32Array[]} input planes of one length; none where nothing is connected
   * @param {number} quantum samples
   * @returns {Block[]}
   */
  push(input, quantum) {
    const blocks = [];
    for (let i = 0; i < quantum; i++) {
      this._put(input, i);
      this._filled += 1;
      if (this._filled === this._samples) blocks.push(this._take());
    }
    return blocks;
  }

  /**
   * @param {Float32Array[]} input
   * @param {number} i
   */
  _put(input, i) {
    if (input.length === 0) {
      this._gain = 0; // the source is gone, so there is nothing to fade out with
      return;
    }
    this._isGap = false;
    const gain = Math.min((this._gain + 0.5) / this._fade, 1);
    this._gain = Math.min(this._gain + 1, this._fade);
    for (let c = 0; c < this._channels; c++) {
      this._payload[this._filled * this._channels + c] = toS16(gain * this._sample(input, c, i));
    }
  }

  /**
   * Mono from all channels, mono to all, or one each.
   * @param {Float32Array[]} input
   * @param {number} channel
   * @param {number} i
   */
  _sample(input, channel, i) {
    if (this._channels > 1 || input.length === 1) return input[Math.min(channel, input.length - 1)][i];
    let sum = 0;
    for (const plane of input) sum += plane[i];
    return sum / input.length;
  }

  /** @returns {Block} */
  _take() {
    const isGap = this._isGap;
    const message = isGap ? new ArrayBuffer(HEADER_BYTES) : this._message;
    const block = { message, isGap, samples: this._samples, channels: this._channels, position: this._position };
    this._position += this._samples;
    this._start();
    return block;
  }
}

/**
 * Full scale is 32 768, as `docs/protocol.md` has it.
 * @param {number} x
 */
export function toS16(x) {
  const value = Math.round(x * 32_768);
  return value > 32_767 ? 32_767 : value < -32_768 ? -32_768 : value || 0; // NaN is silence
}

// Gathers what a microphone gives, in quanta of any size, into messages: 16-bit samples behind room for a frame's header.
// Without a microphone the blocks are empty: silence.
//
// A device takes its blocks from a browser at once, so quanta come in bursts: three or four within a millisecond, then
// nothing for ten. Our blocks lie where the device's do, so that each burst completes one, and they leave evenly. Cut
// elsewhere some would wait for the next burst: jitter to whoever receives them, answered by a longer buffer.

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
  _filled = 0; // samples of the block that is being made
  _isGap = true;
  _position = 0; // of its first sample
  _gain = 0; // samples of the fade that were passed: a microphone may come and go anywhere in a wave

  /**
   * @param {object} block
   * @param {number} block.samples of a block: what the device takes at once
   * @param {number} block.channels
   * @param {number} block.fadeSamples
   * @param {number} [block.start] the first sample's place, counted as the device counts; the first block is as much
   *   shorter as that lies behind a block's beginning
   */
  constructor({ samples, channels, fadeSamples, start = 0 }) {
    this._samples = samples;
    this._channels = channels;
    this._fade = fadeSamples;
    this._until = samples - (start % samples); // length of the block that is being made
    this._payload = new Int16Array(samples * channels);
  }

  /**
   * Takes a quantum; the blocks that it completes.
   * @param {Float32Array[]} input planes of one length; none where nothing is connected
   * @param {number} quantum samples
   * @returns {Block[]}
   */
  push(input, quantum) {
    const blocks = [];
    for (let i = 0; i < quantum; i++) {
      this._put(input, i);
      if (this._filled === this._until) blocks.push(this._take());
    }
    return blocks;
  }

  /**
   * @param {Float32Array[]} input
   * @param {number} i
   */
  _put(input, i) {
    const at = this._filled * this._channels;
    this._filled += 1;
    if (input.length === 0) {
      this._gain = 0; // the source is gone, so there is nothing to fade out with
      this._payload.fill(0, at, at + this._channels);
      return;
    }
    this._isGap = false;
    const gain = Math.min((this._gain + 0.5) / this._fade, 1);
    this._gain = Math.min(this._gain + 1, this._fade);
    for (let c = 0; c < this._channels; c++) this._payload[at + c] = toS16(gain * this._sample(input, c, i));
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
    const [isGap, samples, channels, position] = [this._isGap, this._filled, this._channels, this._position];
    const values = isGap ? 0 : samples * channels;
    const message = new ArrayBuffer(HEADER_BYTES + 2 * values);
    new Int16Array(message, HEADER_BYTES).set(this._payload.subarray(0, values));
    this._position += samples;
    this._filled = 0;
    this._until = this._samples;
    this._isGap = true;
    return { message, isGap, samples, channels, position };
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

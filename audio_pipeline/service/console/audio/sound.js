// What the worker gives to the audio thread: a frame as it came, with the words of its header that are needed there.

import { Flag, Format } from "./frames.js";

/**
 * @typedef {object} Delivery
 * @property {ArrayBuffer} message
 * @property {import("./frames.js").Header} header
 * @property {string} timeline
 */

/**
 * The samples are read where they lie.
 * @param {Delivery} delivery
 * @returns {import("./buffer.js").Sound}
 */
export function soundOf({ message, header, timeline }) {
  const { position, samples, rate, channels, epoch, generation } = header;
  return { position, samples, rate, channels, epoch, generation, timeline, value: values(message, header) };
}

/**
 * @param {ArrayBuffer} message
 * @param {import("./frames.js").Header} header
 * @returns {((channel: number, i: number) => number) | null}
 */
function values(message, { format, flags, channels, start, payloadBytes }) {
  if (flags & Flag.GAP) return null;
  const isS16 = format === Format.S16;
  const aligned = start % 4 === 0 ? message : message.slice(start);
  const at = aligned === message ? start : 0;
  const data = isS16 ? new Int16Array(aligned, at, payloadBytes / 2) : new Float32Array(aligned, at, payloadBytes / 4);
  const scale = isS16 ? 1 / 32_768 : 1;
  return (channel, i) => {
    const x = data[i * channels + channel] * scale;
    return x - x === 0 ? x : 0; // no NaN and no Inf reaches a loudspeaker
  };
}

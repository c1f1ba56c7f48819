// A value that tells who wants to know that it changed; signals of preact have the same two members.

/** @template T */
export class Observable {
  /** @param {T} value */
  constructor(value) {
    this._value = value;
    this._listeners = /** @type {Set<(value: T) => void>} */ (new Set());
  }

  get value() {
    return this._value;
  }

  set value(value) {
    this._value = value;
    for (const listener of this._listeners) listener(value);
  }

  /**
   * Calls at once and at each change; what it returns ends that.
   * @param {(value: T) => void} listener
   */
  subscribe(listener) {
    this._listeners.add(listener);
    listener(this._value);
    return () => void this._listeners.delete(listener);
  }
}

/**
 * @typedef {object} MicStatus
 * @property {"closed" | "opening" | "open" | "ended"} state
 * @property {string} label of the device
 * @property {string[]} refused constraints that the browser did not grant, in words
 * @property {number | null} latency_ms that the browser states for the device
 */

/**
 * @typedef {object} Status
 * @property {"idle" | "starting" | "connecting" | "playing" | "lost" | "suspended" | "interrupted" | "stopped" | "failed"} state
 * @property {number} latency_ms from the worker to the ear: buffer and output
 * @property {number} monitor_ms from the graph to the ear: what a singer's own voice waits, beside the microphone
 * @property {number} buffer_ms
 * @property {number} target_ms of the buffer
 * @property {number} underruns of the buffer
 * @property {{events: number, seconds: number} | null} output_underruns as the browser counts them; null where it does not
 * @property {number} rate Hz, of the stream
 * @property {number} position audible now, in samples of the stream
 * @property {Record<string, any> | null} transport the last `media` event
 * @property {number | null} song_s audible now
 * @property {number | null} leaving_s the service ends in so many seconds
 * @property {MicStatus} mic
 * @property {string} error one sentence, or nothing
 */

/** @returns {Status} */
export function firstStatus() {
  return {
    state: "idle", latency_ms: 0, monitor_ms: 0, buffer_ms: 0, target_ms: 0, underruns: 0, output_underruns: null,
    rate: 0, position: 0, transport: null, song_s: null, leaving_s: null,
    mic: { state: "closed", label: "", refused: [], latency_ms: null }, error: "",
  };
}

/**
 * Song time at a position, by the last event of its source.
 * @param {Record<string, any> | null} media
 * @param {number} position
 * @param {number} rate
 */
export function songSeconds(media, position, rate) {
  if (media === null || typeof media.media_s !== "number" || !rate) return null;
  const passed = media.playing ? Math.max(position - Number(media.position), 0) / rate : 0;
  return media.media_s + passed * (typeof media.rate === "number" ? media.rate : 1);
}

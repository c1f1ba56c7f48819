// Where the host's clock, the page's clock and the audio clock stand to each other.

import { whole } from "./messages.js";

const KEPT = 64;
const FAST = 8; // exchanges in quick succession at first
const FAST_MS = 100;
const EVERY_MS = 1_000;
const ASSUMED_LATENCY_S = 0.04; // of an output that does not state its own

/** The host's monotonic clock, by exchanges of time: of the last 64 the one with the shortest round trip counts. */
export class HostClock {
  constructor() {
    this._exchanges = /** @type {{offsetNs: number, roundTripNs: number}[]} */ ([]);
    this._sentMs = -Infinity;
    this._sent = 0;
  }

  /** Another connection may be another way. */
  clear() {
    this._exchanges = [];
    this._sent = 0;
    this._sentMs = -Infinity;
  }

  /**
   * A question, where one is due.
   * @param {number} nowMs
   * @returns {import("./messages.js").Message[]}
   */
  due(nowMs) {
    if (nowMs - this._sentMs < (this._sent < FAST ? FAST_MS : EVERY_MS)) return [];
    this._sentMs = nowMs;
    this._sent += 1;
    return [{ t: "time", t1: Math.round(nowMs * 1e6) }];
  }

  /**
   * The answer to one.
   * @param {import("./messages.js").Message} message
   * @param {number} nowMs
   */
  onAnswer(message, nowMs) {
    const [t1, t2, t3, t4] = [whole(message, "t1", -1), whole(message, "t2", -1), whole(message, "t3", -1), nowMs * 1e6];
    if (t1 < 0 || t2 < 0 || t3 < t2 || t4 < t1) return;
    this._exchanges.push({ offsetNs: (t2 - t1 + (t3 - t4)) / 2, roundTripNs: t4 - t1 - (t3 - t2) });
    if (this._exchanges.length > KEPT) this._exchanges.shift();
  }

  get known() {
    return this._exchanges.length > 0;
  }

  get _best() {
    return this._exchanges.reduce((best, next) => (next.roundTripNs < best.roundTripNs ? next : best));
  }

  get roundTripMs() {
    return this.known ? this._best.roundTripNs / 1e6 : 0;
  }

  /**
   * The host's clock in ns; 0 where it is not known.
   * @param {number} pageMs
   */
  hostNs(pageMs) {
    return this.known ? Math.round(pageMs * 1e6 + this._best.offsetNs) : 0;
  }
}

/** When the audio clock is audible, on the page's clock. */
export class ContextClock {
  constructor() {
    this._contextS = 0;
    this._pageMs = /** @type {number | null} */ (null);
  }

  /**
   * @param {number} contextS that is audible at
   * @param {number} pageMs
   */
  set(contextS, pageMs) {
    this._contextS = contextS;
    this._pageMs = pageMs;
  }

  /**
   * @param {number} contextS
   * @returns {number | null} ms; null where it is not known
   */
  pageMs(contextS) {
    return this._pageMs === null ? null : this._pageMs + (contextS - this._contextS) * 1e3;
  }
}

/**
 * What is audible now: the context's own statement, or a guess where it has none.
 * @param {AudioContext} context
 * @param {number} nowMs
 * @returns {{contextS: number, pageMs: number}}
 */
export function audibleNow(context, nowMs) {
  const stamp = context.getOutputTimestamp?.();
  if (stamp?.contextTime && stamp.performanceTime) {
    return { contextS: stamp.contextTime, pageMs: stamp.performanceTime };
  }
  return { contextS: context.currentTime - outputLatencyS(context), pageMs: nowMs };
}

/**
 * From the graph to the ear.
 * @param {AudioContext} context
 */
export function outputLatencyS(context) {
  return context.outputLatency || (context.baseLatency || 0) + ASSUMED_LATENCY_S;
}

// A port that is listened to: frames and messages in, messages out; what is played and what is not.

import { Flag, Format } from "./frames.js";
import { VERSION, text, whole } from "./messages.js";
import { Stream } from "./stream.js";

const CREDIT_MS = 50; // or a quarter of the window, where frames are short
export const LATE_MS = 150; // what comes so much later than the quickest frames is not played
const OUTAGE_MS = 1_000; // late for so long: that is another route
const BASE_MS = 5_000; // the quickest frame of twice this is the measure

/** @typedef {import("./frames.js").Header} Header */
/** @typedef {import("./messages.js").Message} Message */

/** The smallest delay of the last 5 to 10 s. */
class Quickest {
  _older = Infinity;
  _newer = Infinity;
  _sinceMs = -Infinity;
  _lateSinceMs = /** @type {number | null} */ (null);

  clear() {
    this._older = this._newer = Infinity;
    this._sinceMs = -Infinity;
    this._lateSinceMs = null;
  }

  /**
   * True for a frame that comes too late.
   * @param {number} delayMs
   * @param {number} nowMs
   */
  isLate(delayMs, nowMs) {
    if (delayMs - Math.min(this._older, this._newer) <= LATE_MS) {
      this._lateSinceMs = null;
    } else {
      this._lateSinceMs ??= nowMs;
      if (nowMs - this._lateSinceMs < OUTAGE_MS) return true;
      this.clear();
    }
    this._take(delayMs, nowMs);
    return false;
  }

  /**
   * @param {number} delayMs
   * @param {number} nowMs
   */
  _take(delayMs, nowMs) {
    if (nowMs - this._sinceMs > BASE_MS) {
      this._older = this._newer;
      this._newer = Infinity;
      this._sinceMs = nowMs;
    }
    this._newer = Math.min(this._newer, delayMs);
  }
}

/** A port that is listened to. */
export class Listening extends Stream {
  epoch = 0;
  delivered = 0;
  timeline = "";
  counts = { frames: 0, lost: 0, late: 0, cancelled: 0 };
  _creditedMs = -Infinity;
  _credited = 0; // `delivered` of the newest credit
  _generation = 0;
  _quickest = new Quickest();
  _next = /** @type {{epoch: number, seq: number, timeline: string} | null} */ (null);

  /**
   * @param {{stream: number, port: string, instance: number, format?: import("./messages.js").Coding, window?: number}} terms
   */
  constructor({ stream, port, instance, format = "s16", window = 12 }) {
    super(stream, instance);
    this.port = port;
    this.format = format;
    this.window = window;
  }

  /** @param {number} epoch */
  _from(epoch) {
    this.epoch = epoch;
    this.delivered = 0;
    this._creditedMs = -Infinity;
    this._credited = 0;
  }

  reconnect() {
    super.reconnect();
    this._from(0);
    this._quickest.clear();
  }

  /** @param {Message} message */
  onMessage(message) {
    const understood = super.onMessage(message);
    if (message.t === "welcome" && this.welcomed) {
      if (whole(message, "epoch", 0) !== this.epoch) this._from(whole(message, "epoch", 0));
      this._setTimeline(text(message, "timeline"));
    } else if (message.t === "timeline") {
      this._next = {
        epoch: whole(message, "epoch", 0), seq: whole(message, "from", 0), timeline: text(message, "timeline"),
      };
      return true;
    }
    return understood;
  }

  /** @param {string} timeline */
  _setTimeline(timeline) {
    if (timeline !== this.timeline) this._generation = 0; // generations are counted by timeline
    this.timeline = timeline;
  }

  /**
   * Counts a frame; true where it is to be played (rules 6 and 7).
   * @param {Header} header
   * @param {number} nowMs
   */
  onFrame(header, nowMs) {
    this._count(header);
    this._changeTimeline(header);
    if (header.format === Format.EVENT || header.samples === 0) return true;
    if (header.generation < this._generation) {
      this.counts.cancelled += 1;
      return false;
    }
    if (header.generation > this._generation) this._quickest.clear();
    this._generation = header.generation;
    const delayMs = nowMs - ((header.position + header.samples) / header.rate) * 1e3;
    const late = !(header.flags & Flag.REPLAY) && this._quickest.isLate(delayMs, nowMs);
    this.counts.late += Number(late);
    return !late;
  }

  /** @param {Header} header */
  _count({ epoch, seq }) {
    this.counts.frames += 1;
    if (epoch > this.epoch) this._from(epoch);
    if (epoch < this.epoch) return; // a dead producer's last frames: used, never credited
    if (this.delivered) this.counts.lost += Math.max(seq - this.delivered - 1, 0);
    this.delivered = Math.max(this.delivered, seq);
  }

  /** @param {Header} header */
  _changeTimeline({ epoch, seq }) {
    const next = this._next;
    if (next === null || epoch < next.epoch || (epoch === next.epoch && seq < next.seq)) return;
    this._setTimeline(next.timeline);
    this._quickest.clear();
    this._next = null;
  }

  /**
   * What has to be sent now; to be asked when something arrives and at each tick of the audio clock.
   * @param {number} nowMs
   * @returns {Message[]}
   */
  due(nowMs) {
    if (this._greetsAt(nowMs)) return [this._hello()];
    const isMuch = this.delivered - this._credited >= this.window / 4;
    if (!this.welcomed || (nowMs - this._creditedMs < CREDIT_MS && !isMuch)) return [];
    this._creditedMs = nowMs;
    this._credited = this.delivered;
    const { stream, epoch, delivered } = this;
    return [{ t: "credit", stream, epoch, delivered, granted: delivered + this.window }];
  }

  /** @returns {Message} */
  _hello() {
    const { stream, port, format, window, instance, greeting } = this;
    return { t: "hello", v: VERSION, stream, port, format, window, since: null, instance, greeting };
  }
}

// A node that gets our sound: which frame may go, and under which number.

import { VERSION, whole } from "./messages.js";
import { Stream } from "./stream.js";

const ALIVE_MS = 100;

/** @typedef {import("./messages.js").Message} Message */

/** A node that gets our sound. */
export class Feeding extends Stream {
  counts = { sent: 0, dropped: 0 };
  _seq = 0;
  _delivered = 0;
  _window = 0;
  _sentMs = -Infinity;

  /** @param {{stream: number, node: string, instance: number}} terms */
  constructor({ stream, node, instance }) {
    super(stream, instance);
    this.node = node;
  }

  /** @param {number} window */
  _start(window) {
    this._seq = this._delivered = 0;
    this._window = window;
  }

  /** Frames under way. */
  get underWay() {
    return this._seq - this._delivered;
  }

  /** @param {Message} message */
  onMessage(message) {
    if (message.t === "credit") {
      this._onCredit(message);
      return true;
    }
    const before = this.welcomed;
    const understood = super.onMessage(message);
    if (message.t === "welcome" && this.welcomed && !before) this._start(whole(message, "window", 0));
    return understood;
  }

  /** @param {Message} message */
  _onCredit(message) {
    const delivered = whole(message, "delivered", 0);
    if (whole(message, "greeting", this.greeting) !== this.greeting || delivered < this._delivered) return;
    this._delivered = Math.min(delivered, this._seq);
    this._window = whole(message, "granted", delivered) - delivered;
  }

  /**
   * The number of the next frame, or 0 where it must not be sent: what has to wait is worth nothing.
   * @param {number} nowMs
   */
  next(nowMs) {
    if (!this.welcomed || this.underWay >= this._window) {
      this.counts.dropped += 1;
      return 0;
    }
    this.counts.sent += 1;
    this._sentMs = nowMs;
    this._seq += 1;
    return this._seq;
  }

  /**
   * What has to be sent now beside frames.
   * @param {number} nowMs
   * @returns {Message[]}
   */
  due(nowMs) {
    const { stream, node, instance, greeting } = this;
    if (this._greetsAt(nowMs)) return [{ t: "offer", v: VERSION, stream, node, format: "s16", instance, greeting }];
    if (!this.welcomed || nowMs - this._sentMs < ALIVE_MS) return [];
    this._sentMs = nowMs;
    return [{ t: "alive", stream }];
  }
}

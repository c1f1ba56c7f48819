// What the two kinds of stream of a connection share, without sockets and clocks: messages in, messages out.
// Rules by number: `docs/protocol.md`, Links.

import { text, whole } from "./messages.js";

const GREET_MS = 1_000; // a greeting that was not answered is sent again
const REFUSED_MS = 3_000; // one that was refused as well: whoever is in the way may leave

/** @typedef {import("./messages.js").Message} Message */

/** Greets until it is welcomed, and again on a new connection. */
export class Stream {
  /**
   * @param {number} stream
   * @param {number} instance
   */
  constructor(stream, instance) {
    this.stream = stream;
    this.instance = instance;
    this.greeting = 1;
    this.welcomed = false;
    this.refused = "";
    this.welcome = /** @type {Message | null} */ (null);
    this._greetedMs = -Infinity;
  }

  /** What was under way went down with the old connection. */
  reconnect() {
    this.greeting += 1;
    this.welcomed = false;
    this._greetedMs = -Infinity;
  }

  /** Another greeting, on the same connection. */
  greetAgain() {
    this.reconnect();
  }

  /** @param {number} nowMs */
  _greetsAt(nowMs) {
    if (this.welcomed || nowMs - this._greetedMs < (this.refused ? REFUSED_MS : GREET_MS)) return false;
    this._greetedMs = nowMs;
    return true;
  }

  /**
   * A message for this stream; true where it was understood.
   * @param {Message} message
   * @returns {boolean}
   */
  onMessage(message) {
    if (message.t === "welcome" && whole(message, "greeting", this.greeting) === this.greeting) {
      this.welcomed = true;
      this.refused = "";
      this.welcome = message;
    } else if (message.t === "refused") {
      this.refused = text(message, "why") || "refused";
      this.welcomed = false;
    } else if (message.t === "who") {
      this.greetAgain();
    } else {
      return false;
    }
    return true;
  }

  /** @returns {Message} */
  bye() {
    return { t: "bye", stream: this.stream };
  }
}

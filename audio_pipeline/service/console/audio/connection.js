// One WebSocket and the streams on it. No timers: whatever arrives, and each tick of the audio clock, is a turn.

import { HostClock, ContextClock } from "./clock.js";
import { Feeding } from "./feeding.js";
import { Flag, Format, FrameError, parseHeader, writeHeader } from "./frames.js";
import { Listening } from "./listening.js";
import { SUBPROTOCOL, newInstance, readMessage, text, whole } from "./messages.js";
import { PackedError, unpackMap } from "./packed.js";

const SILENT_MS = 3_000; // TCP may need half an hour to notice that a host has vanished
const RETRY_MS = [100, 200, 500, 1_000, 2_000];
const UNSENT_BYTES = 32_768; // sound that waits behind more is dropped
const AUDIBLE_MS = 1_000;

/** @typedef {import("./messages.js").Message} Message */
/** @typedef {{stream: number, port: string, format?: import("./messages.js").Coding, window?: number}} ListeningTerms */
/** @typedef {import("./sound.js").Delivery} Delivery */

/**
 * @typedef {object} Outlet
 * @property {(url: string, protocol: string) => WebSocket} connect
 * @property {(message: Message) => void} tell what the page should know
 * @property {() => number} nowMs
 */

/** A stream's frames go to the audio thread. */
class Listener {
  /**
   * @param {ListeningTerms & {instance: number}} terms
   * @param {(delivery: Delivery) => void} deliver
   */
  constructor(terms, deliver) {
    this.end = new Listening(terms);
    this.deliver = deliver;
    this.statedMs = -Infinity; // when the host was last told what is audible
  }
}

export class Connection {
  /**
   * @param {string} url
   * @param {Outlet} outlet
   */
  constructor(url, outlet) {
    this._url = url;
    this._outlet = outlet;
    this._listeners = /** @type {Map<number, Listener>} */ (new Map());
    this._feeds = /** @type {Map<number, Feeding>} */ (new Map());
    this._socket = /** @type {WebSocket | null} */ (null);
    this._attempts = 0;
    this._retryMs = -Infinity;
    this._receivedMs = 0;
    this._closed = false;
    this.clock = new HostClock();
    this.context = new ContextClock();
    this.counts = { bad: 0, connections: 0 };
    this._instance = newInstance();
  }

  /**
   * @param {ListeningTerms} terms
   * @param {(delivery: Delivery) => void} deliver
   */
  listen(terms, deliver) {
    this._listeners.set(terms.stream, new Listener({ ...terms, instance: this._instance }, deliver));
    this.turn();
  }

  /** @param {{stream: number, node: string}} terms */
  feed(terms) {
    this._feeds.set(terms.stream, new Feeding({ ...terms, instance: this._instance }));
    this.turn();
  }

  /** @param {number} stream */
  leave(stream) {
    const end = this._listeners.get(stream)?.end ?? this._feeds.get(stream);
    if (end?.welcomed) this._send(end.bye());
    this._listeners.delete(stream);
    this._feeds.delete(stream);
  }

  close() {
    for (const { stream } of [...this._ends()]) this.leave(stream);
    this._closed = true;
    this._socket?.close(1000);
  }

  *_ends() {
    for (const { end } of this._listeners.values()) yield end;
    yield* this._feeds.values();
  }

  get _isOpen() {
    return this._socket !== null && this._socket.readyState === 1;
  }

  /** Sends what is due, and connects where there is no connection. */
  turn() {
    const now = this._outlet.nowMs();
    if (this._closed) return;
    if (this._socket === null && now >= this._retryMs) this._connect(now);
    if (!this._isOpen) return;
    if (now - this._receivedMs > SILENT_MS) {
      this._lose("the host has fallen silent");
      return;
    }
    for (const message of this.clock.due(now)) this._send(message);
    for (const end of this._ends()) for (const message of end.due(now)) this._send(message);
  }

  /** @param {number} now */
  _connect(now) {
    const socket = this._outlet.connect(this._url, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this._onOpen();
    socket.onmessage = ({ data }) => this._onData(data);
    socket.onclose = ({ code, reason }) => {
      if (this._socket === socket) this._lose(reason || `the connection was closed (${code})`);
    };
    this._socket = socket;
    this._receivedMs = now;
    this._retryMs = now + RETRY_MS[Math.min(this._attempts, RETRY_MS.length - 1)];
    this._attempts += 1;
  }

  _onOpen() {
    this.counts.connections += 1;
    this._receivedMs = this._outlet.nowMs();
    this.clock.clear();
    if (this.counts.connections > 1) for (const end of this._ends()) end.reconnect();
    this._outlet.tell({ t: "open" });
    this.turn();
  }

  /** @param {string} why */
  _lose(why) {
    const socket = this._socket;
    this._socket = null;
    if (socket !== null && socket.readyState < 2) socket.close();
    for (const end of this._ends()) end.welcomed = false;
    if (!this._closed) this._outlet.tell({ t: "lost", why });
  }

  /** @param {ArrayBuffer | string} data */
  _onData(data) {
    const now = this._outlet.nowMs();
    this._receivedMs = now;
    if (typeof data === "string") this._onText(data, now);
    else this._onFrame(data, now);
    this.turn();
  }

  /**
   * @param {string} data
   * @param {number} now
   */
  _onText(data, now) {
    const message = readMessage(data);
    if (message === null) {
      this.counts.bad += 1;
    } else if (message.t === "time") {
      this.clock.onAnswer(message, now);
    } else if (message.t === "leaving") {
      this._outlet.tell(message);
    } else {
      this._onStreamMessage(message);
    }
  }

  /** @param {Message} message */
  _onStreamMessage(message) {
    const stream = whole(message, "stream", 0);
    const end = this._listeners.get(stream)?.end ?? this._feeds.get(stream);
    if (end === undefined) return;
    end.onMessage(message);
    if (message.t === "welcome") this._attempts = 0;
    if (message.t === "welcome" || message.t === "refused") {
      this._outlet.tell({ ...message, stream, why: text(message, "why") });
    }
  }

  /**
   * @param {ArrayBuffer} message
   * @param {number} now
   */
  _onFrame(message, now) {
    try {
      const header = parseHeader(message);
      const listener = this._listeners.get(header.stream);
      if (listener === undefined || !listener.end.onFrame(header, now)) return;
      if (header.format === Format.EVENT) this._onEvent(message, header);
      else if (header.samples > 0) listener.deliver({ message, header, timeline: listener.end.timeline });
    } catch (error) {
      if (!(error instanceof FrameError || error instanceof PackedError)) throw error;
      this.counts.bad += 1;
    }
  }

  /**
   * @param {ArrayBuffer} message
   * @param {import("./frames.js").Header} header
   */
  _onEvent(message, { stream, start, position }) {
    const event = unpackMap(new Uint8Array(message, start));
    this._outlet.tell({ t: "event", stream, position, event });
  }

  /**
   * A block of the microphone.
   * @param {number} stream
   * @param {import("./blocks.js").Block & {rate: number, endS: number}} block
   */
  send(stream, block) {
    const now = this._outlet.nowMs();
    const feed = this._feeds.get(stream);
    if (feed !== undefined && this._isOpen && /** @type {WebSocket} */ (this._socket).bufferedAmount < UNSENT_BYTES) {
      const seq = feed.next(now);
      if (seq > 0) this._sendBlock(stream, seq, block);
    }
    this.turn();
  }

  /**
   * @param {number} stream
   * @param {number} seq
   * @param {import("./blocks.js").Block & {rate: number, endS: number}} block
   */
  _sendBlock(stream, seq, { message, isGap, samples, channels, rate, position, endS }) {
    const pageMs = this.context.pageMs(endS);
    writeHeader(message, {
      format: Format.S16, channels, rate, samples, flags: isGap ? Flag.GAP : 0, epoch: 1, stream, seq, position,
      capturedNs: pageMs === null ? 0 : this.clock.hostNs(pageMs), generation: 0,
    });
    this._socket?.send(message);
  }

  /**
   * What the listener really plays, once a second.
   * @param {number} stream
   * @param {{place: number | null, contextS: number, bufferMs: number, underruns: number}} state
   */
  audible(stream, { place, contextS, bufferMs, underruns }) {
    const now = this._outlet.nowMs();
    const pageMs = this.context.pageMs(contextS);
    const listener = this._listeners.get(stream);
    if (!listener || place === null || pageMs === null || !this.clock.known) return;
    if (now - listener.statedMs < AUDIBLE_MS) return;
    listener.statedMs = now;
    this._send({
      t: "audible", stream, position: Math.round(place), at: this.clock.hostNs(pageMs),
      buffer_ms: Math.max(Math.round(bufferMs * 10) / 10, 0), underruns,
    });
  }

  /** @param {Message} message */
  _send(message) {
    if (this._isOpen) this._socket?.send(JSON.stringify(message));
  }

  /** The counts of all streams. */
  get streams() {
    return Object.fromEntries([...this._ends()].map((end) => [end.stream, { ...end.counts }]));
  }
}

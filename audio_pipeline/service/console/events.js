// What a session says of itself: its state once, then patches, events, and meters twenty times a second.

import { merged } from "./merge_patch.js";

const MAGIC = 0x314d5041; // "APM1", little-endian
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5_000;

/** @typedef {{peak_db: number, rms_db: number}} Level */

/**
 * Levels of a binary message by name; null where it is none.
 * @param {ArrayBuffer} data
 * @param {string[]} names
 * @returns {Map<string, Level> | null}
 */
export function readMeters(data, names) {
  const view = new DataView(data);
  if (data.byteLength < 8 || view.getUint32(0, true) !== MAGIC) return null;
  const count = Math.min(view.getUint32(4, true), names.length, Math.floor((data.byteLength - 8) / 8));
  const levels = new Map();
  for (let i = 0; i < count; i++) {
    const [peak, rms] = [view.getFloat32(8 + 8 * i, true), view.getFloat32(12 + 8 * i, true)];
    levels.set(names[i], { peak_db: peak, rms_db: rms });
  }
  return levels;
}

/**
 * How long to wait before the next try.
 * @param {number} failures so far, in a row
 */
export const waitMs = (failures) => Math.min(FIRST_WAIT_MS * 2 ** Math.max(failures - 1, 0), LONGEST_WAIT_MS);

export class Events {
  /**
   * @param {string} path
   * @param {{onState: (state: any) => void, onEvent: (event: any) => void, onOpen: (isOpen: boolean) => void}} calls
   */
  constructor(path, calls) {
    this._url = new URL(path, location.href.replace(/^http/, "ws")).href;
    this._calls = calls;
    this._state = /** @type {any} */ ({});
    this._failures = 0;
    this._retry = 0;
    this._ended = false;
    this._socket = /** @type {WebSocket | null} */ (null);
    /** @type {Map<string, Level>} */
    this.levels = new Map();
    this._connect();
  }

  _connect() {
    const socket = new WebSocket(this._url);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => (typeof data === "string" ? this._onText(data) : this._onMeters(data));
    socket.onclose = () => this._onClose();
    this._socket = socket;
  }

  /** @param {string} text */
  _onText(text) {
    const message = JSON.parse(text);
    if (message.t === "event") return this._calls.onEvent(message.event);
    if (message.t === "state") {
      this._failures = 0;
      this._state = message.state;
      this._calls.onOpen(true);
    } else if (message.t === "patch") this._state = merged(this._state, message.merge);
    else return;
    this._calls.onState(this._state);
  }

  /** @param {ArrayBuffer} data */
  _onMeters(data) {
    this.levels = readMeters(data, this._state.meters ?? []) ?? this.levels;
  }

  _onClose() {
    if (this._ended) return;
    this.levels = new Map();
    this._calls.onOpen(false);
    this._retry = window.setTimeout(() => this._connect(), waitMs(++this._failures));
  }

  close() {
    this._ended = true;
    window.clearTimeout(this._retry);
    this._socket?.close();
  }
}

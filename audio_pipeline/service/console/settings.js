// Values of a session as the person moves them: shown at once, sent one request at a time, the last one wins.

import { computed, signal } from "@preact/signals-core";

import { api } from "./api.js";
import { sentence } from "./state.js";

const SETTLES_MS = 1_500;

export class Settings {
  /**
   * @param {() => string | null} sessionId
   * @param {import("@preact/signals-core").ReadonlySignal<any>} state
   * @param {import("@preact/signals-core").Signal<string>} error
   */
  constructor(sessionId, state, error) {
    this._sessionId = sessionId;
    this._error = error;
    this._moved = signal(/** @type {Record<string, any>} */ ({}));
    this._waiting = /** @type {Record<string, any>} */ ({});
    this._isSending = false;
    this._settle = 0;
    this.values = computed(() => ({ ...state.value.values, ...this._moved.value }));
  }

  /**
   * @param {string} key
   * @param {any} fallback
   */
  get(key, fallback) {
    return this.values.value[key] ?? fallback;
  }

  /** @param {Record<string, any>} values */
  set(values) {
    this._moved.value = { ...this._moved.value, ...values };
    Object.assign(this._waiting, values);
    void this._send();
  }

  async _send() {
    const id = this._sessionId();
    if (this._isSending || id === null) return;
    this._isSending = true;
    window.clearTimeout(this._settle);
    try {
      while (Object.keys(this._waiting).length) await api.set(id, this._taken());
    } catch (error) {
      this._moved.value = {};
      this._error.value = sentence(error);
    } finally {
      this._isSending = false;
      this._settle = window.setTimeout(() => (this._moved.value = {}), SETTLES_MS);
    }
  }

  _taken() {
    const taken = this._waiting;
    this._waiting = {};
    return taken;
  }
}

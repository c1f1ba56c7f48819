// One session at this page: its sound, its state, and what the person changes in it.

import { batch, computed, signal } from "@preact/signals-core";

import { ApiError, api } from "./api.js";
import { AudioEngine } from "./audio/engine.js";
import { Events } from "./events.js";
import { remember, remembered } from "./memory.js";
import { Settings } from "./settings.js";
import { configsOf, sentence } from "./state.js";

/** @typedef {import("./state.js").Song} Song */
/** @typedef {import("./audio/status.js").Status} Status */
/** @typedef {{id: string, config: string, label?: string, state: string, audio: string, events: string, feeds: string[], ports: {port: string, channels: number}[], stated?: {monitor_ms: number | null, total_ms: number}}} Session */
/** @typedef {{config: string, song: Song, set: Record<string, any>}} Choice */

const ENDED = ["ended", "failed", "ending"];

export class Desk {
  /** @param {"karaoke" | "stems"} kind */
  constructor(kind) {
    this.kind = kind;
    this.session = signal(/** @type {Session | null} */ (null));
    this.song = signal(/** @type {Song | null} */ (null));
    this.state = signal(/** @type {any} */ ({}));
    this.isOnline = signal(false);
    this.status = signal(/** @type {Status | null} */ (null));
    this.busy = signal(/** @type {"" | "opening" | "starting" | "recording"} */ (""));
    this.error = signal("");
    this.settings = new Settings(() => this.session.value?.id ?? null, this.state, this.error);
    this._engine = /** @type {AudioEngine | null} */ (null);
    this._events = /** @type {Events | null} */ (null);
    this.isHeard = computed(() => ["playing", "connecting", "lost"].includes(this.status.value?.state ?? ""));
    this.transport = computed(() => this.state.value.transport?.song ?? null);
    this.isRecording = computed(() => Boolean(this.state.value.recording?.on));
  }

  get engine() {
    return this._engine;
  }

  /** Joins the session that this browser had, or one of this kind that plays: after a reload the song goes on. */
  async find() {
    if (this.session.value) return;
    try {
      const all = /** @type {Session[]} */ (await api.sessions());
      const configs = configsOf(this.kind).map(({ id }) => id);
      const alive = all.filter(({ config, state }) => configs.includes(config) && !ENDED.includes(state));
      const mine = remembered(`session.${this.kind}`, { id: "", song: null });
      const found = alive.find(({ id }) => id === mine.id) ?? alive[0];
      if (found) this._join(found, found.id === mine.id ? mine.song : null);
    } catch (error) {
      this.error.value = sentence(error);
    }
  }

  /**
   * @param {Session} session
   * @param {Song | null} song
   */
  _join(session, song) {
    this._leave();
    remember(`session.${this.kind}`, { id: session.id, song });
    batch(() => {
      this.session.value = session;
      this.song.value = song;
      this.state.value = {};
    });
    this._events = new Events(session.events, {
      onState: (state) => this._onState(state),
      onEvent: () => undefined,
      onOpen: (isOpen) => this._onOpen(session.id, isOpen),
    });
  }

  /** @param {any} state */
  _onState(state) {
    this.state.value = state;
    if (state.session?.state === "failed") this.error.value = sentence(state.session.error || "the session failed");
  }

  /**
   * @param {string} id
   * @param {boolean} isOpen
   */
  async _onOpen(id, isOpen) {
    this.isOnline.value = isOpen;
    if (isOpen || this.session.value?.id !== id) return;
    const isGone = await api.session(id).then(({ state }) => ENDED.includes(state), (error) => error.status === 404);
    if (isGone && this.session.value?.id === id) this._onGone();
  }

  _onGone() {
    this.stop();
    this._leave();
    this.session.value = null;
    this.error.value = "The session has ended. Press play to begin a new one.";
  }

  _leave() {
    this._events?.close();
    this._events = null;
    this.isOnline.value = false;
  }

  /**
   * Lets the session be heard here, and makes one where there is none. Has to be called within a click.
   * @param {Choice} choice
   * @param {string | null} feed node that gets this browser's microphone
   */
  async start(choice, feed) {
    this.error.value = "";
    this.busy.value = "starting";
    try {
      const session = this.session.value ?? (await this._create(choice));
      await this._listen(session, feed);
    } catch (error) {
      this.error.value = sentence(error);
    } finally {
      this.busy.value = "";
    }
  }

  /** @param {Choice} choice */
  async _create({ config, song, set }) {
    const session = await api.createSession({ config, set: { "song.path": song.id, ...set }, label: song.title });
    this._join(session, song);
    return /** @type {Session} */ (session);
  }

  /**
   * @param {Session} session
   * @param {string | null} feed
   */
  async _listen(session, feed) {
    await this.stop();
    const engine = new AudioEngine({ url: session.audio, port: "mix.out", feed });
    this._engine = engine;
    engine.status.subscribe((status) => {
      if (this._engine === engine) this.status.value = status;
    });
    await engine.start();
  }

  /**
   * Plays another song, or the same one another way: a new session in place of this one.
   * @param {Choice} choice
   * @param {string | null} feed
   */
  async open(choice, feed) {
    const before = this.session.value;
    this.busy.value = "opening";
    this.error.value = "";
    await this.stop();
    this._leave();
    this.session.value = null;
    try {
      if (before) await api.endSession(before.id).catch(ignoreGone);
    } catch (error) {
      this.error.value = sentence(error);
    }
    await this.start(choice, feed);
  }

  /** Silence here; the session goes on. */
  async stop() {
    const engine = this._engine;
    this._engine = null;
    this.status.value = null;
    await engine?.stop();
  }

  /** @param {Record<string, any>} command */
  async command(command) {
    const id = this.session.value?.id;
    if (!id) return;
    try {
      await api.transport(id, { node: "song", ...command });
    } catch (error) {
      this.error.value = sentence(error);
    }
  }

  /** @param {boolean} on */
  async record(on) {
    const id = this.session.value?.id;
    if (!id) return;
    this.busy.value = "recording";
    try {
      await api.record(id, on);
    } catch (error) {
      this.error.value = sentence(error);
    } finally {
      this.busy.value = "";
    }
  }

  /**
   * The level of a port in dBFS: as this browser hears it, else as the service states it.
   * @param {string} name
   */
  level(name) {
    return this._events?.levels.get(name) ?? this._engine?.levels(name) ?? null;
  }

  /** Seconds of the song that are heard now; null where that is not known. */
  songSeconds() {
    const heard = this.isHeard.value ? this.status.value?.song_s : null;
    return heard ?? this.transport.value?.media_s ?? null;
  }
}

/** @param {unknown} error */
function ignoreGone(error) {
  if (!(error instanceof ApiError && error.status === 404)) throw error;
}

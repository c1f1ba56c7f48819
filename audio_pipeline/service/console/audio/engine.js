// Sound between this page and a session: what the console uses. `docs/service.md`, Browser audio.

import { audibleNow, outputLatencyS } from "./clock.js";
import { Graph } from "./graph.js";
import { openMicrophone } from "./microphone.js";
import { Observable, firstStatus, songSeconds } from "./status.js";

const WINDOW_FRAMES = 24; // under way at once; what comes late is dropped in the worker
const WATCH_MS = 1_000;

/** @typedef {import("./status.js").Status} Status */
/** @typedef {{port: string, node: AudioWorkletNode | null, audible: boolean}} Listened */

export class AudioEngine {
  /**
   * @param {object} terms
   * @param {string} terms.url of the session's sound: `wss://HOST/v1/sessions/ID/audio`, or its path
   * @param {string} [terms.port] that is heard
   * @param {string | null} [terms.feed] node that gets the microphone
   * @param {"s16" | "f32"} [terms.format]
   */
  constructor({ url, port = "mix.out", feed = null, format = "s16" }) {
    this._url = new URL(url, location.href.replace(/^http/, "ws")).href;
    this._feed = feed;
    this._format = format;
    this._streams = /** @type {Map<number, Listened>} */ (new Map([[1, { port, node: null, audible: true }]]));
    this._nextStream = 3;
    this._levels = { monitor: 0, volume: 1 };
    this._graph = /** @type {Graph | null} */ (null);
    this._worker = /** @type {Worker | null} */ (null);
    this._listeners = /** @type {Set<(event: any) => void>} */ (new Set());
    this._watch = 0;
    this._movedS = -1;
    this.status = new Observable(firstStatus());
  }

  /** Makes the audio context and connects. Has to be called within a click: browsers allow sound only then. */
  async start() {
    const context = new AudioContext({ latencyHint: "interactive" }); // at its own rate: others fail in some browsers
    const resumed = context.resume(); // before anything is waited for: a click counts only for so long
    try {
      await this.stop();
      this._set({ ...firstStatus(), state: "starting" });
      setAudioSession("playback");
      await this._build(context);
      await resumed;
    } catch (error) {
      this._fail(error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  /** @param {AudioContext} context */
  async _build(context) {
    const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => this._onWorker(data);
    worker.onerror = ({ message }) => this._fail(`the sound's worker stopped: ${message}`);
    const graph = new Graph(context, worker, (why) => this._fail(why));
    [this._worker, this._graph] = [worker, graph];
    context.onstatechange = () => this._onContextState();
    await graph.load();
    if (this._graph !== graph) return; // stopped meanwhile
    worker.postMessage({ t: "open", url: this._url });
    graph.setVolume(this._levels.volume);
    graph.setMonitor(this._levels.monitor);
    for (const [stream, listened] of this._streams) this._play(stream, listened);
    if (this._feed) graph.feed(2, this._feed);
    this._set({ state: this._waiting });
    this._watch = window.setInterval(() => this._watchContext(), WATCH_MS);
  }

  /**
   * @param {number} stream
   * @param {Listened} listened
   */
  _play(stream, listened) {
    const terms = { ...listened, format: this._format, window: WINDOW_FRAMES };
    listened.node = this._graph?.play(stream, terms, (report) => stream === 1 && this._onReport(report)) ?? null;
  }

  /** What the state is until sound comes. A context that was made without a click waits for one. */
  get _waiting() {
    return this._graph?.context.state === "suspended" ? "suspended" : "connecting";
  }

  /** Ends the connection and gives the microphone and the loudspeaker back. */
  async stop() {
    window.clearInterval(this._watch);
    this._worker?.postMessage({ t: "close" });
    const [graph, worker] = [this._graph, this._worker];
    this._graph = this._worker = null;
    for (const listened of this._streams.values()) listened.node = null;
    await graph?.close();
    worker?.terminate();
    setAudioSession("auto");
    if (this.status.value.state !== "idle") this._set({ state: "stopped", mic: firstStatus().mic });
  }

  /** Goes on after an interruption; within a click. */
  async resume() {
    await this._graph?.context.resume();
  }

  /**
   * Opens a microphone, without what browsers do to speech.
   * @param {string} [deviceId]
   * @returns {Promise<string[]>} what the browser refused, in words
   */
  async openMic(deviceId) {
    const graph = this._graph;
    if (graph === null) throw new Error("start the engine before its microphone is opened");
    this._setMic({ ...firstStatus().mic, state: "opening" });
    setAudioSession("play-and-record");
    try {
      const { stream, label, refused, latencyMs } = await openMicrophone(deviceId);
      graph.openMic(stream);
      stream.getAudioTracks()[0].onended = () => this._setMic({ ...this.status.value.mic, state: "ended" });
      this._setMic({ state: "open", label, refused, latency_ms: latencyMs });
      return refused;
    } catch (error) {
      this.closeMic();
      throw error;
    }
  }

  /** The feed goes on with silence. */
  closeMic() {
    this._graph?.closeMic();
    setAudioSession("playback");
    this._setMic(firstStatus().mic);
  }

  /**
   * The singer's own voice, which never leaves this machine.
   * @param {number} gain 0 to 1
   */
  setMonitor(gain) {
    this._levels.monitor = gain;
    this._graph?.setMonitor(gain);
  }

  /** @param {number} gain 0 to 1 */
  setVolume(gain) {
    this._levels.volume = gain;
    this._graph?.setVolume(gain);
  }

  /**
   * Receives another port, for its levels and spectrum; what it returns ends that.
   * @param {string} port
   * @param {{audible?: boolean}} [options]
   */
  listen(port, { audible = false } = {}) {
    const stream = this._nextStream++;
    const listened = { port, node: /** @type {AudioWorkletNode | null} */ (null), audible };
    this._streams.set(stream, listened);
    if (this._graph?.isLoaded) this._play(stream, listened); // else it is played when the graph is
    return () => {
      this._streams.delete(stream);
      this._worker?.postMessage({ t: "leave", stream });
      if (listened.node) this._graph?.end(port, listened.node);
    };
  }

  /**
   * Calls with each event of the streams that are received; what it returns ends that.
   * @param {(event: {stream: number, position: number, event: Record<string, any>}) => void} listener
   */
  onEvent(listener) {
    this._listeners.add(listener);
    return () => void this._listeners.delete(listener);
  }

  /**
   * Peak and RMS of a port that is received, or of `mic`, in dBFS; null where it is not there.
   * @param {string} name
   */
  levels(name) {
    return this._graph?.meters.get(name)?.levels() ?? null;
  }

  /**
   * 1,024 bins in dB, up to half of `sampleRate`; null where it is not there. The array is used again.
   * @param {string} name
   */
  spectrum(name) {
    return this._graph?.meters.get(name)?.spectrum() ?? null;
  }

  /** Of the audio context, Hz; 0 before the start. */
  get sampleRate() {
    return this._graph?.context.sampleRate ?? 0;
  }

  /**
   * What a source says of its song, where that comes by another way than a stream: an event of the kind `media`.
   * @param {Record<string, any>} media
   */
  setMedia(media) {
    this._set({ transport: media });
  }

  /** @param {{t: string} & Record<string, any>} message */
  _onWorker(message) {
    if (message.t === "event") {
      if (message.event.kind === "media") this.setMedia(message.event);
      for (const listener of this._listeners) listener(/** @type {any} */ (message));
    } else if (message.t === "lost") {
      this._set({ state: "lost", error: message.why });
    } else if (message.t === "refused") {
      this._set({ error: message.why, ...(message.stream === 1 ? { state: "failed" } : {}) });
    } else if (message.t === "leaving") {
      this._set({ leaving_s: Number(message.in_s) });
    } else if (message.t === "welcome" && message.stream === 1) {
      this._set({ state: this._waiting, error: "", leaving_s: null });
    }
  }

  /** @param {any} report of the player */
  _onReport({ place, contextS, rate, bufferMs, targetMs, counts }) {
    const graph = this._graph;
    if (graph === null) return;
    const stamp = audibleNow(graph.context, performance.now());
    this._worker?.postMessage({ t: "clock", ...stamp, pageMs: stamp.pageMs + performance.timeOrigin });
    const monitorMs = outputLatencyS(graph.context) * 1e3;
    const { transport, state } = this.status.value;
    const position = place === null ? this.status.value.position : place + (stamp.contextS - contextS) * rate;
    const isRunning = graph.context.state === "running" && state !== "failed";
    this._set({
      position, rate, buffer_ms: bufferMs, target_ms: targetMs, monitor_ms: monitorMs,
      latency_ms: bufferMs + monitorMs, underruns: counts.underruns, output_underruns: outputUnderruns(graph.context),
      song_s: songSeconds(transport, position, rate),
      ...(place !== null && isRunning ? { state: "playing", error: "" } : {}),
    });
  }

  _onContextState() {
    const state = /** @type {string} */ (this._graph?.context.state ?? "closed");
    if (state === "suspended" || state === "interrupted") this._set({ state });
    else if (state === "running" && this.status.value.state !== "playing") this._set({ state: "connecting" });
  }

  /** A context may state that it runs and stand still, as after a call on a telephone. No sound depends on this. */
  _watchContext() {
    const context = this._graph?.context;
    if (!context || context.state !== "running" || document.hidden) return;
    if (context.currentTime === this._movedS) this._set({ state: "suspended", error: "sound stands still: press Start" });
    this._movedS = context.currentTime;
  }

  /** @param {string} why */
  _fail(why) {
    this._set({ state: "failed", error: why });
  }

  /** @param {import("./status.js").MicStatus} mic */
  _setMic(mic) {
    this._set({ mic });
  }

  /** @param {Partial<Status>} change */
  _set(change) {
    this.status.value = { ...this.status.value, ...change };
  }
}

/**
 * The browser's own count of what its output missed.
 * @param {AudioContext} context
 */
function outputUnderruns(context) {
  const stats = /** @type {any} */ (context).playbackStats;
  return stats ? { events: stats.underrunEvents, seconds: stats.underrunDuration } : null;
}

/** @param {"auto" | "playback" | "play-and-record"} type */
function setAudioSession(type) {
  const session = /** @type {any} */ (navigator).audioSession;
  if (session) session.type = type;
}

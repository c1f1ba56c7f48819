// The nodes of one audio context: players, the feed of the microphone, the singer's own voice.

import { Meter } from "./meter.js";

const BLOCK_S = 0.01; // that a device takes at once, where the browser does not state it
const LONGEST_BLOCK_S = 0.03; // of the microphone, whatever the device takes
const RAMP_S = 0.015;

export class Graph {
  /**
   * @param {AudioContext} context
   * @param {Worker} worker
   * @param {(why: string) => void} onError
   */
  constructor(context, worker, onError) {
    this.context = context;
    this._worker = worker;
    this._onError = onError;
    this._volume = this._gain(1);
    this._monitor = this._gain(0);
    this._silence = this._gain(0); // what is only measured has to lead somewhere
    this._mic = /** @type {MediaStreamAudioSourceNode | null} */ (null);
    this._feed = /** @type {AudioWorkletNode | null} */ (null);
    this.meters = /** @type {Map<string, Meter>} */ (new Map());
    this.isLoaded = false;
  }

  /** Loads what runs in the audio thread. */
  async load() {
    const { audioWorklet } = this.context;
    if (!audioWorklet) throw new Error("this browser has no AudioWorklet here: use https or localhost");
    for (const name of ["player_worklet.js", "mic_worklet.js"]) {
      await audioWorklet.addModule(new URL(name, import.meta.url).href);
    }
    this.isLoaded = true;
  }

  /** @param {number} gain */
  _gain(gain) {
    const node = new GainNode(this.context, { gain });
    node.connect(this.context.destination);
    return node;
  }

  /**
   * A stream that is listened to.
   * @param {number} stream
   * @param {{port: string, format: string, window: number, audible: boolean}} terms
   * @param {(report: any) => void} onReport
   */
  play(stream, { port, format, window, audible }, onReport) {
    const node = this._worklet("player", { numberOfInputs: 0, numberOfOutputs: 1, outputChannelCount: [2] });
    node.port.onmessage = ({ data }) => onReport(data);
    node.connect(audible ? this._volume : this._silence);
    this.meters.set(port, new Meter(this.context, node));
    this._join(node, (sink) => ({ t: "listen", stream, port, format, window, sink }));
    return node;
  }

  /**
   * A node that gets the microphone; silence until that is open.
   * @param {number} stream
   * @param {string} node
   */
  feed(stream, node) {
    const blockS = Math.min(this.context.baseLatency || BLOCK_S, LONGEST_BLOCK_S);
    const processorOptions = { samples: Math.round(blockS * this.context.sampleRate), channels: 1 };
    const options = { numberOfInputs: 1, numberOfOutputs: 1, processorOptions };
    this._feed = this._worklet("microphone", options);
    this._feed.connect(this._silence);
    this._join(this._feed, (source) => ({ t: "feed", stream, node, source }));
  }

  /**
   * @param {string} name
   * @param {AudioWorkletNodeOptions} options
   */
  _worklet(name, options) {
    const node = new AudioWorkletNode(this.context, name, options);
    node.onprocessorerror = () => this._onError("sound stopped by an error in the audio thread: press Start again");
    return node;
  }

  /**
   * A channel between the audio thread and the worker, past the page.
   * @param {AudioWorkletNode} node
   * @param {(port: MessagePort) => object} order
   */
  _join(node, order) {
    const { port1, port2 } = new MessageChannel();
    node.port.postMessage({ t: "connect", port: port1 }, [port1]);
    this._worker.postMessage(order(port2), [port2]);
  }

  /** @param {MediaStream} stream */
  openMic(stream) {
    this.closeMic();
    this._mic = new MediaStreamAudioSourceNode(this.context, { mediaStream: stream });
    this._mic.connect(this._monitor);
    if (this._feed) this._mic.connect(this._feed);
    this.meters.set("mic", new Meter(this.context, this._mic));
  }

  closeMic() {
    this._mic?.disconnect();
    for (const track of this._mic?.mediaStream.getTracks() ?? []) track.stop();
    this._mic = null;
    this.meters.get("mic")?.close();
    this.meters.delete("mic");
  }

  /** @param {number} gain */
  setMonitor(gain) {
    this._monitor.gain.setTargetAtTime(gain, this.context.currentTime, RAMP_S);
  }

  /** @param {number} gain */
  setVolume(gain) {
    this._volume.gain.setTargetAtTime(gain, this.context.currentTime, RAMP_S);
  }

  /**
   * @param {string} port
   * @param {AudioWorkletNode} node
   */
  end(port, node) {
    node.port.postMessage({ t: "end" });
    node.disconnect();
    this.meters.get(port)?.close();
    this.meters.delete(port);
  }

  async close() {
    this.closeMic();
    if (this.context.state !== "closed") await this.context.close();
  }
}

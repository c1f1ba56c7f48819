// The audio thread's end of a feed. It sends from the start, silence too, so that the jitter buffer on the other side
// has settled when somebody sings.

import { BlockCutter } from "./blocks.js";

const FADE_S = 0.005;

class Microphone extends AudioWorkletProcessor {
  /** @param {{processorOptions: {samples: number, channels: number}}} options */
  constructor({ processorOptions }) {
    super();
    this._terms = processorOptions;
    this._cutter = /** @type {BlockCutter | null} */ (null);
    this._worker = /** @type {MessagePort | null} */ (null);
    this._ended = false;
    this._began = 0;
    this.port.onmessage = ({ data }) => this._onPage(data);
  }

  /** @param {{t: string, port: MessagePort}} message */
  _onPage(message) {
    if (message.t === "end") this._ended = true;
    if (message.t === "connect") this._worker = message.port;
  }

  /**
   * @param {Float32Array[][]} inputs
   * @param {Float32Array[][]} outputs
   */
  process(inputs, outputs) {
    this._cutter ??= this._begin();
    for (const block of this._cutter.push(inputs[0], outputs[0][0].length)) {
      const endS = (this._began + block.position + block.samples) / sampleRate;
      this._worker?.postMessage({ ...block, rate: sampleRate, endS }, [block.message]);
    }
    return !this._ended;
  }

  _begin() {
    this._began = currentFrame;
    return new BlockCutter({ ...this._terms, fadeSamples: Math.round(FADE_S * sampleRate), start: currentFrame });
  }
}

registerProcessor("microphone", Microphone);

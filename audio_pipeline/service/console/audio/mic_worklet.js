// The audio thread's end of a feed. It sends from the start, silence too, so that the jitter buffer on the other side
// has settled when somebody sings.

import { BlockCutter } from "./blocks.js";

const FADE_S = 0.005;

class Microphone extends AudioWorkletProcessor {
  /** @param {{processorOptions: {burst: number, channels: number}}} options */
  constructor({ processorOptions: { burst, channels } }) {
    super();
    const fadeSamples = Math.round(FADE_S * sampleRate);
    this._cutter = /** @type {BlockCutter | null} */ (null);
    this._terms = { burst, channels, fadeSamples };
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
    const block = this._cutterNow().push(inputs[0], outputs[0][0].length);
    if (block !== null) {
      const endS = (this._began + block.position + block.samples) / sampleRate;
      this._worker?.postMessage({ ...block, rate: sampleRate, endS }, [block.message]);
    }
    return !this._ended;
  }

  _cutterNow() {
    if (this._cutter === null) {
      this._began = currentFrame;
      this._cutter = new BlockCutter({ ...this._terms, start: currentFrame });
    }
    return this._cutter;
  }
}

registerProcessor("microphone", Microphone);

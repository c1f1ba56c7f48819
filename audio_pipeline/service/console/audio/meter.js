// Levels and spectra of what passes a node, for drawing.

const SIZE = 2_048;
const QUIETEST_DB = -120;

export class Meter {
  /**
   * @param {BaseAudioContext} context
   * @param {AudioNode} source
   */
  constructor(context, source) {
    this._node = new AnalyserNode(context, { fftSize: SIZE, smoothingTimeConstant: 0, minDecibels: QUIETEST_DB });
    this._samples = new Float32Array(SIZE);
    this._bins = new Float32Array(SIZE / 2);
    source.connect(this._node);
  }

  /** Of the last 2,048 samples, all channels together, in dBFS. */
  levels() {
    this._node.getFloatTimeDomainData(this._samples);
    let peak = 0;
    let power = 0;
    for (const x of this._samples) {
      peak = Math.max(peak, Math.abs(x));
      power += x * x;
    }
    return { peak_db: decibels(peak), rms_db: decibels(Math.sqrt(power / SIZE)) };
  }

  /** 1,024 bins up to half the context's rate, in dB; the same array each time. */
  spectrum() {
    this._node.getFloatFrequencyData(this._bins);
    return this._bins;
  }

  close() {
    this._node.disconnect();
  }
}

/** @param {number} amplitude */
function decibels(amplitude) {
  return amplitude > 0 ? Math.max(20 * Math.log10(amplitude), QUIETEST_DB) : QUIETEST_DB;
}

// How fast one clock's samples are read by another's: a loop of second order, as in `audio_pipeline/dsp/dll.py`.

const LOOP_HZ = 0.02; // a millisecond of error is 0.02 % of speed
const SMOOTH = 4; // a pole at four times the bandwidth keeps jitter from the pitch
export const MAX_OFF = 0.002; // of speed: 3.5 cents
const OMEGA = 2 * Math.PI * LOOP_HZ;

export class DriftLoop {
  speed = 1;
  _drift = 0;
  _smooth = 0;

  clear() {
    this.speed = 1;
    this._drift = this._smooth = 0;
  }

  /** The place jumped, no clock did. */
  jump() {
    this._smooth = 0;
  }

  /**
   * The speed after `dt`, which brings an error towards 0.
   * @param {number} errorS
   * @param {number} dt
   * @param {boolean} steady false: the error is of the place, and teaches nothing about the clocks
   */
  follow(errorS, dt, steady) {
    this._smooth += Math.min(SMOOTH * OMEGA * dt, 1) * (errorS - this._smooth);
    if (steady) this._drift = limited(this._drift + OMEGA ** 2 * this._smooth * dt);
    this.speed = 1 + limited(this._drift + Math.SQRT2 * OMEGA * this._smooth);
    return this.speed;
  }

  /** By how much the source's clock is faster. */
  get ppm() {
    return this._drift * 1e6;
  }
}

/** @param {number} off */
function limited(off) {
  return Math.min(Math.max(off, -MAX_OFF), MAX_OFF);
}

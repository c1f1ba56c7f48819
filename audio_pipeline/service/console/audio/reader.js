// Samples between samples: a windowed sinc at any place, for clocks that differ and for any two rates.
// J. O. Smith, "Digital Audio Resampling" (CCRMA), with a Kaiser window.

const HALF = 16; // taps on either side where the rate does not fall
const PHASES = 256; // of the table; between two of them the filter is interpolated linearly
const BETA = 9.5; // stop band below -95 dB
const CUTOFF = 0.9; // middle of the transition, of half the lower rate

/** Filters by phase, for one ratio of rates. */
export class SincTable {
  /** @param {number} ratio input samples for each output sample; above 1 the filter is as much longer */
  constructor(ratio) {
    const scale = Math.max(1, ratio);
    this.half = Math.ceil(HALF * scale);
    this.taps = 2 * this.half;
    this.filters = new Float32Array((PHASES + 1) * this.taps);
    for (let phase = 0; phase <= PHASES; phase++) this._fill(phase, CUTOFF / scale);
  }

  /**
   * @param {number} phase
   * @param {number} cutoff
   */
  _fill(phase, cutoff) {
    const row = new Float64Array(this.taps);
    let sum = 0;
    for (let j = 0; j < this.taps; j++) {
      const t = j - this.half + 1 - phase / PHASES;
      row[j] = sinc(cutoff * t) * kaiser(t / this.half);
      sum += row[j];
    }
    for (let j = 0; j < this.taps; j++) this.filters[phase * this.taps + j] = row[j] / sum; // a constant stays
  }
}

/** @param {number} x */
function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** @param {number} t from -1 to 1 */
function kaiser(t) {
  return besselI0(BETA * Math.sqrt(Math.max(1 - t * t, 0))) / besselI0(BETA);
}

/** @param {number} x */
function besselI0(x) {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-17; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/**
 * Reads a ring at a place that moves by `ratio` samples at each output; place and fraction are kept apart, so that
 * days cost no precision.
 */
export class Reader {
  /**
   * @param {import("./ring.js").Ring} ring
   * @param {SincTable} table
   */
  constructor(ring, table) {
    this._ring = ring;
    this._table = table;
    this._filter = new Float32Array(table.taps);
    this.at = 0;
    this.frac = 0;
  }

  /** @param {number} place */
  moveTo(place) {
    this.at = Math.floor(place);
    this.frac = place - this.at;
  }

  get place() {
    return this.at + this.frac;
  }

  /** Samples behind the place that are needed to read one output there. */
  get ahead() {
    return this._table.half + 1;
  }

  /**
   * Samples that lie behind those which `n` outputs need.
   * @param {number} n
   * @param {number} ratio
   */
  spare(n, ratio) {
    return this._ring.end - this.at - Math.ceil(this.frac + n * ratio) - this.ahead;
  }

  /**
   * Fills `out[channel][from .. from + n)`; a ratio that changes goes there in a straight line.
   * @param {Float32Array[]} out
   * @param {number} from
   * @param {number} n
   * @param {number} ratio
   * @param {number} [next] ratio behind the last output
   */
  read(out, from, n, ratio, next = ratio) {
    const slope = n > 0 ? (next - ratio) / n : 0;
    for (let i = 0; i < n; i++) {
      this._interpolate(out, from + i);
      this._move(ratio + slope * i);
    }
  }

  /** @param {number} step */
  _move(step) {
    const place = this.frac + step;
    const whole = Math.floor(place);
    this.at += whole;
    this.frac = place - whole;
  }

  /**
   * @param {Float32Array[]} out
   * @param {number} i
   */
  _interpolate(out, i) {
    const { taps, half } = this._table;
    this._setFilter();
    const first = this._ring.at(this.at - half + 1);
    for (let c = 0; c < out.length; c++) {
      const plane = this._ring.planes[c];
      let sum = 0;
      for (let j = 0; j < taps; j++) sum += plane[first + j] * this._filter[j];
      out[c][i] = sum;
    }
  }

  _setFilter() {
    const { taps, filters } = this._table;
    const phase = this.frac * PHASES;
    const row = Math.min(Math.floor(phase), PHASES - 1);
    const share = phase - row;
    const at = row * taps;
    for (let j = 0; j < taps; j++) {
      this._filter[j] = filters[at + j] + share * (filters[at + taps + j] - filters[at + j]);
    }
  }
}

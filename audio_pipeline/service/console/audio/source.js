// What came of a stream, by position, and the reader on it: rings and filters fit its rate and its channels.

import { Reader, SincTable } from "./reader.js";
import { Ring } from "./ring.js";

const KEPT_S = 1;
const HOLE_S = 1; // a hole that is longer is none

/**
 * @typedef {object} Sound
 * @property {number} position of the first sample, at `rate`
 * @property {number} samples per channel
 * @property {number} rate Hz
 * @property {number} channels
 * @property {number} epoch
 * @property {number} generation
 * @property {string} timeline
 * @property {((channel: number, i: number) => number) | null} value null: silence
 */

export class SourceRing {
  rate = 0;
  _identity = "";
  _enters = true; // what is written next fades in
  _table = /** @type {SincTable} */ (new SincTable(1));
  _tableRate = 0;

  /**
   * @param {number} outputRate
   * @param {number} mostChannels of the output
   * @param {number} fadeS
   */
  constructor(outputRate, mostChannels, fadeS) {
    this._outputRate = outputRate;
    this._mostChannels = mostChannels;
    this._fadeS = fadeS;
    this._ring = new Ring(mostChannels, 1);
    this.reader = new Reader(this._ring, this._table);
  }

  get channels() {
    return this._ring.planes.length;
  }

  /** Samples of the source for each of the output. */
  get ratio() {
    return this.rate / this._outputRate;
  }

  /**
   * True where a sound is no continuation of what came: another identity, another rate, another place.
   * @param {Sound} sound
   */
  begins(sound) {
    const hole = sound.position - this._ring.end;
    return identity(sound) !== this._identity || hole < -KEPT_S * this.rate || hole > HOLE_S * this.rate;
  }

  /**
   * Takes over a sound of another epoch or generation whose positions go on, so that clocks and delay do as well.
   * @param {Sound} sound
   * @returns {boolean} false where it has to begin anew
   */
  continues(sound) {
    const isOfStream = sound.rate === this.rate && Math.min(sound.channels, this._mostChannels) === this.channels;
    const isNear = Math.abs(sound.position - this._ring.end) < HOLE_S * this.rate;
    if (this._identity === "" || !isOfStream || !isNear) return false;
    if (sound.position <= this.reader.at + this.reader.ahead + this._fade) return false;
    this._ring.cut(sound.position);
    if (this._ring.end === sound.position) this._ring.fadeOut(this._fade);
    this._enters = true;
    this._identity = identity(sound);
    return true;
  }

  get _fade() {
    return Math.round(this._fadeS * this.rate);
  }

  /**
   * Everything anew, from a sound on.
   * @param {Sound} sound
   */
  begin(sound) {
    const { rate, position } = sound;
    const channels = Math.min(sound.channels, this._mostChannels);
    if (rate !== this._tableRate) this._table = new SincTable(rate / this._outputRate);
    if (rate !== this._tableRate || channels !== this.channels) {
      this._ring = new Ring(channels, Math.ceil(KEPT_S * rate));
    }
    this.rate = this._tableRate = rate;
    this._ring.clear(position);
    this.reader = new Reader(this._ring, this._table);
    this._identity = identity(sound);
    this._enters = true;
  }

  /** Whatever comes next begins. */
  forget() {
    this._identity = "";
  }

  /**
   * Appends a sound; a hole before it, and frames of silence, lie between two fades.
   * @param {Sound} sound
   * @returns {{late: number, concealed: number}} samples that were there already, and those of the hole
   */
  write({ position, samples, value }) {
    const hole = position - this._ring.end;
    if ((hole > 0 || value === null) && !this._enters) {
      this._ring.fadeOut(this._fade);
      this._enters = true;
    }
    if (hole > 0) this._ring.append(hole, () => 0);
    const late = Math.max(-hole, 0);
    if (late < samples) this._ring.append(samples - late, value === null ? () => 0 : this._entering(value, late));
    return { late, concealed: Math.max(hole, 0) };
  }

  /**
   * The samples from `late` on; the first ones behind a hole or a beginning fade in.
   * @param {(channel: number, i: number) => number} value
   * @param {number} late
   * @returns {(channel: number, i: number) => number}
   */
  _entering(value, late) {
    const length = this._enters ? this._fade : 0;
    this._enters = false;
    return (c, i) => (i < length ? (value(c, i + late) * (i + 0.5)) / length : value(c, i + late));
  }

  /**
   * True where so many samples from a place on are here, with what their filters need.
   * @param {number} place
   * @param {number} samples
   */
  holds(place, samples) {
    return place - this.reader.ahead >= this._ring.start && this._ring.end - place - this.reader.ahead >= samples;
  }
}

/** @param {Sound} sound */
function identity({ timeline, epoch, generation, rate, channels }) {
  return `${timeline} ${epoch} ${generation} ${rate} ${channels}`;
}

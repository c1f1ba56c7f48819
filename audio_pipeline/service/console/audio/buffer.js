// Sound that arrives when it likes goes in, sound without a break comes out: between the network and the audio clock.
// A sibling of `audio_pipeline/dsp/jitter_buffer.py`, small enough for the audio thread of a browser.

import { DriftLoop, MAX_OFF } from "./drift.js";
import { JitterTarget } from "./jitter.js";
import { SourceRing } from "./source.js";
import { Tail, spread } from "./tail.js";

const QUANTUM = 128; // samples that are read at once
const FADE_S = 0.0025; // each beginning, end and jump
const SPARE_S = 0.001;
const FIRST_S = 0.04;
const MOST_S = 0.15; // nothing older is played
const STALL_MS = 100; // between two blocks: the whole browser stood still

/** @typedef {import("./source.js").Sound} Sound */

export class PlayoutBuffer {
  counts = { underruns: 0, outages: 0, stalls: 0, joins: 0, lateSamples: 0, concealedSamples: 0 };
  _standing = true; // before the first sound, or dry
  _entered = false; // there was sound
  _isOut = false; // what is waited for would be too old
  _passed = 0; // samples of holes that were found while it stood
  _rises = 0; // output samples for which what is read still fades in
  _frameS = 0; // of the longest frame that came
  _wallMs = /** @type {number | null} */ (null);
  _loop = new DriftLoop();

  /**
   * @param {{rate: number, channels: number}} output what is played
   */
  constructor({ rate, channels }) {
    this._rate = rate;
    this._fade = Math.round(FADE_S * rate);
    this._quantumS = QUANTUM / rate;
    this._tail = new Tail(channels, this._fade);
    this._source = new SourceRing(rate, channels, FADE_S);
    this._target = this._makeTarget();
  }

  _makeTarget() {
    const spareS = this._frameS + this._quantumS + FADE_S + SPARE_S;
    return new JitterTarget({ spareS, mostS: MOST_S, firstS: FIRST_S });
  }

  /** Nothing is played until sound comes; what stands in the ring is forgotten by whoever calls. */
  _rest() {
    this._target.clear();
    this._loop.clear();
    this._standing = true;
    this._entered = this._isOut = false;
    this._rises = this._passed = 0;
  }

  /**
   * Takes sound that came when the audio clock stood at `nowS`.
   * @param {Sound} sound
   * @param {number} nowS
   */
  write(sound, nowS) {
    if (sound.samples === 0) return;
    if (this._source.begins(sound)) this._begin(sound);
    const frameS = sound.samples / sound.rate;
    if (frameS > this._frameS * 1.01) {
      this._frameS = frameS;
      this._target = this._makeTarget();
    }
    const { late, concealed } = this._source.write(sound);
    this.counts.lateSamples += late;
    this.counts.concealedSamples += concealed;
    this._passed += concealed;
    if (late < sound.samples) this._target.arrived((sound.position + sound.samples) / sound.rate, nowS);
  }

  /**
   * Another stream, or another place of this one; what was there fades out under it.
   * @param {Sound} sound
   */
  _begin(sound) {
    this.counts.joins += 1;
    if (this._source.continues(sound)) return;
    this._keepTail();
    this._source.begin(sound);
    this._frameS = 0;
    this._rest();
  }

  /**
   * Fills a block of the output; behind it the audio clock stands at `nowS`.
   * @param {Float32Array[]} out
   * @param {number} nowS
   * @param {number} wallMs of a clock that goes on while the browser stands still
   */
  read(out, nowS, wallMs) {
    const n = out[0].length;
    for (const plane of out) plane.fill(0);
    this._checkStall(wallMs, (n / this._rate) * 1e3);
    if (this._target.known) this._play(out, n, nowS);
    this._tail.addTo(out);
  }

  /**
   * After a stall everything here is old: it is forgotten, and what comes is taken as of a new route.
   * @param {number} wallMs
   * @param {number} blockMs
   */
  _checkStall(wallMs, blockMs) {
    const passedMs = this._wallMs === null ? 0 : wallMs - this._wallMs;
    this._wallMs = wallMs;
    if (passedMs < STALL_MS + blockMs) return;
    this.counts.stalls += 1;
    this._source.forget();
    this._tail.clear();
    this._rest();
  }

  /**
   * @param {Float32Array[]} out
   * @param {number} n
   * @param {number} nowS
   */
  _play(out, n, nowS) {
    const { reader, ratio, rate } = this._source;
    const newest = this._target.newestAt(nowS) * rate;
    const wanted = newest - this._target.targetS * rate - n * ratio;
    if (this._standing && !this._starts(n, newest, wanted, nowS)) return;
    this._leap(n, wanted);
    if (reader.spare(n, ratio * (1 + MAX_OFF)) < this._reserve) {
      this._keepTail();
      this._standing = true;
      this._passed = 0;
      this.counts.underruns += 1;
      return;
    }
    const before = this._loop.speed;
    const speed = this._loop.follow((wanted - reader.place) / rate, n / this._rate, !this._target.settling);
    const { channels } = this._source;
    reader.read(out.slice(0, channels), 0, n, ratio * before, ratio * speed);
    this._fadeIn(out, n);
    spread(out, channels);
  }

  /** Samples of the source that must stay behind what is read, so that an end can fade out. */
  get _reserve() {
    return Math.ceil(this._fade * this._source.ratio * (1 + MAX_OFF)) + 1;
  }

  /**
   * From silence: the first sound, what was waited for, or what comes behind an outage.
   * @param {number} n
   * @param {number} newest
   * @param {number} wanted
   * @param {number} nowS
   */
  _starts(n, newest, wanted, nowS) {
    const { reader, ratio, rate } = this._source;
    const delayS = (newest - reader.place) / rate - this._passed / rate;
    if (this._entered && delayS > MOST_S) this._skip();
    if (!this._entered || this._isOut) reader.moveTo(wanted);
    else if (this._passed > 0) reader.moveTo(Math.min(reader.place + this._passed, wanted)); // nobody waits for a hole
    else if (delayS < this._target.neededS) return false; // it grows while it stands
    this._passed = 0;
    if (reader.spare(n, ratio) < this._reserve) return false;
    if (this._entered && !this._isOut) this._target.ranDry(delayS, nowS);
    this._isOut = false;
    this._rises = this._entered ? this._fade : 0; // the very first sound fades in where it is written
    this._loop.jump();
    this._standing = false;
    this._entered = true;
    return true;
  }

  /** What stays away so long is left out: sound goes on with the delay that was enough before. */
  _skip() {
    this.counts.outages += Number(!this._isOut);
    this._isOut = true;
  }

  /**
   * A delay that is far too long or short is mended at once, crossfaded.
   * @param {number} n
   * @param {number} wanted
   */
  _leap(n, wanted) {
    const { reader, ratio, rate } = this._source;
    if (Math.abs(wanted - reader.place) <= this._target.leapS * rate || this._rises > 0) return;
    if (!this._source.holds(wanted, n * ratio * (1 + MAX_OFF) + this._reserve)) return;
    this._keepTail();
    reader.moveTo(wanted);
    this._loop.jump();
    this._rises = this._fade;
  }

  _keepTail() {
    if (!this._standing) this._tail.keep(this._source.reader, this._source.channels, this._source.ratio);
  }

  /**
   * @param {Float32Array[]} out
   * @param {number} n
   */
  _fadeIn(out, n) {
    const rising = Math.min(this._rises, n);
    for (let i = 0; i < rising; i++) {
      const gain = (this._fade - this._rises + i + 0.5) / this._fade;
      for (const plane of out) plane[i] *= gain;
    }
    this._rises -= rising;
  }

  /** Position that is read next, in samples of the source; null while nothing is played. */
  get place() {
    return this._standing ? null : this._source.reader.place;
  }

  get sourceRate() {
    return this._source.rate;
  }

  /**
   * Milliseconds between what is read and what the quickest frames have brought.
   * @param {number} nowS
   */
  delayMs(nowS) {
    if (this._standing) return 0;
    return (this._target.newestAt(nowS) - this._source.reader.place / this._source.rate) * 1e3;
  }

  get targetMs() {
    return this._target.targetS * 1e3;
  }

  /** By how much the source's clock is faster. */
  get ppm() {
    return this._loop.ppm;
  }
}

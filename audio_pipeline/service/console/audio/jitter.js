// How long sound from the network must wait so that it rarely runs dry: `audio_pipeline/dsp/jitter.py` says why.

const WINDOW_S = 20; // delays older than this are no measure of the present
const QUANTILE = 0.995;
const REVIEW_S = 0.5;
const HOLD_S = 10; // what an underrun has shown to be needed is kept so long
const MOST_HOLD_S = 80; // twice as long each time that it was not long enough
const MEMORY_S = 60; // after which a hold was long enough
const SHRINK = 0.001; // s a second
const LEAP_S = 0.05; // delay to spare that is more than this goes at once
const ENOUGH = 50; // delays before the window is believed
const SETTLE_S = 3; // the target goes to what is needed at once, in both directions
const FIRST_REVIEW_S = 1;
const SETTLE_LEAP_S = 0.005;
const BACKLOG_S = 0.002; // a base that falls by more: what came before had waited at the sender
const QUICKER_S = 0.02; // the same, later: another route
const OUTAGE_S = 1; // that late for so long is another route, not jitter
const KEPT = 4_096; // 20 s of 5 ms frames

/** The delay to aim at, from arrivals; all times in seconds on one clock. */
export class JitterTarget {
  baseS = Infinity;
  settling = true;
  _latenessS = 0; // of the newest frame
  _lateSinceS = /** @type {number | null} */ (null);
  _from = 0; // of the oldest delay that is kept
  _count = 0;
  _reviewedS = -Infinity;
  _heldUntilS = -Infinity;
  _holdS = HOLD_S;
  _dryS = -Infinity; // when it last ran dry
  _fallenS = 0; // the base, since the last review
  _sinceS = /** @type {number | null} */ (null);

  /** @param {{spareS: number, mostS: number, firstS: number}} bounds the target is at least `spareS` */
  constructor({ spareS, mostS, firstS }) {
    this._spare = spareS;
    this._most = mostS;
    this._first = Math.max(firstS, spareS);
    this._arrivals = new Float64Array(KEPT);
    this._delays = new Float64Array(KEPT);
    this._sorted = new Float64Array(KEPT);
    this.targetS = this._first;
    this.clear();
  }

  /** Another timeline, or another route: delays before it are no measure. */
  clear() {
    this._from = this._count = 0;
    this.baseS = Infinity;
    this._reviewedS = this._heldUntilS = -Infinity;
    this._sinceS = null;
    this._fallenS = this._latenessS = 0;
    this._lateSinceS = null;
    this.settling = true;
  }

  /** An error of the delay that is larger is corrected at once instead of by speed. */
  get leapS() {
    return this.settling ? SETTLE_LEAP_S : LEAP_S;
  }

  /** True once something has arrived. */
  get known() {
    return this.baseS < Infinity;
  }

  /**
   * Takes a frame whose last sample is at `contentS`.
   * @param {number} contentS
   * @param {number} arrivalS
   */
  arrived(contentS, arrivalS) {
    const delay = arrivalS - contentS;
    this._latenessS = this.known ? Math.max(delay - this.baseS, 0) : 0;
    if (this._isOutage(arrivalS)) return;
    this._updateBase(delay);
    this._push(arrivalS, delay);
    this._sinceS ??= arrivalS;
    this.settling = arrivalS - this._sinceS < SETTLE_S;
    if (arrivalS - this._reviewedS >= REVIEW_S) this._review(arrivalS);
  }

  /**
   * Frames that no buffer would have held do not count, nor what is caught up behind them.
   * @param {number} arrivalS
   */
  _isOutage(arrivalS) {
    const limit = this._lateSinceS === null ? this._most : this.targetS; // until it has caught up
    if (this._latenessS <= limit) {
      this._lateSinceS = null;
      return false;
    }
    this._lateSinceS ??= arrivalS;
    if (arrivalS - this._lateSinceS < OUTAGE_S) return true;
    this.clear();
    return false;
  }

  /** Delay that frames as late as the newest one need. */
  get neededS() {
    return Math.min(Math.max(this._latenessS + this._spare, this.targetS), this._most);
  }

  /** @param {number} delay */
  _updateBase(delay) {
    const fall = this.known ? Math.max(this.baseS - delay, 0) : 0;
    this.baseS = Math.min(this.baseS, delay);
    this._fallenS += fall;
    if (fall > (this.settling ? BACKLOG_S : QUICKER_S)) {
      this._count = 0;
      this.targetS = Math.min(this.targetS, this._first);
      this._heldUntilS = -Infinity;
    } else if (this.settling) {
      this.targetS = Math.min(this.targetS + fall, this._most);
    }
  }

  /**
   * @param {number} arrivalS
   * @param {number} delay
   */
  _push(arrivalS, delay) {
    if (this._count === KEPT) this._drop();
    const at = (this._from + this._count) % KEPT;
    this._arrivals[at] = arrivalS;
    this._delays[at] = delay;
    this._count += 1;
  }

  _drop() {
    this._from = (this._from + 1) % KEPT;
    this._count -= 1;
  }

  /** @param {number} nowS */
  _review(nowS) {
    const since = this._reviewedS;
    this._reviewedS = nowS;
    const horizon = this.settling && this._fallenS > BACKLOG_S ? since : nowS - WINDOW_S;
    this._fallenS = 0;
    while (this._count > 1 && this._arrivals[this._from] < horizon) this._drop();
    const delays = this._sortedDelays();
    this.targetS = Math.max(this.targetS - (delays[0] - this.baseS), this._spare);
    this.baseS = delays[0];
    if (delays.length < ENOUGH || nowS - (this._sinceS ?? nowS) < FIRST_REVIEW_S) return;
    const needed = delays[Math.floor(QUANTILE * (delays.length - 1))] - this.baseS + this._spare;
    this._approach(Math.min(needed, this._most), nowS, Math.min(nowS - since, 1));
  }

  _sortedDelays() {
    const delays = this._sorted.subarray(0, this._count);
    for (let i = 0; i < this._count; i++) delays[i] = this._delays[(this._from + i) % KEPT];
    return delays.sort();
  }

  /**
   * Up at once; down at once where much is too much, else slowly.
   * @param {number} neededS
   * @param {number} nowS
   * @param {number} elapsedS
   */
  _approach(neededS, nowS, elapsedS) {
    if (neededS >= this.targetS) {
      this.targetS = neededS;
    } else if (nowS >= this._heldUntilS) {
      const isMuch = this.targetS - neededS > this.leapS;
      this.targetS = isMuch ? neededS : Math.max(neededS, this.targetS - SHRINK * elapsedS);
    }
  }

  /**
   * Sound had to wait until it lay `delayS` behind the base: so much is needed, for a while.
   * @param {number} delayS
   * @param {number} nowS
   */
  ranDry(delayS, nowS) {
    this.targetS = Math.min(Math.max(this.targetS, delayS), this._most);
    const isAgain = !this.settling && nowS - this._dryS < this._holdS + MEMORY_S;
    this._holdS = isAgain ? Math.min(2 * this._holdS, MOST_HOLD_S) : HOLD_S;
    this._dryS = nowS;
    this._heldUntilS = nowS + (this.settling ? FIRST_REVIEW_S : this._holdS);
  }

  /**
   * Content time that the quickest frames have brought by now.
   * @param {number} nowS
   */
  newestAt(nowS) {
    return nowS - this.baseS;
  }
}

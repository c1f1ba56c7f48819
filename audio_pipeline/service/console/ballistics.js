// How a meter moves: up at once, down at the same speed on every screen, and the highest level held for a while.

export const FLOOR_DB = -60;
const FALL_DB_S = 11.8; // IEC 60268-10, type I: 20 dB in 1.7 s
const HOLD_S = 1.5;

export class Ballistics {
  constructor() {
    this.level = FLOOR_DB;
    this.held = FLOOR_DB;
    this._at = NaN;
    this._heldAt = 0;
  }

  /**
   * @param {number | null} db what was measured last; null: nothing is known
   * @param {number} nowS of a clock that never goes back
   */
  move(db, nowS) {
    const passedS = Number.isNaN(this._at) ? 0 : Math.max(nowS - this._at, 0);
    this._at = nowS;
    const input = db === null || Number.isNaN(db) ? FLOOR_DB : Math.max(db, FLOOR_DB);
    this.level = Math.max(input, this.level - FALL_DB_S * passedS, FLOOR_DB);
    if (input >= this.held) [this.held, this._heldAt] = [input, nowS];
    else if (nowS - this._heldAt > HOLD_S) this.held = Math.max(this.level, this.held - FALL_DB_S * passedS);
  }

  /** Whether there is still something to draw. */
  get isMoving() {
    return this.level > FLOOR_DB || this.held > FLOOR_DB;
  }
}

/** A figure that can be read: at most so many a second, whatever arrives. */
export class Reading {
  /** @param {number} everyS */
  constructor(everyS = 0.25) {
    this._everyS = everyS;
    this._at = -Infinity;
    this._top = -Infinity;
    this.value = FLOOR_DB;
  }

  /**
   * @param {number} db
   * @param {number} nowS
   * @returns {boolean} whether the figure changed
   */
  move(db, nowS) {
    this._top = Math.max(this._top, db);
    if (nowS - this._at < this._everyS) return false;
    const before = this.value;
    [this.value, this._top, this._at] = [this._top, -Infinity, nowS];
    return this.value !== before;
  }
}

// Samples by position: the newest ones, planar, every stretch of them contiguous in memory.

export class Ring {
  /**
   * @param {number} channels
   * @param {number} capacity samples per channel
   */
  constructor(channels, capacity) {
    this.capacity = capacity;
    // Each sample stands twice, so that any `capacity` neighbours are in one piece.
    this.planes = Array.from({ length: channels }, () => new Float32Array(2 * capacity));
    this.start = this.end = 0;
  }

  /**
   * Forgets everything; what is written next begins at a position.
   * @param {number} position
   */
  clear(position) {
    for (const plane of this.planes) plane.fill(0); // before the first sample there is silence
    this.start = this.end = position;
  }

  /**
   * Index of a position in a plane, from which up to `capacity` samples lie in a row.
   * @param {number} position
   */
  at(position) {
    const index = position % this.capacity;
    return index < 0 ? index + this.capacity : index;
  }

  /**
   * Appends `samples` per channel.
   * @param {number} samples at most the capacity
   * @param {(channel: number, i: number) => number} value
   */
  append(samples, value) {
    let index = this.at(this.end);
    for (let i = 0; i < samples; i++) {
      for (let c = 0; c < this.planes.length; c++) {
        const x = value(c, i);
        this.planes[c][index] = this.planes[c][index + this.capacity] = x;
      }
      index = index + 1 === this.capacity ? 0 : index + 1;
    }
    this._moveEnd(this.end + samples);
  }

  /** @param {number} end */
  _moveEnd(end) {
    this.end = end;
    this.start = Math.max(this.start, end - this.capacity);
  }

  /**
   * Takes back what stands from a position on.
   * @param {number} position
   */
  cut(position) {
    this.end = Math.max(Math.min(this.end, position), this.start);
  }

  /**
   * Multiplies the samples before `end` with a slope that goes from 1 to 0.
   * @param {number} samples
   */
  fadeOut(samples) {
    const n = Math.min(samples, this.end - this.start);
    for (let k = 0; k < n; k++) {
      const index = this.at(this.end - 1 - k);
      for (const plane of this.planes) {
        plane[index] = plane[index + this.capacity] = plane[index] * ((k + 0.5) / n);
      }
    }
  }
}

// What is broken off fades out under whatever comes next, so that no beginning, end or jump clicks.

export class Tail {
  /**
   * @param {number} channels
   * @param {number} length of the fade, in output samples
   */
  constructor(channels, length) {
    this.length = length;
    this._planes = Array.from({ length: channels }, () => new Float32Array(length));
    this._left = 0;
  }

  /**
   * Keeps the next sound of a reader, faded out; the reader stands behind it then.
   * @param {import("./reader.js").Reader} reader
   * @param {number} channels of the reader
   * @param {number} ratio
   */
  keep(reader, channels, ratio) {
    if (reader.spare(this.length, ratio) < 0) return;
    reader.read(this._planes.slice(0, channels), 0, this.length, ratio);
    spread(this._planes, channels);
    for (let i = 0; i < this.length; i++) {
      for (const plane of this._planes) plane[i] *= 1 - (i + 0.5) / this.length;
    }
    this._left = this.length;
  }

  /**
   * Adds what is left to a block.
   * @param {Float32Array[]} out
   */
  addTo(out) {
    const from = this.length - this._left;
    const n = Math.min(this._left, out[0].length);
    for (let c = 0; c < out.length; c++) {
      for (let i = 0; i < n; i++) out[c][i] += this._planes[c][from + i];
    }
    this._left -= n;
  }

  clear() {
    this._left = 0;
  }
}

/**
 * Gives mono to all channels.
 * @param {Float32Array[]} planes
 * @param {number} channels that are filled
 */
export function spread(planes, channels) {
  if (channels === 1) for (const plane of planes.slice(1)) plane.set(planes[0]);
}

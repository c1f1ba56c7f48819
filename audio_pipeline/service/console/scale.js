// Where a level stands on a fader, a meter, a spectrogram; and back.

export const OFF_DB = -120;
export const LOUDEST_DB = 6;

// The law of a mixing desk: most of the way for the levels that matter, and off at the end.
const LAW = /** @type {const} */ ([[0, -60], [0.25, -30], [0.5, -12], [0.75, 0], [1, LOUDEST_DB]]);

/**
 * @param {number} value
 * @param {number} from @param {number} to @param {number} low @param {number} high
 */
const mapped = (value, from, to, low, high) => low + ((value - from) / (to - from)) * (high - low);

/**
 * The gain in dB where a fader stands at a share of its way; the lowest end is off.
 * @param {number} share 0 to 1
 */
export function faderDb(share) {
  if (share <= 0) return OFF_DB;
  const upper = Math.max(LAW.findIndex(([place]) => share <= place), 1) || LAW.length - 1;
  const [[from, low], [to, high]] = [LAW[upper - 1], LAW[upper]];
  return mapped(Math.min(share, 1), from, to, low, high);
}

/**
 * @param {number} db
 * @returns {number} 0 to 1
 */
export function faderShare(db) {
  if (db <= LAW[0][1]) return 0;
  if (db >= LOUDEST_DB) return 1;
  const upper = LAW.findIndex(([, level]) => db <= level);
  const [[low, from], [high, to]] = [LAW[upper - 1], LAW[upper]];
  return mapped(db, from, to, low, high);
}

/**
 * Where a level stands on a meter of 60 dB; the upper half has the last 18.
 * @param {number} db
 * @returns {number} 0 to 1
 */
export function meterShare(db) {
  if (db <= -60) return 0;
  if (db >= 0) return 1;
  return db < -18 ? mapped(db, -60, -18, 0, 0.5) : mapped(db, -18, 0, 0.5, 1);
}

/**
 * The bin of a spectrum that each row of a picture shows, lowest row last; each row has as many of an octave.
 * @param {number} rows
 * @param {number} bins up to half of the rate
 * @param {number} rate Hz
 * @param {number} [lowest] Hz
 * @param {number} [highest] Hz
 */
export function logRows(rows, bins, rate, lowest = 60, highest = 16_000) {
  const top = Math.min(highest, rate / 2);
  return Float32Array.from({ length: rows }, (_, row) => {
    const hz = lowest * (top / lowest) ** ((rows - 1 - row) / (rows - 1));
    return Math.min((hz / (rate / 2)) * bins, bins - 1);
  });
}

/**
 * The loudest bin between two rows, or between two bins where a row is narrower than one; dB.
 * @param {Float32Array} spectrum
 * @param {number} from
 * @param {number} to
 */
export function loudest(spectrum, from, to) {
  const [first, last] = [Math.ceil(from), Math.floor(to)];
  if (last < first) {
    const low = Math.floor(from);
    const share = (from + to) / 2 - low;
    return spectrum[low] * (1 - share) + spectrum[Math.min(low + 1, spectrum.length - 1)] * share;
  }
  let found = -Infinity;
  for (let bin = first; bin <= last; bin++) found = Math.max(found, spectrum[bin]);
  return found;
}

// Numbers as people read them. What is not known is a dash, never a zero.

export const NONE = "–";
const MINUS = "−";

/** @param {unknown} value @returns {value is number} */
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/**
 * Seconds as 3:07 or 1:02:03.
 * @param {unknown} seconds
 */
export function time(seconds) {
  if (!isNumber(seconds)) return "-:--";
  const whole = Math.max(Math.floor(seconds), 0);
  const [hours, minutes, rest] = [Math.floor(whole / 3_600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/**
 * Seconds in words, for screen readers.
 * @param {unknown} seconds
 */
export function timeInWords(seconds) {
  if (!isNumber(seconds)) return "unknown";
  const whole = Math.max(Math.floor(seconds), 0);
  const parts = [counted(Math.floor(whole / 3_600), "hour"), counted(Math.floor(whole / 60) % 60, "minute")];
  return [...parts.filter((part) => !part.startsWith("0 ")), counted(whole % 60, "second")].join(" ");
}

/**
 * @param {number} count
 * @param {string} noun
 */
export const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

/**
 * A level or a gain; at or below the floor it is off.
 * @param {unknown} db
 * @param {number} [floor]
 */
export function decibels(db, floor = -60) {
  if (!isNumber(db)) return NONE;
  if (db <= floor) return `${MINUS}∞ dB`;
  const rounded = Math.abs(db) < 0.05 ? 0 : db;
  return `${rounded < 0 ? MINUS : rounded > 0 ? "+" : ""}${Math.abs(rounded).toFixed(1)} dB`;
}

/** @param {unknown} ms */
export const milliseconds = (ms) => (isNumber(ms) ? `${Math.round(ms)} ms` : NONE);

/**
 * @param {unknown} share 0 to 1
 */
export const percent = (share) => (isNumber(share) ? `${Math.round(share * 100)} %` : NONE);

/**
 * @param {unknown} value
 * @param {number} [digits]
 */
export const figure = (value, digits = 0) => (isNumber(value) ? value.toFixed(digits).replace("-", MINUS) : NONE);

/** @param {unknown} count bytes */
export function bytes(count) {
  if (!isNumber(count)) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [value, unit] = [count, 0];
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1_000, unit + 1];
  return `${unit && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/**
 * @param {unknown} mb
 */
export const megabytes = (mb) => (isNumber(mb) ? bytes(mb * 1e6) : NONE);

/**
 * The name of a file without its ending and underscores: what a song is called where it has no title.
 * @param {string} name
 */
export const titleOf = (name) => name.replace(/\.[a-z0-9]{2,4}$/i, "").replace(/_+/g, " ").trim() || name;

/**
 * A duration since a start, coarse: 12 s, 5 min, 3 h, 2 d.
 * @param {unknown} seconds
 */
export function duration(seconds) {
  if (!isNumber(seconds)) return NONE;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

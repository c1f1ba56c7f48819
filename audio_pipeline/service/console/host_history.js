// What the host said over the last minutes, for curves.

const MOST = 150;

/** @typedef {{times: number[], load: (number | null)[], memory: (number | null)[]}} History */

/** @returns {History} */
export const emptyHistory = () => ({ times: [], load: [], memory: [] });

/**
 * @param {History} history
 * @param {number} at Unix seconds
 * @param {any} host
 * @returns {History}
 */
export function withHost(history, at, host) {
  const add = (/** @type {any[]} */ values, /** @type {any} */ value) => [...values, value ?? null].slice(-MOST);
  return {
    times: add(history.times, at),
    load: add(history.load, typeof host.load === "number" ? host.load * 100 : null),
    memory: add(history.memory, typeof host.memory?.used_mb === "number" ? host.memory.used_mb / 1_000 : null),
  };
}

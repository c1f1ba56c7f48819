// What this browser remembers for one person. Without storage, as in a private window, for as long as the page is open.

const PREFIX = "audio-pipeline.";
const kept = /** @type {Map<string, string>} */ (new Map());

/**
 * @template T
 * @param {string} key
 * @param {T} fallback
 * @returns {T}
 */
export function remembered(key, fallback) {
  try {
    const text = localStorage.getItem(PREFIX + key) ?? kept.get(key);
    return text ? JSON.parse(text) : fallback;
  } catch {
    return fallback;
  }
}

/**
 * @param {string} key
 * @param {unknown} value
 */
export function remember(key, value) {
  kept.set(key, JSON.stringify(value));
  try {
    localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // kept for this page
  }
}

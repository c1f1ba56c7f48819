// Text messages of the WebSocket: JSON maps with `t`; the link messages of `docs/protocol.md`.

export const SUBPROTOCOL = "apf1";
export const VERSION = 1;
const MOST_CHARACTERS = 4096;

/** @typedef {"f32" | "s16" | "opus"} Coding */
/** @typedef {{t: string} & Record<string, unknown>} Message */

/**
 * What a text holds.
 * @param {string} text
 * @returns {Message | null} null where it is no message
 */
export function readMessage(text) {
  if (text.length > MOST_CHARACTERS) return null;
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && typeof value.t === "string" ? value : null;
  } catch {
    return null;
  }
}

/**
 * A whole number that a message has, or `otherwise`.
 * @param {Message} message
 * @param {string} key
 * @param {number} otherwise
 */
export function whole(message, key, otherwise) {
  const value = message[key];
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : otherwise;
}

/**
 * A text that a message has, or nothing.
 * @param {Message} message
 * @param {string} key
 */
export function text(message, key) {
  const value = message[key];
  return typeof value === "string" ? value : "";
}

/** Another number for each page, so that what an older one had under way counts as lost. */
export function newInstance() {
  return crypto.getRandomValues(new Uint32Array(1))[0] >>> 1;
}

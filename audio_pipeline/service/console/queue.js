// Songs that wait, kept by this browser.

import { signal } from "@preact/signals-core";

import { remember, remembered } from "./memory.js";

const MOST = 100;

/** @typedef {import("./state.js").Song} Song */

export const queue = signal(/** @type {Song[]} */ (remembered("queue", [])));

/** @param {Song[]} songs */
function keep(songs) {
  queue.value = songs.slice(0, MOST);
  remember("queue", queue.value);
}

/** @param {Song} song */
export const add = (song) => keep([...queue.value, song]);

/** @param {number} at */
export const remove = (at) => keep(queue.value.filter((_, i) => i !== at));

/**
 * @param {number} from
 * @param {number} to
 */
export function move(from, to) {
  const songs = [...queue.value];
  songs.splice(to, 0, ...songs.splice(from, 1));
  keep(songs);
}

/** @returns {Song | null} the next one, taken out */
export function take() {
  const [first = null] = queue.value;
  if (first) remove(0);
  return first;
}

// What all pages share: who is here, what the service offers, which songs there are.

import { computed, signal } from "@preact/signals-core";

import { ApiError, api } from "./api.js";

/**
 * @typedef {object} Parameter
 * @property {string} key
 * @property {string} title
 * @property {string} type
 * @property {any} default
 * @property {number | null} [minimum]
 * @property {number | null} [maximum]
 * @property {string} [unit]
 * @property {any[] | null} [choices]
 */

/** @typedef {{id: string, title: string, text: string, kind: string, parameters: Parameter[]}} Config */
/** @typedef {{id: string, name: string, seconds: number, rate: number, channels: number}} SoundFile */
/** @typedef {{id: string, title: string, by: string, seconds: number | null}} Song */

export const DEMO = {
  id: "demo",
  title: "Slow Motion Dream",
  by: "Steven M Bryant ft. CSoul, Alex Beroza and Robert Siekawitch · CC BY 3.0",
  seconds: /** @type {number | null} */ (null),
};

export const me = signal(/** @type {{name: string, role: string} | null} */ (null));
export const access = signal(/** @type {"asking" | "open" | "closed" | "unreachable"} */ ("asking"));
export const accessError = signal("");
export const configs = signal(/** @type {Config[]} */ ([]));
export const files = signal(/** @type {SoundFile[]} */ ([]));

/** @type {import("@preact/signals-core").ReadonlySignal<boolean>} */
export const mayPlay = computed(() => me.value !== null && me.value.role !== "listen");

/** @param {string} kind */
export const configsOf = (kind) => configs.value.filter((config) => config.kind === kind);

/**
 * What an error says to people.
 * @param {unknown} error
 */
export function sentence(error) {
  const text = error instanceof Error ? error.message : String(error);
  const retry = error instanceof ApiError && error.retryAfterS ? ` Try again in ${error.retryAfterS} s.` : "";
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return (/[.!?]$/.test(whole) ? whole : `${whole}.`) + retry;
}

/** Takes the token out of `#login=TOKEN` before anything else reads the address, and out of the history. */
function loginToken() {
  const found = /^#login=(.+)$/.exec(location.hash);
  if (found) history.replaceState(null, "", `${location.pathname}#/karaoke`);
  return found ? decodeURIComponent(found[1]) : "";
}

/** Asks who is here, and what there is. */
export async function enter(token = loginToken()) {
  accessError.value = "";
  try {
    if (token) await api.login(token);
    me.value = await api.me();
    [configs.value, files.value] = await Promise.all([api.configs(), api.files()]);
    access.value = "open";
  } catch (error) {
    const isRefused = error instanceof ApiError && (error.status === 401 || error.status === 403);
    access.value = isRefused ? "closed" : "unreachable";
    accessError.value = isRefused && !token ? "" : sentence(error);
  }
}

export async function leave() {
  await api.logout();
  location.reload();
}

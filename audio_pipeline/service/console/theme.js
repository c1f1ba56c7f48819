// Dark or light: as the system has it, until somebody chooses.

import { signal } from "@preact/signals-core";

import { remembered, remember } from "./memory.js";

/** @typedef {"dark" | "light"} Theme */

const system = window.matchMedia("(prefers-color-scheme: light)");

const chosen = () => /** @type {Theme | null} */ (remembered("theme", null));

/** @returns {Theme} */
const current = () => chosen() ?? (system.matches ? "light" : "dark");

export const theme = signal(current());

function show() {
  theme.value = current();
  document.documentElement.dataset.theme = theme.value;
}

/** @param {Theme} next */
export function choose(next) {
  remember("theme", next);
  show();
}

system.addEventListener("change", show);
show();

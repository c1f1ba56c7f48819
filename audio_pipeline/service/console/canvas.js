// Canvases as sharp as the screen, in the colours of the theme.

import { theme } from "./theme.js";

/**
 * The canvas's context, with as many pixels as the screen has for it; null where it is not shown.
 * @param {HTMLCanvasElement | null} canvas
 */
export function fitted(canvas) {
  if (!canvas || canvas.clientWidth === 0) return null;
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  return canvas.getContext("2d");
}

const NAMES = /** @type {const} */ (["track", "level", "warn", "clip", "peak", "ground", "cool", "accent", "bright"]);

/** @typedef {Record<typeof NAMES[number], string>} Palette */

let kept = { theme: "", colours: /** @type {Palette | null} */ (null) };

/**
 * @param {Element} element
 * @returns {Palette}
 */
export function palette(element) {
  if (kept.colours === null || kept.theme !== theme.value) {
    const style = getComputedStyle(element);
    const colours = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--draw-${name}`).trim()]));
    kept = { theme: theme.value, colours: /** @type {Palette} */ (colours) };
  }
  return /** @type {Palette} */ (kept.colours);
}

/**
 * Colours between stops, as 256 RGB triplets.
 * @param {string[]} stops as #rrggbb
 */
export function ramp(stops) {
  const rgb = stops.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
  const table = new Uint8ClampedArray(256 * 3);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (rgb.length - 1);
    const [low, share] = [Math.min(Math.floor(place), rgb.length - 2), place - Math.min(Math.floor(place), rgb.length - 2)];
    for (let c = 0; c < 3; c++) table[3 * i + c] = rgb[low][c] * (1 - share) + rgb[low + 1][c] * share;
  }
  return table;
}

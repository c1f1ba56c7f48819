// A spectrogram that runs from right to left, with a logarithmic axis of frequency.

import { useRef } from "preact/hooks";

import { fitted, palette, ramp } from "../canvas.js";
import { logRows, loudest } from "../scale.js";
import { theme } from "../theme.js";
import { html, useFrames } from "../view.js";

const PIXELS_S = 60; // of the page
const QUIETEST_DB = -96;
const LOUDEST_DB = -16;
const LONGEST_STEP_S = 0.25; // after the page was hidden the picture goes on, without a gap's worth of one column

/** @typedef {{heights: string, rows: Float32Array, colours: Uint8ClampedArray, theme: string, atS: number, rest: number}} Picture */

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Picture} picture
 * @param {number} rate
 */
function prepare(context, picture, rate) {
  const { height } = context.canvas;
  const key = `${height} ${rate}`;
  if (picture.heights !== key) [picture.heights, picture.rows] = [key, logRows(height + 1, 1_024, rate)];
  if (picture.theme !== theme.value) {
    const { ground, cool, accent, bright } = palette(context.canvas);
    [picture.theme, picture.colours] = [theme.value, ramp([ground, cool, accent, bright])];
    context.fillStyle = ground;
    context.fillRect(0, 0, context.canvas.width, height);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Picture} picture
 * @param {Float32Array} spectrum
 * @param {number} columns
 */
function drawColumns(context, { rows, colours }, spectrum, columns) {
  const { width, height } = context.canvas;
  context.drawImage(context.canvas, -columns, 0);
  const image = context.createImageData(columns, height);
  for (let y = 0; y < height; y++) {
    const db = loudest(spectrum, rows[y + 1], rows[y]);
    const shade = Math.round(255 * Math.min(Math.max((db - QUIETEST_DB) / (LOUDEST_DB - QUIETEST_DB), 0), 1));
    for (let x = 0; x < columns; x++) {
      const at = 4 * (y * columns + x);
      for (let c = 0; c < 3; c++) image.data[at + c] = colours[3 * shade + c];
      image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, width - columns, 0);
}

/**
 * @param {{name: string, read: () => Float32Array | null, rate: () => number, isMoving: () => boolean}} props
 *   `read` gives the spectrum now, dB
 */
export function Spectrogram({ name, read, rate, isMoving }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const picture = useRef(/** @type {Picture} */ ({
    heights: "", rows: new Float32Array(), colours: new Uint8ClampedArray(), theme: "", atS: 0, rest: 0,
  }));
  useFrames((nowS) => {
    const context = fitted(canvas.current);
    const spectrum = isMoving() ? read() : null;
    if (!context) return;
    const kept = picture.current;
    prepare(context, kept, rate() || 48_000);
    const due = kept.rest + Math.min(nowS - kept.atS, LONGEST_STEP_S) * PIXELS_S * (window.devicePixelRatio || 1);
    kept.atS = nowS;
    kept.rest = spectrum ? due - Math.floor(due) : 0;
    if (spectrum && due >= 1) drawColumns(context, kept, spectrum, Math.floor(due));
  });
  return html`<canvas class="spectrogram" ref=${canvas} role="img" aria-label=${`Spectrogram of ${name}`}></canvas>`;
}

// A level meter on a canvas: bar, held peak, and a figure that changes four times a second at most.

import { useEffect, useRef } from "preact/hooks";

import { Ballistics, FLOOR_DB, Reading } from "../ballistics.js";
import { decibels } from "../format.js";
import { fitted, palette } from "../canvas.js";
import { meterShare } from "../scale.js";
import { html, useFrames } from "../view.js";

const WARN_DB = -9;
const CLIP_DB = -1;

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Ballistics} needle
 * @param {boolean} isUpright
 */
function draw(context, needle, isUpright) {
  const { width, height } = context.canvas;
  const colours = palette(context.canvas);
  const length = isUpright ? height : width;
  const bar = (/** @type {number} */ from, /** @type {number} */ to, /** @type {string} */ colour) => {
    context.fillStyle = colour;
    const [start, size] = [Math.round(from * length), Math.round((to - from) * length)];
    if (isUpright) context.fillRect(0, height - start - size, width, size);
    else context.fillRect(start, 0, size, height);
  };
  context.clearRect(0, 0, width, height);
  bar(0, 1, colours.track);
  const share = meterShare(needle.level);
  const edges = [0, meterShare(WARN_DB), meterShare(CLIP_DB), 1];
  const inks = [colours.level, colours.warn, colours.clip];
  inks.forEach((ink, i) => share > edges[i] && bar(edges[i], Math.min(share, edges[i + 1]), ink));
  if (needle.held > FLOOR_DB) {
    const place = meterShare(needle.held);
    const line = 2 * (window.devicePixelRatio || 1) / length;
    bar(Math.max(place - line, 0), place, needle.held > CLIP_DB ? colours.clip : colours.peak);
  }
}

/**
 * @param {{name: string, read: () => number | null, isUpright?: boolean, hasFigure?: boolean}} props
 *   `read` gives the peak now, dBFS
 */
export function Meter({ name, read, isUpright = false, hasFigure = true }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const figure = useRef(/** @type {HTMLElement | null} */ (null));
  const needle = useRef(/** @type {Ballistics | null} */ (null));
  const reading = useRef(/** @type {Reading | null} */ (null));
  needle.current ??= new Ballistics();
  reading.current ??= new Reading();
  useFrames((nowS) => {
    const [moved, shown] = [/** @type {Ballistics} */ (needle.current), /** @type {Reading} */ (reading.current)];
    moved.move(read(), nowS);
    const context = fitted(canvas.current);
    if (context) draw(context, moved, isUpright);
    if (shown.move(moved.level, nowS) && figure.current) figure.current.textContent = decibels(shown.value);
  });
  useEffect(() => {
    if (figure.current) figure.current.textContent = decibels(FLOOR_DB);
  }, []);
  return html`
    <div class=${`meter ${isUpright ? "upright" : ""}`}>
      <canvas ref=${canvas} role="img" aria-label=${`Level of ${name}`}></canvas>
      ${hasFigure && html`<span class="figure" aria-hidden="true" ref=${figure}></span>`}
    </div>
  `;
}

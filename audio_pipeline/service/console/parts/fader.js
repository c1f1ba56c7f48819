// A fader: a range input with the law of a mixing desk, so that keys, touch and screen readers work as everywhere.

import { decibels } from "../format.js";
import { OFF_DB, faderDb, faderShare } from "../scale.js";
import { html } from "../view.js";

const STEPS = 1_000;
const KEY_DB = /** @type {Record<string, number>} */ ({
  ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 6, PageDown: -6,
});

/**
 * A step by key is one decibel wherever the fader stands, as people count.
 * @param {KeyboardEvent} event
 * @param {number} db
 * @param {(db: number) => void} onMove
 */
function onKey(event, db, onMove) {
  const step = KEY_DB[event.key];
  if (step === undefined) return;
  event.preventDefault();
  const next = Math.round(Math.max(db, -61)) + step;
  onMove(next <= -60 ? OFF_DB : Math.min(next, 6));
}

/**
 * @param {{name: string, db: number, onMove: (db: number) => void, disabled?: boolean, isUpright?: boolean}} props
 */
export function Fader({ name, db, onMove, disabled = false, isUpright = false }) {
  const share = faderShare(db);
  return html`
    <input
      type="range"
      class=${`fader ${isUpright ? "upright" : ""}`}
      min="0"
      max=${STEPS}
      value=${Math.round(share * STEPS)}
      style=${{ "--share": share }}
      aria-label=${name}
      aria-valuetext=${decibels(db)}
      aria-orientation=${isUpright ? "vertical" : "horizontal"}
      disabled=${disabled}
      onInput=${(/** @type {any} */ event) => onMove(faderDb(Number(event.target.value) / STEPS))}
      onDblClick=${() => onMove(0)}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => onKey(event, db, onMove)}
    />
  `;
}

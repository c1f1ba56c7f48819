// Where a song is, and where it should go on.

import { useState } from "preact/hooks";

import { time, timeInWords } from "../format.js";
import { html } from "../view.js";

const KEY_S = /** @type {Record<string, number>} */ ({
  ArrowRight: 5, ArrowUp: 5, ArrowLeft: -5, ArrowDown: -5, PageUp: 30, PageDown: -30,
});

/**
 * @param {{seconds: number | null, length: number | null, onSeek: (seconds: number) => void, name?: string, disabled?: boolean}} props
 */
export function SeekBar({ seconds, length, onSeek, name = "Position in the song", disabled = false }) {
  const [held, setHeld] = useState(/** @type {number | null} */ (null));
  const [top, now] = [length || 0, held ?? seconds ?? 0];
  const seek = (/** @type {number} */ to) => {
    setHeld(null);
    onSeek(Math.min(Math.max(to, 0), top));
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const step = KEY_S[event.key];
    if (step === undefined) return;
    event.preventDefault();
    seek(now + step);
  };
  return html`
    <div class="seek">
      <span class="figure">${time(seconds === null ? null : now)}</span>
      <input
        type="range"
        class="track"
        min="0"
        max=${top}
        step="0.1"
        value=${now}
        style=${{ "--share": top ? Math.min(now / top, 1) : 0 }}
        aria-label=${name}
        aria-valuetext=${`${timeInWords(now)} of ${timeInWords(length)}`}
        disabled=${disabled || !top}
        onInput=${(/** @type {any} */ event) => setHeld(Number(event.target.value))}
        onChange=${(/** @type {any} */ event) => seek(Number(event.target.value))}
        onKeyDown=${onKeyDown}
      />
      <span class="figure">${time(length)}</span>
    </div>
  `;
}

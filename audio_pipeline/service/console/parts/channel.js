// A channel of a mixer: name, mute, solo, fader, meter.

import { decibels } from "../format.js";
import { OFF_DB } from "../scale.js";
import { html } from "../view.js";
import { Toggle } from "./button.js";
import { Fader } from "./fader.js";
import { Meter } from "./meter.js";

/**
 * @typedef {object} ChannelProps
 * @property {string} title
 * @property {number} db
 * @property {(db: number) => void} onMove
 * @property {boolean} isMuted
 * @property {() => void} onMute
 * @property {boolean} [isSolo]
 * @property {() => void} [onSolo]
 * @property {boolean} [isSilenced] by another channel's solo
 * @property {() => number | null} read peak before the fader, dBFS
 * @property {boolean} [disabled]
 */

/** @param {ChannelProps} props */
export function Channel({ title, db, onMove, isMuted, onMute, isSolo, onSolo, isSilenced, read, disabled }) {
  const isOff = isMuted || isSilenced || db <= OFF_DB;
  const readAfter = () => {
    const level = read();
    return isOff || level === null ? null : level + db;
  };
  return html`
    <div class=${`channel ${isOff ? "off" : ""}`} role="group" aria-label=${title}>
      <div class="channel-head">
        <h3>${title}</h3>
        <span class="figure value">${decibels(db)}</span>
        <${Toggle} letter="M" name=${`Mute ${title}`} pressed=${isMuted} onClick=${onMute} disabled=${disabled} kind="mute" />
        ${onSolo &&
        html`<${Toggle} letter="S" name=${`Solo ${title}`} pressed=${Boolean(isSolo)} onClick=${onSolo} disabled=${disabled} kind="solo" />`}
      </div>
      <${Fader} name=${`Level of ${title}`} db=${db} onMove=${onMove} disabled=${disabled} />
      <${Meter} name=${title} read=${readAfter} />
    </div>
  `;
}

// What is sung next.

import { html } from "../view.js";
import { IconButton } from "./button.js";

/** @typedef {import("../state.js").Song} Song */

/** @param {{queue: Song[], onMove: (from: number, to: number) => void, onRemove: (at: number) => void}} props */
export const QueueList = ({ queue, onMove, onRemove }) =>
  queue.length > 0 &&
  html`
    <section class="card" aria-labelledby="queue">
      <h2 id="queue">Up next</h2>
      <ol class="rows">
        ${queue.map(
          ({ title }, at) => html`
            <li class="row" key=${`${at} ${title}`}>
              <span class="row-number figure">${at + 1}</span>
              <span class="row-title">${title}</span>
              <${IconButton} icon="up" name=${`Move ${title} up`} kind="small" disabled=${at === 0} onClick=${() => onMove(at, at - 1)} />
              <${IconButton} icon="close" name=${`Remove ${title}`} kind="small" onClick=${() => onRemove(at)} />
            </li>
          `,
        )}
      </ol>
    </section>
  `;

// One figure of the host.

import { html } from "../view.js";

/** @param {{title: string, value: string, more: string, share?: number}} props */
export const Tile = ({ title, value, more, share }) => html`
  <div class="card tile" role="group" aria-label=${title}>
    <h2>${title}</h2>
    <p class="figure big">${value}</p>
    ${Number.isFinite(share) &&
    html`<div class="share" aria-hidden="true"><div style=${{ "--share": Math.min(Number(share), 1) }}></div></div>`}
    <p class="muted small">${more}</p>
  </div>
`;

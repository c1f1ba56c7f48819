// The last lines of the log, the latest first.

import { html } from "../view.js";

/** @typedef {{at?: number, level?: string, text: string, session?: string}} LogLine */

/** @param {number | undefined} at Unix seconds */
const clock = (at) => (at === undefined ? "" : new Date(at * 1_000).toLocaleTimeString([], { hour12: false }));

/** @param {{lines: (LogLine | string)[]}} props */
export const LogList = ({ lines }) => html`
  <section class="card" aria-labelledby="log">
    <h2 id="log">Log</h2>
    ${lines.length === 0 && html`<p class="empty">Nothing to report.</p>`}
    ${lines.length > 0 &&
    html`<div class="scroll log" tabindex="0" role="group" aria-labelledby="log"><ol>
      ${[...lines].reverse().map((line) => html`<${Line} line=${typeof line === "string" ? { text: line } : line} />`)}
    </ol></div>`}
  </section>
`;

/** @param {{line: LogLine}} props */
const Line = ({ line }) => html`
  <li class=${line.level ?? "info"}><time class="figure muted">${clock(line.at)}</time> <span>${line.text}</span></li>
`;

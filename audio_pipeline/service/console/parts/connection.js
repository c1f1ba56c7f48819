// Whether sound arrives, in one line. Quiet while all is well.

import { milliseconds } from "../format.js";
import { html, useSignal } from "../view.js";
import { Button } from "./button.js";

const WORDS = /** @type {Record<string, string>} */ ({
  starting: "Starting sound …",
  connecting: "Waiting for sound …",
  lost: "The connection is lost; trying again …",
  suspended: "The browser has paused the sound.",
  interrupted: "Another program has interrupted the sound.",
  failed: "There is no sound.",
});

/** @param {{desk: import("../desk.js").Desk}} props */
export function Connection({ desk }) {
  const [status, session, isOnline] = [useSignal(desk.status), useSignal(desk.session), useSignal(desk.isOnline)];
  if (!session) return null;
  const state = status?.state ?? "";
  const isHeld = state === "suspended" || state === "interrupted";
  const words = [WORDS[state], status?.error].filter(Boolean).join(" ");
  if (state === "playing" && isOnline)
    return html`<p class="connection good"><span class="dot"></span>Live <span class="figure muted">${milliseconds(status?.latency_ms)} buffer and output</span></p>`;
  return html`
    <p class="connection" role="status">
      <span class="dot"></span>${words || (isOnline ? "Silent here: press Start to hear it" : "Connecting to the session …")}
      ${isHeld && html`<${Button} kind="quiet" onClick=${() => desk.engine?.resume()}>Resume<//>`}
    </p>
  `;
}

// Record, and how long it has been.

import { time } from "../format.js";
import { html, useSignal } from "../view.js";
import { Button } from "./button.js";

/** @param {{desk: import("../desk.js").Desk, disabled?: boolean}} props */
export function RecordButton({ desk, disabled = false }) {
  const [state, isRecording, busy] = [useSignal(desk.state), useSignal(desk.isRecording), useSignal(desk.busy)];
  return html`
    <${Button} icon=${isRecording ? "stop" : "record"} kind=${`record ${isRecording ? "on" : ""}`} pressed=${isRecording}
      disabled=${disabled || busy !== ""} onClick=${() => desk.record(!isRecording)}>
      ${isRecording ? html`Stop <span class="figure">${time(state.recording?.seconds)}</span>` : "Record"}
    <//>
  `;
}

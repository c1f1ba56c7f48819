// The singer's microphone: opened here, heard here without the network in between, sent to the session.

import { useEffect, useState } from "preact/hooks";

import { decibels, milliseconds } from "../format.js";
import { remember, remembered } from "../memory.js";
import { OFF_DB } from "../scale.js";
import { sentence } from "../state.js";
import { html, useSignal } from "../view.js";
import { Button } from "./button.js";
import { Fader } from "./fader.js";
import { Meter } from "./meter.js";
import { Notice } from "./notice.js";

const MEANINGS = /** @type {Record<string, string>} */ ({
  NotAllowedError: "The browser did not give the microphone: allow it in the address bar, then try again.",
  NotFoundError: "There is no microphone at this machine.",
  NotReadableError: "Another program holds the microphone.",
});
const INSECURE = "Browsers give the microphone only to pages of this machine or over HTTPS: use HTTPS, or a tunnel (ssh -L).";

/** @param {unknown} error */
const why = (error) => MEANINGS[/** @type {any} */ (error)?.name] ?? sentence(error);

/** @param {number} db */
const amplitude = (db) => (db <= OFF_DB ? 0 : 10 ** (db / 20));

/** @param {{desk: import("../desk.js").Desk, title?: string, hasMonitor?: boolean, disabled?: boolean}} props */
export function Microphone({ desk, title = "Microphone", hasMonitor = true, disabled = false }) {
  const status = useSignal(desk.status);
  const [monitorDb, setMonitorDb] = useState(() => remembered("monitor_db", -6));
  const [error, setError] = useState("");
  const [devices, setDevices] = useState(/** @type {MediaDeviceInfo[]} */ ([]));
  const mic = status?.mic;
  const isOpen = mic?.state === "open";
  const canListen = desk.engine !== null && !disabled;
  useEffect(() => {
    if (isOpen && hasMonitor) desk.engine?.setMonitor(amplitude(monitorDb));
    if (isOpen) void navigator.mediaDevices.enumerateDevices().then((all) => setDevices(all.filter(({ kind }) => kind === "audioinput")));
  }, [isOpen, monitorDb]);
  const open = async (/** @type {string | undefined} */ id) => {
    setError("");
    if (!navigator.mediaDevices) return setError(INSECURE);
    await desk.engine?.openMic(id).catch((failure) => setError(why(failure)));
  };
  const move = (/** @type {number} */ db) => {
    setMonitorDb(db);
    remember("monitor_db", db);
  };
  return html`
    <div class=${`channel ${isOpen ? "" : "off"}`} role="group" aria-label=${title}>
      <div class="channel-head">
        <h3>${title}</h3>
        ${isOpen && hasMonitor && html`<span class="figure value">${decibels(monitorDb)}</span>`}
        <${Button} icon="mic" kind=${isOpen ? "on" : "quiet"} pressed=${isOpen} disabled=${!canListen || mic?.state === "opening"}
          onClick=${() => (isOpen ? desk.engine?.closeMic() : open(undefined))}>
          ${isOpen ? "On" : mic?.state === "opening" ? "Opening …" : "Turn on"}
        <//>
      </div>
      ${isOpen && hasMonitor && html`<${Fader} name="Level of your own voice in your ears" db=${monitorDb} onMove=${move} />`}
      <${Meter} name=${title} read=${() => (isOpen ? desk.engine?.levels("mic")?.peak_db ?? null : null)} />
      ${isOpen && html`<${MicrophoneFacts} status=${status} devices=${devices} hasMonitor=${hasMonitor} onChoose=${open} />`}
      ${!isOpen && html`<p class="muted small">${canListen ? "Use headphones: then only your voice is recorded." : "Press play first, then turn it on."}</p>`}
      <${Notice} text=${error} onClose=${() => setError("")} />
    </div>
  `;
}

/**
 * @param {{status: import("../audio/status.js").Status, devices: MediaDeviceInfo[], hasMonitor: boolean, onChoose: (id: string) => void}} props
 */
function MicrophoneFacts({ status, devices, hasMonitor, onChoose }) {
  const { mic, monitor_ms: monitorMs } = status;
  const chosen = devices.find(({ label }) => label === mic.label)?.deviceId;
  return html`
    ${devices.length > 1 &&
    html`
      <label class="field"><span>Input</span>
        <select value=${chosen} onChange=${(/** @type {any} */ event) => onChoose(event.target.value)}>
          ${devices.map(({ deviceId, label }) => html`<option value=${deviceId}>${label || "Microphone"}</option>`)}
        </select>
      </label>
    `}
    ${hasMonitor &&
    html`
      <p class="latency">
        <strong class="figure">${milliseconds(monitorMs + (mic.latency_ms ?? 0))}</strong>
        <span>from your mouth to your ears, as this browser states it</span>
      </p>
    `}
    ${mic.refused.length > 0 && html`<${Notice} kind="hint" text=${`The browser keeps processing the sound: ${mic.refused.join("; ")}.`} />`}
  `;
}

// One stem: its channel of the mixer beside its spectrogram.

import { useEffect } from "preact/hooks";

import { stemTitle } from "../mixing.js";
import { html, useSignal } from "../view.js";
import { Channel } from "./channel.js";
import { Spectrogram } from "./spectrogram.js";

/** @param {{desk: import("../desk.js").Desk, name: string, anySolo: boolean, disabled: boolean}} props */
export function Stem({ desk, name, anySolo, disabled }) {
  const port = `mix.direct_${name}`;
  const isHeard = useSignal(desk.isHeard);
  const engine = desk.engine;
  useEffect(() => (isHeard ? engine?.listen(port) : undefined), [engine, isHeard, port]);
  const key = (/** @type {string} */ setting) => `mix.inputs.${name}.${setting}`;
  const [isMuted, isSolo] = [desk.settings.get(key("mute"), false), desk.settings.get(key("solo"), false)];
  const title = stemTitle(name);
  return html`
    <div class="stem">
      <${Channel}
        title=${title}
        db=${desk.settings.get(key("gain_db"), 0)}
        onMove=${(/** @type {number} */ db) => desk.settings.set({ [key("gain_db")]: db })}
        isMuted=${isMuted}
        onMute=${() => desk.settings.set({ [key("mute")]: !isMuted })}
        isSolo=${isSolo}
        onSolo=${() => desk.settings.set({ [key("solo")]: !isSolo })}
        isSilenced=${anySolo && !isSolo}
        read=${() => desk.level(port)?.peak_db ?? null}
        disabled=${disabled}
      />
      <${Spectrogram} name=${title} read=${() => desk.engine?.spectrum(port) ?? null} rate=${() => desk.engine?.sampleRate ?? 0}
        isMoving=${() => desk.status.value?.state === "playing"} />
    </div>
  `;
}

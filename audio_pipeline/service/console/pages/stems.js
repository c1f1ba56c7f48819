// Take a sound apart: each stem seen, heard alone, mixed, recorded.

import { useEffect, useState } from "preact/hooks";

import { silenceOthers, stems as desk } from "../desks.js";
import { choiceOf, inputsOf, sourceValues } from "../mixing.js";
import { Microphone } from "../parts/microphone.js";
import { Notice } from "../parts/notice.js";
import { NowPlaying } from "../parts/now_playing.js";
import { RecordButton } from "../parts/record_button.js";
import { Segments } from "../parts/segments.js";
import { SongList } from "../parts/song_list.js";
import { Stem } from "../parts/stem.js";
import { TakeList } from "../parts/take_list.js";
import { DEMO, configsOf, mayPlay } from "../state.js";
import { html, useSignal } from "../view.js";

const SOURCES = /** @type {const} */ ([["song", "Song"], ["line", "Microphone or line-in"]]);
const MODE_WORDS = /** @type {Record<string, string>} */ ({ low: "Fast", balanced: "Balanced", quality: "Best" });

/** @typedef {import("../state.js").Song} Song */
/** @typedef {"song" | "line"} Source */

const feed = () => desk.session.value?.feeds?.[0] ?? "line";

/** The pipeline, mode and song as chosen; another choice while it plays begins anew. */
function useChoice() {
  const session = useSignal(desk.session);
  const all = configsOf("stems");
  const [wanted, setWanted] = useState("");
  const [mode, setMode] = useState("");
  const config = all.find(({ id }) => id === (session?.config ?? wanted)) ?? all[0];
  const modes = choiceOf(config, "split.mode");
  const chosenMode = modes && (modes.choices.includes(mode) ? mode : modes.chosen);
  const song = desk.song.value ?? DEMO;
  const choice = (/** @type {{config?: string, mode?: string | null, song?: Song}} */ change = {}) => {
    const next = { config: config?.id ?? "", mode: chosenMode, song, ...change };
    return { config: next.config, song: next.song, set: next.mode && next.config === config?.id ? { "split.mode": next.mode } : {} };
  };
  const change = (/** @type {{config?: string, mode?: string, song?: Song}} */ to) => {
    if (to.config) setWanted(to.config);
    if (to.mode) setMode(to.mode);
    if (session || to.song) {
      silenceOthers(desk);
      void desk.open(choice(to), feed());
    }
  };
  return { all, config, modes, mode: chosenMode, choice, change };
}

export function StemsPage() {
  const { all, config, modes, mode, choice, change } = useChoice();
  const [session, song, error] = [useSignal(desk.session), useSignal(desk.song), useSignal(desk.error)];
  const [busy, canPlay] = [useSignal(desk.busy), useSignal(mayPlay)];
  useSignal(desk.settings.values);
  useEffect(() => void desk.find(), []);
  const source = /** @type {Source} */ (desk.settings.get("source.inputs.song.mute", false) ? "line" : "song");
  const isBusy = busy === "opening" || busy === "starting" || !canPlay;
  const start = () => {
    silenceOthers(desk);
    void desk.start(choice(), feed());
  };
  const pick = (/** @type {Source} */ next) => {
    if (next !== "line") desk.engine?.closeMic();
    desk.settings.set(sourceValues(next));
  };
  if (!config) return html`<h1>Stems</h1><p class="empty">This service offers no pipeline that splits sound into stems.</p>`;
  return html`
    <h1 class="hidden">Stems</h1>
    <div class="columns">
      <div class="column wide">
        <section class="card bar" aria-label="What is split, and how">
          ${inputsOf(config, "source").length > 1 &&
          html`<${Segments} legend="Source" options=${SOURCES} chosen=${source} disabled=${!session || isBusy} onChoose=${pick} />`}
          <label class="field"><span>Model</span>
            <select value=${config.id} disabled=${isBusy} onChange=${(/** @type {any} */ event) => change({ config: event.target.value })}>
              ${all.map(({ id, title }) => html`<option value=${id}>${title}</option>`)}
            </select>
          </label>
          ${modes &&
          html`<${Segments} legend="Mode" chosen=${mode} disabled=${isBusy}
            options=${modes.choices.map((name) => [name, MODE_WORDS[name] ?? name])} onChoose=${(/** @type {string} */ name) => change({ mode: name })} />`}
        </section>
        <${NowPlaying} desk=${desk} onStart=${start} onNext=${null} hasPicture=${false} text="See and hear each stem of the song." />
        <${Notice} text=${error} onClose=${() => (desk.error.value = "")} />
        <section class="card" aria-labelledby="stems">
          <div class="card-head">
            <h2 id="stems">Stems</h2>
            <${RecordButton} desk=${desk} disabled=${!session || !canPlay} />
          </div>
          <${StemRows} names=${inputsOf(config)} disabled=${!session || !canPlay} />
          ${source === "line" && html`<${Microphone} desk=${desk} title="Input" hasMonitor=${false} disabled=${!canPlay} />`}
        </section>
      </div>
      <div class="column">
        <${SongList} current=${song?.id ?? (session ? "" : DEMO.id)} onPlay=${(/** @type {Song} */ next) => change({ song: next })} disabled=${isBusy} />
        <${TakeList} desk=${desk} emptyText="Record to get each stem as a file of its own, aligned to the sample." />
      </div>
    </div>
  `;
}

/** @param {{names: string[], disabled: boolean}} props */
function StemRows({ names, disabled }) {
  const anySolo = names.some((name) => desk.settings.get(`mix.inputs.${name}.solo`, false));
  return html`
    <div class="stems">
      ${names.map((name) => html`<${Stem} key=${name} desk=${desk} name=${name} anySolo=${anySolo} disabled=${disabled} />`)}
    </div>
  `;
}

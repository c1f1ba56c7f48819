// The song that plays, large: its picture as it sounds, where it is, and what moves it. Lyrics get their place here.

import { DEMO } from "../state.js";
import { html, useSignal } from "../view.js";
import { IconButton } from "./button.js";
import { Connection } from "./connection.js";
import { Icon } from "./icon.js";
import { SeekBar } from "./seek_bar.js";
import { Spectrogram } from "./spectrogram.js";

/** @typedef {import("../desk.js").Desk} Desk */

/**
 * What plays, in words: as this browser chose it, else as the session is labelled.
 * @param {Desk} desk
 */
function words(desk) {
  const [session, song] = [desk.session.value, desk.song.value];
  if (song) return song;
  return session ? { ...DEMO, title: session.label || DEMO.title, by: session.label && session.label !== DEMO.title ? "" : DEMO.by } : DEMO;
}

/** @param {{desk: Desk, onStart: () => void, onNext: (() => void) | null, text?: string, hasPicture?: boolean}} props `text` invites to start */
export function NowPlaying({ desk, onStart, onNext, text = "The voice goes down, yours comes in.", hasPicture = true }) {
  const [transport, isHeard] = [useSignal(desk.transport), useSignal(desk.isHeard)];
  useSignal(desk.session);
  useSignal(desk.song);
  const { title, by } = words(desk);
  return html`
    <section class="card stage" aria-label="Now playing">
      <div class=${hasPicture ? "picture" : ""}>
        ${hasPicture && html`<${Spectrogram} name="what you hear" read=${() => desk.engine?.spectrum("mix.out") ?? null}
          rate=${() => desk.engine?.sampleRate ?? 0} isMoving=${() => desk.status.value?.state === "playing"} />`}
        ${!isHeard && html`<${StartButton} desk=${desk} onStart=${onStart} text=${text} />`}
      </div>
      <div class="stage-words">
        <div>
          <p class="song-title">${title}</p>
          <p class="muted">${by || " "}</p>
        </div>
        <${Connection} desk=${desk} />
      </div>
      <${SeekBar} seconds=${desk.songSeconds()} length=${transport?.length_s ?? null} disabled=${!transport}
        onSeek=${(/** @type {number} */ to) => desk.command({ action: "seek", to_s: to })} />
      <${Transport} desk=${desk} onNext=${onNext} />
    </section>
  `;
}

/** @param {{desk: Desk, onStart: () => void, text: string}} props */
function StartButton({ desk, onStart, text }) {
  const busy = useSignal(desk.busy);
  const isBusy = busy === "starting" || busy === "opening";
  return html`
    <div class="start">
      <button type="button" class="start-button" disabled=${isBusy} onClick=${onStart}>
        <${Icon} name="play" /><span>${isBusy ? "Starting …" : "Start"}</span>
      </button>
      <p>${isBusy ? "The model is made ready; this takes a few seconds the first time." : text}</p>
    </div>
  `;
}

/** @param {{desk: Desk, onNext: (() => void) | null}} props */
function Transport({ desk, onNext }) {
  const [transport, isHeard] = [useSignal(desk.transport), useSignal(desk.isHeard)];
  const isOff = !transport;
  const isPlaying = Boolean(transport?.playing);
  const back = () => desk.command({ action: "seek", to_s: Math.max((desk.songSeconds() ?? 0) - 10, 0) });
  return html`
    <div class="transport" role="group" aria-label="Playback">
      <${IconButton} icon="loop" name="Loop the song" pressed=${Boolean(transport?.loop)} disabled=${isOff}
        onClick=${() => desk.command({ action: "loop", on: !transport?.loop })} />
      <${IconButton} icon="back" name="Back 10 seconds" disabled=${isOff} onClick=${back} />
      <${IconButton} icon=${isPlaying ? "pause" : "play"} name=${isPlaying ? "Pause" : "Play"} kind="large" disabled=${isOff}
        onClick=${() => desk.command({ action: isPlaying ? "pause" : "play" })} />
      <${IconButton} icon="next" name="Next song in the queue" disabled=${onNext === null} onClick=${() => onNext?.()} />
      <${IconButton} icon=${isHeard ? "speaker" : "muted"} name="Stop listening here; the song goes on" disabled=${!isHeard} onClick=${() => desk.stop()} />
    </div>
  `;
}

// Songs to choose from: the demo song, those that were uploaded, and a place to drop more.

import { useRef, useState } from "preact/hooks";

import { time } from "../format.js";
import { libraryError, removeSong, songs, upload, uploading } from "../library.js";
import { html, useSignal } from "../view.js";
import { Button, IconButton } from "./button.js";
import { Icon } from "./icon.js";
import { Notice } from "./notice.js";

/** @typedef {import("../state.js").Song} Song */
/** @typedef {{current: string, onPlay: (song: Song) => void, onQueue?: (song: Song) => void, disabled?: boolean}} Choosing */

/** @param {Choosing} props */
export function SongList({ current, onPlay, onQueue, disabled = false }) {
  const [all, busy, error] = [useSignal(songs), useSignal(uploading), useSignal(libraryError)];
  return html`
    <section class="card" aria-labelledby="songs">
      <h2 id="songs">Songs</h2>
      <ul class="rows">
        ${all.map(
          (song) => html`
            <${SongRow} key=${song.id} song=${song} isCurrent=${song.id === current} onPlay=${onPlay} onQueue=${onQueue}
              disabled=${disabled} />
          `,
        )}
        ${busy.map((name) => html`<li class="row busy" role="status"><span class="row-title">Uploading ${name} …</span></li>`)}
      </ul>
      <${DropZone} disabled=${disabled} />
      <${Notice} text=${error} onClose=${() => (libraryError.value = "")} />
    </section>
  `;
}

/** @param {{song: Song, isCurrent: boolean} & Omit<Choosing, "current">} props */
function SongRow({ song, isCurrent, onPlay, onQueue, disabled }) {
  const { id, title, by, seconds } = song;
  return html`
    <li class=${`row ${isCurrent ? "current" : ""}`}>
      <button type="button" class="row-main" disabled=${disabled} aria-current=${isCurrent ? "true" : undefined}
        onClick=${() => onPlay(song)}>
        <span class="hidden">Play</span>
        <span class="row-icon"><${Icon} name=${isCurrent ? "speaker" : "play"} /></span>
        <span class="row-title">${title}</span>
        <span class="row-more">${id === "demo" ? "Demo song" : seconds === null ? by : time(seconds)}</span>
      </button>
      ${onQueue && html`<${IconButton} icon="queue" name=${`Queue ${title}`} kind="small" disabled=${disabled} onClick=${() => onQueue(song)} />`}
      ${id !== "demo" &&
      html`<${IconButton} icon="trash" name=${`Delete ${title}`} kind="small" disabled=${disabled || isCurrent} onClick=${() => removeSong(song)} />`}
    </li>
  `;
}

/** @param {{disabled: boolean}} props */
function DropZone({ disabled }) {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [isOver, setOver] = useState(false);
  const take = (/** @type {FileList | null | undefined} */ list) => void (list?.length && upload([...list]));
  const onDrop = (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    setOver(false);
    if (!disabled) take(event.dataTransfer?.files);
  };
  const onOver = (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    setOver(!disabled);
  };
  return html`
    <div class=${`drop ${isOver ? "over" : ""}`} onDragOver=${onOver} onDragLeave=${() => setOver(false)} onDrop=${onDrop}>
      <p>Drop songs here</p>
      <${Button} icon="up" kind="quiet" disabled=${disabled} onClick=${() => input.current?.click()}>Choose files<//>
      <input ref=${input} type="file" accept="audio/*,video/mp4" multiple hidden
        onChange=${(/** @type {any} */ event) => {
          take(event.target.files);
          event.target.value = "";
        }} />
    </div>
  `;
}

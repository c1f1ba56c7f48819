// Takes: listened to here, downloaded track by track, deleted.

import { useEffect, useRef, useState } from "preact/hooks";

import { api } from "../api.js";
import { bytes, time } from "../format.js";
import { sentence } from "../state.js";
import { html, useSignal } from "../view.js";
import { IconButton } from "./button.js";
import { Icon } from "./icon.js";
import { Notice } from "./notice.js";
import { SeekBar } from "./seek_bar.js";

/** @typedef {{id: string, name: string, seconds: number, bytes: number, finished?: boolean}} Track */
/** @typedef {{id: string, started: number | string, seconds: number, tracks: Track[]}} Take */

/** @param {number | string} started Unix seconds, or as ISO 8601 has it */
const clock = (started) =>
  new Date(typeof started === "number" ? started * 1_000 : started).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

const AGAIN_MS = 500;

/** @param {Track} track */
const isFinished = ({ finished }) => finished !== false;

/** @param {Track[]} tracks */
const firstHeard = (tracks) => tracks.find(({ name }) => name === "mix") ?? tracks[0];

/** @param {{desk: import("../desk.js").Desk, emptyText: string}} props */
export function TakeList({ desk, emptyText }) {
  const [takes, setTakes] = useState(/** @type {Take[]} */ ([]));
  const [error, setError] = useState("");
  const [session, isRecording] = [useSignal(desk.session), useSignal(desk.isRecording)];
  const id = session?.id;
  const refresh = async () => {
    try {
      setTakes(id ? await api.takes(id) : []);
    } catch (failure) {
      setError(sentence(failure));
    }
  };
  useEffect(() => void refresh(), [id, isRecording]);
  const isWaiting = !isRecording && takes.some(({ tracks }) => !tracks.every(isFinished));
  useEffect(() => {
    if (!isWaiting) return;
    const timer = window.setTimeout(refresh, AGAIN_MS); // the recorder still closes its files
    return () => window.clearTimeout(timer);
  }, [isWaiting, takes]);
  const remove = async (/** @type {Take} */ take) => {
    try {
      if (id) await api.deleteTake(id, take.id);
      await refresh();
    } catch (failure) {
      setError(sentence(failure));
    }
  };
  const closed = takes.filter(({ tracks }) => tracks.length > 0 && tracks.every(isFinished));
  return html`
    <section class="card" aria-labelledby="takes">
      <h2 id="takes">Takes</h2>
      ${closed.length === 0 && html`<p class="empty">${emptyText}</p>`}
      <ul class="takes">
        ${closed.map(
          (take, at) => html`
            <${TakeRow} key=${take.id} take=${take} number=${at + 1} session=${id ?? ""} desk=${desk} onDelete=${() => remove(take)} />
          `,
        )}
      </ul>
      <${Notice} text=${error} onClose=${() => setError("")} />
    </section>
  `;
}

/** @param {{take: Take, number: number, session: string, desk: import("../desk.js").Desk, onDelete: () => void}} props */
function TakeRow({ take, number, session, desk, onDelete }) {
  const [chosen, setChosen] = useState(firstHeard(take.tracks).id);
  const url = (/** @type {Track} */ track) => api.trackUrl(session, take.id, track.id);
  const track = take.tracks.find(({ id }) => id === chosen) ?? take.tracks[0];
  const title = `Take ${number}`;
  return html`
    <li class="take" aria-label=${title}>
      <div class="take-head">
        <h3>${title}</h3>
        <span class="muted">${clock(take.started)} · ${time(take.seconds)}</span>
        <${IconButton} icon="trash" name=${`Delete ${title}`} kind="small" onClick=${onDelete} />
      </div>
      <${TakePlayer} url=${url(track)} seconds=${track.seconds} title=${title} desk=${desk} />
      <div class="tracks" role="group" aria-label=${`Tracks of ${title}`}>
        ${take.tracks.map(
          (each) => html`
            <span class=${`track ${each.id === chosen ? "chosen" : ""}`} key=${each.id}>
              <button type="button" aria-pressed=${each.id === chosen} onClick=${() => setChosen(each.id)}>${each.name}</button>
              <a href=${url(each)} download aria-label=${`Download ${each.name} of ${title}, ${bytes(each.bytes)}`} title=${`Download, ${bytes(each.bytes)}`}>
                <${Icon} name="download" />
              </a>
            </span>
          `,
        )}
      </div>
    </li>
  `;
}

/** @param {{url: string, seconds: number, title: string, desk: import("../desk.js").Desk}} props */
function TakePlayer({ url, seconds, title, desk }) {
  const audio = useRef(/** @type {HTMLAudioElement | null} */ (null));
  const [isPlaying, setPlaying] = useState(false);
  const [at, setAt] = useState(0);
  const [error, setError] = useState("");
  const play = async () => {
    if (isPlaying) return audio.current?.pause();
    if (desk.transport.value?.playing) await desk.command({ action: "pause" });
    await audio.current?.play().catch((failure) => setError(sentence(failure)));
  };
  const seek = (/** @type {number} */ to) => {
    if (audio.current) audio.current.currentTime = to;
    setAt(to);
  };
  return html`
    <div class="player">
      <audio ref=${audio} src=${url} preload="none" onPlay=${() => setPlaying(true)} onPause=${() => setPlaying(false)}
        onEnded=${() => setPlaying(false)} onError=${() => setError("This track cannot be played.")}
        onTimeUpdate=${() => setAt(audio.current?.currentTime ?? 0)}></audio>
      <${IconButton} icon=${isPlaying ? "pause" : "play"} name=${`${isPlaying ? "Pause" : "Listen to"} ${title}`} kind="small" onClick=${play} />
      <${SeekBar} seconds=${at} length=${seconds} onSeek=${seek} name=${`Position in ${title}`} />
    </div>
    <${Notice} text=${error} onClose=${() => setError("")} />
  `;
}

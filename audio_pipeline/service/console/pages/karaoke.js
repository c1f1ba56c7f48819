// Sing: the song without its voice, the own voice on top.

import { useEffect, useRef } from "preact/hooks";

import { karaoke as desk, silenceOthers } from "../desks.js";
import { Channel } from "../parts/channel.js";
import { Microphone } from "../parts/microphone.js";
import { Notice } from "../parts/notice.js";
import { NowPlaying } from "../parts/now_playing.js";
import { QueueList } from "../parts/queue_list.js";
import { RecordButton } from "../parts/record_button.js";
import { SongList } from "../parts/song_list.js";
import { TakeList } from "../parts/take_list.js";
import { add, move, queue, remove, take } from "../queue.js";
import { DEMO, configsOf, mayPlay } from "../state.js";
import { html, useSignal } from "../view.js";

const CHANNELS = /** @type {const} */ ([["vocals", "Vocals"], ["accompaniment", "Band"]]);
const NEAR_END_S = 0.4;

/** @typedef {import("../state.js").Song} Song */

const config = () => configsOf("karaoke")[0]?.id ?? "karaoke_browser";

const feed = () => desk.session.value?.feeds?.[0] ?? "singer";

/** @param {Song} song */
const choice = (song) => ({ config: config(), song, set: { "song.loop": queue.value.length === 0 } });

/** @param {Song} song */
function play(song) {
  silenceOthers(desk);
  void desk.open(choice(song), feed());
}

function start() {
  silenceOthers(desk);
  void desk.start(choice(DEMO), feed());
}

function next() {
  const song = take();
  if (song) play(song);
}

/** @param {Song} song */
function enqueue(song) {
  add(song);
  if (desk.transport.value?.loop) void desk.command({ action: "loop", on: false });
}

/** Plays what waits when the song is over. */
function useQueue() {
  const [transport, waiting] = [useSignal(desk.transport), useSignal(queue)];
  const last = useRef("");
  useEffect(() => {
    if (!transport?.length_s || !waiting.length || transport.loop) return;
    const isOver = transport.media_s > transport.length_s - NEAR_END_S;
    const id = desk.session.value?.id ?? "";
    if (!isOver || last.current === id || desk.engine === null) return;
    last.current = id; // once a song
    next();
  }, [transport]);
}

export function KaraokePage() {
  const [session, song, waiting] = [useSignal(desk.session), useSignal(desk.song), useSignal(queue)];
  const [error, busy, canPlay] = [useSignal(desk.error), useSignal(desk.busy), useSignal(mayPlay)];
  useEffect(() => void desk.find(), []);
  useQueue();
  const current = song?.id ?? (session ? "" : DEMO.id);
  return html`
    <h1 class="hidden">Karaoke</h1>
    <div class="columns">
      <div class="column wide">
        <${NowPlaying} desk=${desk} onStart=${start} onNext=${waiting.length ? next : null} />
        <${Notice} text=${error} onClose=${() => (desk.error.value = "")} />
        <section class="card" aria-labelledby="mixer">
          <div class="card-head">
            <h2 id="mixer">Mixer</h2>
            <${RecordButton} desk=${desk} disabled=${!session || !canPlay} />
          </div>
          <div class="channels">
            ${CHANNELS.map(([name, title]) => html`<${SongChannel} key=${name} name=${name} title=${title} disabled=${!session || !canPlay} />`)}
            <${Microphone} desk=${desk} title="Your voice" disabled=${!canPlay} />
          </div>
        </section>
      </div>
      <div class="column">
        <${QueueList} queue=${waiting} onMove=${move} onRemove=${remove} />
        <${SongList} current=${current} onPlay=${play} onQueue=${enqueue} disabled=${!canPlay || busy === "opening" || busy === "starting"} />
        <${TakeList} desk=${desk} emptyText="Press Record, sing, and listen to yourself here." />
      </div>
    </div>
  `;
}

/** @param {{name: string, title: string, disabled: boolean}} props */
function SongChannel({ name, title, disabled }) {
  useSignal(desk.settings.values);
  const [gain, mute] = [`mix.inputs.${name}.gain_db`, `mix.inputs.${name}.mute`];
  const isMuted = desk.settings.get(mute, false);
  return html`
    <${Channel}
      title=${title}
      db=${desk.settings.get(gain, 0)}
      onMove=${(/** @type {number} */ db) => desk.settings.set({ [gain]: db })}
      isMuted=${isMuted}
      onMute=${() => desk.settings.set({ [mute]: !isMuted })}
      read=${() => desk.level(`mix.direct_${name}`)?.peak_db ?? null}
      disabled=${disabled}
    />
  `;
}

// The machine at work: what it holds, what waits, what went wrong.

import { useState } from "preact/hooks";

import { api } from "../api.js";
import { counted, duration, figure, megabytes, percent } from "../format.js";
import { emptyHistory, withHost } from "../host_history.js";
import { Curve } from "../parts/curve.js";
import { LogList } from "../parts/log_list.js";
import { ModelTable } from "../parts/model_table.js";
import { Notice } from "../parts/notice.js";
import { SessionTable } from "../parts/session_table.js";
import { SessionView } from "../parts/session_view.js";
import { Tile } from "../parts/tile.js";
import { me, sentence } from "../state.js";
import { html, useEvery, useSignal } from "../view.js";

const EVERY_MS = 2_000;

/** What was seen while the page was elsewhere stays. */
let history = emptyHistory();

function useHost() {
  const [host, setHost] = useState(/** @type {any} */ (null));
  const [error, setError] = useState("");
  const ask = async () => {
    try {
      const answer = await api.host();
      history = withHost(history, Date.now() / 1_000, answer);
      setHost(answer);
      setError("");
    } catch (failure) {
      setError(sentence(failure));
    }
  };
  useEvery(() => void ask(), EVERY_MS);
  return { host, error, ask };
}

export function HostPage() {
  const { host, error, ask } = useHost();
  const [picked, setPicked] = useState("");
  const user = useSignal(me);
  const sessions = host?.sessions ?? [];
  const shown = sessions.find((/** @type {any} */ { id }) => id === picked) ?? sessions[0];
  return html`
    <div class="page-head">
      <h1>Host</h1>
      <p class="muted">${host ? `Up ${duration(host.uptime_s)} · ${host.version ?? ""}` : "Asking …"} · ${user?.name} (${user?.role})</p>
    </div>
    <${Notice} text=${error} />
    ${host && html`<${Tiles} host=${host} />`}
    ${host && html`<${Curves} host=${host} />`}
    <${SessionTable} sessions=${sessions} picked=${shown?.id ?? ""} onPick=${setPicked} onEnded=${ask} />
    ${shown && html`<${SessionView} key=${shown.id} id=${shown.id} label=${shown.label || shown.config} />`}
    <div class="halves">
      <${ModelTable} models=${host?.models ?? []} />
      <${LogList} lines=${host?.log ?? []} />
    </div>
  `;
}

/** @param {{host: any}} props */
function Tiles({ host }) {
  const { cores = {}, memory = {}, gpu = [], restarts = {}, sessions = [] } = host;
  const card = gpu[0];
  const total = Object.values(restarts).reduce((sum, count) => sum + Number(count), 0);
  return html`
    <div class="tiles">
      <${Tile} title="Processor" value=${percent(host.load)} share=${host.load}
        more=${`${figure(cores.reserved, 2)} of ${figure(cores.capacity, 2)} cores reserved`} />
      <${Tile} title="Memory" value=${megabytes(memory.used_mb)} share=${memory.used_mb / memory.total_mb}
        more=${`of ${megabytes(memory.total_mb)}; ${megabytes(memory.reserved_mb)} reserved`} />
      <${Tile} title="GPU" value=${card ? counted(gpu.length, "card") : "None"} more=${card?.name ?? "Models run on the processor"} />
      <${Tile} title="Sessions" value=${String(sessions.length)} more=${counted(total, "restart")} />
    </div>
  `;
}

/** @param {{host: any}} props */
function Curves({ host }) {
  const { times, load, memory } = history;
  return html`
    <div class="halves">
      <section class="card" aria-labelledby="load"><h2 id="load">Processor, %</h2>
        <${Curve} name="Load of the processor over the last minutes" times=${times} values=${load} top=${100} /></section>
      <section class="card" aria-labelledby="memory"><h2 id="memory">Memory, GB</h2>
        <${Curve} name="Memory in use over the last minutes" times=${times} values=${memory} top=${Math.ceil((host.memory?.total_mb ?? 1_000) / 1_000)} /></section>
    </div>
  `;
}

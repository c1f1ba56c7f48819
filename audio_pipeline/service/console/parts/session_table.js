// The sessions of the host, and the way to end one.

import { useState } from "preact/hooks";

import { api } from "../api.js";
import { figure, megabytes } from "../format.js";
import { sentence } from "../state.js";
import { html } from "../view.js";
import { Button } from "./button.js";
import { Notice } from "./notice.js";

/** @typedef {{id: string, label: string, config: string, state: string, cores?: number, mb?: number}} HostSession */

/** @param {{sessions: HostSession[], picked: string, onPick: (id: string) => void, onEnded: () => void}} props */
export function SessionTable({ sessions, picked, onPick, onEnded }) {
  const [error, setError] = useState("");
  const end = async (/** @type {string} */ id) => {
    try {
      await api.endSession(id);
      onEnded();
    } catch (failure) {
      setError(sentence(failure));
    }
  };
  return html`
    <section class="card" aria-labelledby="sessions">
      <h2 id="sessions">Sessions</h2>
      ${sessions.length === 0 && html`<p class="empty">Nothing plays. Open Karaoke or Stems and press Start.</p>`}
      ${sessions.length > 0 &&
      html`
        <div class="scroll" tabindex="0" role="group" aria-labelledby="sessions">
          <table>
            <thead><tr><th scope="col">Name</th><th scope="col">State</th><th scope="col" class="number">Cores</th>
              <th scope="col" class="number">Memory</th><th scope="col"><span class="hidden">Actions</span></th></tr></thead>
            <tbody>
              ${sessions.map((each) => html`<${SessionRow} key=${each.id} session=${each} isPicked=${each.id === picked} onPick=${onPick} onEnd=${end} />`)}
            </tbody>
          </table>
        </div>
      `}
      <${Notice} text=${error} onClose=${() => setError("")} />
    </section>
  `;
}

/** @param {{session: HostSession, isPicked: boolean, onPick: (id: string) => void, onEnd: (id: string) => void}} props */
function SessionRow({ session, isPicked, onPick, onEnd }) {
  const [isAsking, setAsking] = useState(false);
  const { id, label, config, state, cores, mb } = session;
  const name = label || config;
  return html`
    <tr class=${isPicked ? "picked" : ""}>
      <th scope="row"><button type="button" class="link" aria-pressed=${isPicked} onClick=${() => onPick(id)}>${name}</button>
        ${label && html` <span class="muted small">${config}</span>`}</th>
      <td><span class=${`state ${state}`}>${state}</span></td>
      <td class="number">${figure(cores, 2)}</td><td class="number">${megabytes(mb)}</td>
      <td class="actions">
        ${isAsking
          ? html`<${Button} kind="danger" onClick=${() => onEnd(id)}>End ${name}<//><${Button} kind="quiet" onClick=${() => setAsking(false)}>Keep<//>`
          : html`<${Button} kind="quiet" onClick=${() => setAsking(true)}>End<//>`}
      </td>
    </tr>
  `;
}

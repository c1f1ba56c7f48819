// Nodes and queues of one session, as its events state them.

import { useEffect, useState } from "preact/hooks";

import { Events } from "../events.js";
import { figure, megabytes, milliseconds, percent } from "../format.js";
import { html } from "../view.js";

/** @param {{id: string, label: string}} props */
export function SessionView({ id, label }) {
  const [state, setState] = useState(/** @type {any} */ ({}));
  useEffect(() => {
    const calls = { onState: setState, onEvent: () => undefined, onOpen: () => undefined };
    const events = new Events(`/v1/sessions/${encodeURIComponent(id)}/events`, calls);
    return () => events.close();
  }, [id]);
  const [nodes, links] = [Object.entries(state.nodes ?? {}), Object.entries(state.links ?? {})];
  return html`
    <div class="halves">
      <section class="card" aria-labelledby="nodes">
        <h2 id="nodes">Nodes of ${label}</h2>
        <div class="scroll" tabindex="0" role="group" aria-labelledby="nodes">
          <table>
            <thead><tr><th scope="col">Node</th><th scope="col">State</th><th scope="col" class="number">Busy</th>
              <th scope="col" class="number">Cores</th><th scope="col" class="number">Memory</th><th scope="col" class="number">Restarts</th></tr></thead>
            <tbody>${nodes.map(([name, node]) => html`<${NodeRow} key=${name} name=${name} node=${node} />`)}</tbody>
          </table>
        </div>
        ${nodes.length === 0 && html`<p class="empty">Waiting for the session …</p>`}
      </section>
      <section class="card" aria-labelledby="queues">
        <h2 id="queues">Queues of ${label}</h2>
        <div class="scroll" tabindex="0" role="group" aria-labelledby="queues">
          <table>
            <thead><tr><th scope="col">Link</th><th scope="col" class="number">Waiting</th>
              <th scope="col" class="number">Age, p99</th><th scope="col" class="number">Dropped</th></tr></thead>
            <tbody>${links.map(([name, link]) => html`<${LinkRow} key=${name} name=${name} link=${link} />`)}</tbody>
          </table>
        </div>
      </section>
    </div>
  `;
}

/** @param {{name: string, node: any}} props */
const NodeRow = ({ name, node }) => html`
  <tr>
    <th scope="row">${name} <span class="muted small">${node.kind}</span></th>
    <td><span class=${`state ${node.state}`}>${node.state}</span>${node.note && html` <span class="small muted">${node.note}</span>`}</td>
    <td class="number">${percent(node.busy)}</td><td class="number">${figure(node.cpu, 2)}</td>
    <td class="number">${megabytes(node.rss_mb)}</td><td class="number">${figure(node.restarts)}</td>
  </tr>
`;

/** @param {{name: string, link: any}} props */
const LinkRow = ({ name, link }) => html`
  <tr>
    <th scope="row">${name.replace(">", " → ")}</th>
    <td class="number">${figure(link.queued)}</td><td class="number">${milliseconds(link.age_p99_ms)}</td>
    <td class="number">${figure(link.dropped)}</td>
  </tr>
`;

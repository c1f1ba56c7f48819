// The models that are loaded, and who uses them.

import { figure, milliseconds } from "../format.js";
import { html } from "../view.js";

/** @param {{models: {name: string, mode?: string, places?: number, used?: number, step_ms?: number}[]}} props */
export const ModelTable = ({ models }) => html`
  <section class="card" aria-labelledby="models">
    <h2 id="models">Models</h2>
    ${models.length === 0
      ? html`<p class="empty">No model is loaded. The first session that needs one loads it.</p>`
      : html`
          <div class="scroll" tabindex="0" role="region" aria-labelledby="models">
            <table>
              <thead><tr><th scope="col">Model</th><th scope="col">Mode</th><th scope="col" class="number">Places used</th>
                <th scope="col" class="number">Step</th></tr></thead>
              <tbody>
                ${models.map(
                  ({ name, mode, places, used, step_ms: stepMs }) => html`
                    <tr key=${`${name} ${mode}`}><th scope="row">${name}</th><td>${mode ?? "–"}</td>
                      <td class="number">${figure(used)} of ${figure(places)}</td><td class="number">${milliseconds(stepMs)}</td></tr>
                  `,
                )}
              </tbody>
            </table>
          </div>
        `}
  </section>
`;

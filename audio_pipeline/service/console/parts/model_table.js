// The models that are loaded, and who uses them.

import { NONE, figure } from "../format.js";
import { html } from "../view.js";

/** @param {{models: {name: string, holds?: string, used?: number}[]}} props */
export const ModelTable = ({ models }) => html`
  <section class="card" aria-labelledby="models">
    <h2 id="models">Models</h2>
    ${models.length === 0
      ? html`<p class="empty">No model is loaded. The first session that needs one loads it.</p>`
      : html`
          <div class="scroll" tabindex="0" role="group" aria-labelledby="models">
            <table>
              <thead><tr><th scope="col">Process</th><th scope="col">Holds</th><th scope="col" class="number">Users</th></tr></thead>
              <tbody>
                ${models.map(
                  ({ name, holds, used }) => html`
                    <tr key=${name}><th scope="row">${name}</th><td class="wrap">${holds || NONE}</td><td class="number">${figure(used)}</td></tr>
                  `,
                )}
              </tbody>
            </table>
          </div>
        `}
  </section>
`;

// One of a few, all of them seen: radio buttons side by side.

import { html } from "../view.js";

/**
 * @param {{legend: string, options: readonly (readonly [string, string])[], chosen: string | null, onChoose: (name: any) => void, disabled?: boolean}} props
 */
export const Segments = ({ legend, options, chosen, onChoose, disabled = false }) => html`
  <fieldset class="segments" disabled=${disabled}>
    <legend>${legend}</legend>
    <div>
      ${options.map(
        ([name, title]) => html`
          <label key=${name}>
            <input type="radio" name=${legend} value=${name} checked=${name === chosen} onChange=${() => onChoose(name)} />
            <span>${title}</span>
          </label>
        `,
      )}
    </div>
  </fieldset>
`;

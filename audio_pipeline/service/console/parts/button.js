// Buttons: with words, with an icon alone (then named for screen readers), and those that stay pressed.

import { html } from "../view.js";
import { Icon } from "./icon.js";

/**
 * @param {{icon: string, name: string, onClick: (event: MouseEvent) => void, disabled?: boolean, pressed?: boolean, kind?: string}} props
 */
export const IconButton = ({ icon, name, onClick, disabled = false, pressed, kind = "" }) => html`
  <button
    type="button"
    class=${`icon-button ${kind}`}
    aria-label=${name}
    title=${name}
    aria-pressed=${pressed}
    disabled=${disabled}
    onClick=${onClick}
  >
    <${Icon} name=${icon} />
  </button>
`;

/**
 * @param {{icon?: string, children?: any, onClick: (event: MouseEvent) => void, disabled?: boolean, pressed?: boolean, kind?: string}} props
 */
export const Button = ({ icon, children, onClick, disabled = false, pressed, kind = "" }) => html`
  <button type="button" class=${`button ${kind}`} aria-pressed=${pressed} disabled=${disabled} onClick=${onClick}>
    ${icon && html`<${Icon} name=${icon} />`}<span>${children}</span>
  </button>
`;

/**
 * One letter that stays pressed, as on a mixing desk.
 * @param {{letter: string, name: string, pressed: boolean, onClick: () => void, disabled?: boolean, kind?: string}} props
 */
export const Toggle = ({ letter, name, pressed, onClick, disabled = false, kind = "" }) => html`
  <button
    type="button"
    class=${`toggle ${kind}`}
    aria-label=${name}
    title=${name}
    aria-pressed=${pressed}
    disabled=${disabled}
    onClick=${onClick}
  >
    ${letter}
  </button>
`;

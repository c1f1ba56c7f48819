// A sentence where it belongs: beside what it is about.

import { html } from "../view.js";
import { IconButton } from "./button.js";
import { Icon } from "./icon.js";

/** @param {{text: string, onClose?: () => void, kind?: "error" | "hint"}} props */
export const Notice = ({ text, onClose, kind = "error" }) =>
  text &&
  html`
    <div class=${`notice ${kind}`} role=${kind === "error" ? "alert" : "note"}>
      <${Icon} name="alert" />
      <p>${text}</p>
      ${onClose && html`<${IconButton} icon="close" name="Dismiss" kind="small" onClick=${onClose} />`}
    </div>
  `;

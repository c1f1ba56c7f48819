// Name, pages, theme.

import { choose, theme } from "../theme.js";
import { html, useSignal } from "../view.js";
import { IconButton } from "./button.js";
import { Icon } from "./icon.js";

const PAGES = /** @type {const} */ ([["karaoke", "Karaoke", "mic"], ["stems", "Stems", "stems"], ["host", "Host", "host"]]);

/** @param {{page: string}} props */
export function Header({ page }) {
  const isDark = useSignal(theme) === "dark";
  return html`
    <header class="header">
      <a class="brand" href="#/karaoke" aria-label="Audio Pipeline, start page">
        <img src="/console/icon.svg" alt="" width="28" height="28" /><span>Audio Pipeline</span>
      </a>
      <nav aria-label="Pages">
        ${PAGES.map(
          ([name, title, icon]) => html`
            <a href=${`#/${name}`} aria-current=${name === page ? "page" : undefined}>
              <${Icon} name=${icon} /><span>${title}</span>
            </a>
          `,
        )}
      </nav>
      <${IconButton}
        icon=${isDark ? "sun" : "moon"}
        name=${isDark ? "Light theme" : "Dark theme"}
        onClick=${() => choose(isDark ? "light" : "dark")}
      />
    </header>
  `;
}

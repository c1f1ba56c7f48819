// Icons of 24 x 24, drawn in the colour of the text around them. They carry no meaning alone: what is pressed has a name.

import { html } from "../view.js";

const SHAPES = /** @type {Record<string, string>} */ ({
  play: "M8 5.5v13l10.5-6.5z",
  pause: "M8.5 5.5v13M15.5 5.5v13",
  back: "M11 7 6 12l5 5M18 7l-5 5 5 5",
  next: "M6 6.5v11l8.5-5.5zM18 6v12",
  loop: "M4 12V10a4 4 0 0 1 4-4h11m0 0-3-3m3 3-3 3M20 12v2a4 4 0 0 1-4 4H5m0 0 3 3m-3-3 3-3",
  mic: "M12 3.5a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0v-5a3 3 0 0 1 3-3zM5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3",
  record: "M12 6a6 6 0 1 1 0 12 6 6 0 0 1 0-12z",
  stop: "M7 7h10v10H7z",
  download: "M12 4v11m0 0-4.5-4.5M12 15l4.5-4.5M5 20h14",
  trash: "M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5",
  plus: "M12 5v14M5 12h14",
  queue: "M4 7h16M4 12h10M4 17h7M18 12v7m-3.5-3.5h7",
  sun: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",
  moon: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z",
  speaker: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11",
  muted: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5",
  close: "M6 6l12 12M18 6 6 18",
  up: "M12 19V6m0 0-5 5m5-5 5 5",
  music: "M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0zM19 16a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z",
  alert: "M12 8v5M12 16.5v.1M12 3.5 2.8 19.5h18.4z",
  stems: "M4 6h16M4 12h11M4 18h14",
  host: "M4 5h16v6H4zM4 13h16v6H4zM7.5 8h.1M7.5 16h.1",
});

const FILLED = ["play", "record", "stop"];

/** @param {{name: string}} props */
export const Icon = ({ name }) => html`
  <svg class=${`icon ${FILLED.includes(name) ? "filled" : ""}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d=${SHAPES[name]} />
  </svg>
`;

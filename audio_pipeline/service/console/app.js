// The page: who may come in, which page is shown, and the frame around it.

import { signal } from "@preact/signals-core";
import { render } from "preact";

import { HostPage } from "./pages/host.js";
import { KaraokePage } from "./pages/karaoke.js";
import { LoginPage, UnreachablePage } from "./pages/login.js";
import { StemsPage } from "./pages/stems.js";
import { Header } from "./parts/header.js";
import { access, enter } from "./state.js";
import { html, useSignal } from "./view.js";

const PAGES = /** @type {const} */ ({ karaoke: KaraokePage, stems: StemsPage, host: HostPage });

/** @typedef {keyof typeof PAGES} PageName */

/** @returns {PageName} */
function pageName() {
  const name = location.hash.replace(/^#\//, "");
  return name in PAGES ? /** @type {PageName} */ (name) : "karaoke";
}

const route = signal(pageName());

window.addEventListener("hashchange", () => {
  if (location.hash.startsWith("#login=")) return void enter();
  route.value = pageName();
  window.scrollTo(0, 0);
});

function App() {
  const [allowed, name] = [useSignal(access), useSignal(route)];
  if (allowed === "asking") return html`<p class="loading" role="status">Connecting …</p>`;
  if (allowed === "closed") return html`<${LoginPage} />`;
  if (allowed === "unreachable") return html`<${UnreachablePage} />`;
  return html`
    <a class="skip" href="#main" onClick=${toMain}>Skip to content</a>
    <${Header} page=${name} />
    <main id="main" tabindex="-1" class="page page-${name}"><${PAGES[name]} /></main>
  `;
}

/** @param {Event} event */
function toMain(event) {
  event.preventDefault(); // the address after # is the page's name
  document.getElementById("main")?.focus();
}

render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
void enter();

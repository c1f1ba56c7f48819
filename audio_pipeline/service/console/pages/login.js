// Before somebody is known: a token, or a service that does not answer.

import { useState } from "preact/hooks";

import { Button } from "../parts/button.js";
import { Notice } from "../parts/notice.js";
import { access, accessError, enter } from "../state.js";
import { html, useSignal } from "../view.js";

export function LoginPage() {
  const error = useSignal(accessError);
  const [token, setToken] = useState("");
  const onSubmit = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (token.trim()) void enter(token.trim());
  };
  return html`
    <main class="gate">
      <img src="/console/icon.svg" alt="" width="48" height="48" />
      <h1>Audio Pipeline</h1>
      <p class="muted">Open the link that the service printed when it started, or enter its token.</p>
      <form onSubmit=${onSubmit}>
        <label class="field"><span>Token</span>
          <input type="password" autocomplete="current-password" value=${token} onInput=${(/** @type {any} */ event) => setToken(event.target.value)} />
        </label>
        <button type="submit" class="button primary"><span>Sign in</span></button>
      </form>
      <${Notice} text=${error} />
    </main>
  `;
}

export function UnreachablePage() {
  const error = useSignal(accessError);
  const again = () => {
    access.value = "asking";
    void enter();
  };
  return html`
    <main class="gate">
      <h1>The service does not answer</h1>
      <${Notice} text=${error} />
      <${Button} kind="primary" onClick=${again}>Try again<//>
    </main>
  `;
}

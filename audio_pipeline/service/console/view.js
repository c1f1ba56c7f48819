// htm bound to preact, and hooks that follow signals.

import htm from "htm";
import { h } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

export const html = htm.bind(h);

/**
 * The value of a signal; the component is drawn again when it changes.
 * @template T
 * @param {{value: T, subscribe: (run: (value: T) => void) => () => void}} signal
 * @returns {T}
 */
export function useSignal(signal) {
  const [, setDrawn] = useState(signal.value);
  useLayoutEffect(() => signal.subscribe((value) => setDrawn(() => value)), [signal]);
  return signal.value;
}

/**
 * Calls before each frame is drawn, while the page is visible.
 * @param {(nowS: number) => void} draw
 */
export function useFrames(draw) {
  const latest = useRef(draw);
  latest.current = draw;
  useEffect(() => {
    let id = requestAnimationFrame(function turn(nowMs) {
      latest.current(nowMs / 1_000);
      id = requestAnimationFrame(turn);
    });
    return () => cancelAnimationFrame(id);
  }, []);
}

/**
 * Calls now and then, while the page is visible.
 * @param {() => void} run
 * @param {number} everyMs
 */
export function useEvery(run, everyMs) {
  const latest = useRef(run);
  latest.current = run;
  useEffect(() => {
    const turn = () => void (document.hidden || latest.current());
    turn();
    const id = window.setInterval(turn, everyMs);
    return () => window.clearInterval(id);
  }, [everyMs]);
}

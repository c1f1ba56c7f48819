// A curve over time.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

import { palette } from "../canvas.js";
import { theme } from "../theme.js";
import { html, useSignal } from "../view.js";

const HEIGHT = 120;

/**
 * @param {HTMLElement} target
 * @param {string} ink
 * @param {string} line
 * @param {string} accent
 * @param {number} top
 */
function options(target, ink, line, accent, top) {
  const axis = { stroke: ink, font: "12px Inter", grid: { stroke: line, width: 1 }, ticks: { show: false } };
  return {
    width: target.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 4, 0, 0],
    scales: { x: { time: true }, y: { range: [0, top] } },
    axes: [
      { ...axis, space: 80, size: 24, values: (/** @type {any} */ _, /** @type {number[]} */ at) => at.map(clock) },
      { ...axis, size: 44, splits: () => [0, top / 2, top] },
    ],
    series: [{}, { stroke: accent, width: 2, fill: `${accent}22`, points: { show: false } }],
  };
}

/** @param {number} at Unix seconds */
const clock = (at) => new Date(at * 1_000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** @param {{name: string, times: number[], values: (number | null)[], top: number}} props `times` in Unix seconds */
export function Curve({ name, times, values, top }) {
  const target = useRef(/** @type {HTMLElement | null} */ (null));
  const plot = useRef(/** @type {uPlot | null} */ (null));
  const shown = useSignal(theme);
  useEffect(() => {
    const element = target.current;
    if (!element) return;
    const style = getComputedStyle(element);
    const [ink, line] = [style.getPropertyValue("--ink-2"), style.getPropertyValue("--line")];
    const made = new uPlot(options(element, ink, line, palette(element).accent, top), [times, values], element);
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    plot.current = made;
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [shown, top]);
  useEffect(() => plot.current?.setData([times, values]), [times, values]);
  return html`<div class="curve" ref=${target} role="img" aria-label=${name}></div>`;
}

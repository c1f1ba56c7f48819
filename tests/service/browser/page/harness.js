// What a browser test drives: an engine, and a recorder of the microphone and of what is played, in one audio context.

import { AudioEngine } from "/audio/engine.js";

const page = /** @type {any} */ (window);

page.makeEngine = (/** @type {any} */ terms) => {
  page.engine = new AudioEngine({ url: "/sound", ...terms });
  page.states = [];
  page.engine.status.subscribe((/** @type {any} */ status) => {
    const { state, position, rate, buffer_ms, target_ms, underruns } = status;
    page.states.push({ at: performance.now(), state, position, rate, buffer_ms, target_ms, underruns });
  });
};

document.getElementById("start")?.addEventListener("click", () => page.engine.start().catch(console.error));

/** Where the audio thread is, in its own words: when, and what is read then. */
page.watch = () => {
  page.reports = [];
  page.engine._streams.get(1).node.port.addEventListener("message", (/** @type {any} */ { data }) => page.reports.push(data));
};

if (location.search === "?start") {
  page.makeEngine({});
  page.engine.start();
}

/** From now on, for so long: the microphone, once it is open, and what is played. */
page.record = async (/** @type {number} */ seconds) => {
  const graph = page.engine._graph;
  const { context } = graph;
  await context.audioWorklet.addModule("/page/recorder_worklet.js");
  const options = { numberOfInputs: 2, numberOfOutputs: 1, processorOptions: { seconds } };
  page.recorder = new AudioWorkletNode(context, "recorder", options);
  page.engine._streams.get(1).node.connect(page.recorder, 0, 1);
  page.recorder.connect(graph._silence);
};

page.openMic = async () => {
  const refused = await page.engine.openMic();
  if (page.recorder) page.engine._graph._mic.connect(page.recorder, 0, 0);
  return refused;
};

/** Blocks the page's thread. */
page.block = (/** @type {number} */ ms) => {
  const until = performance.now() + ms;
  while (performance.now() < until);
};

/** What was recorded, in base64: 0 the microphone, 1 what was played. */
page.samples = async (/** @type {number} */ input) => {
  page.planes ??= await new Promise((resolve) => {
    page.recorder.port.onmessage = (/** @type {any} */ { data }) => resolve(data);
    page.recorder.port.postMessage("take");
  });
  const bytes = new Uint8Array(page.planes[input].buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8_192) text += String.fromCharCode(...bytes.subarray(i, i + 8_192));
  return btoa(text);
};

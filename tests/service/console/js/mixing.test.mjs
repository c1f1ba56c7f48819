import assert from "node:assert/strict";
import { test } from "node:test";

import { emptyHistory, withHost } from "../../../../audio_pipeline/service/console/host_history.js";
import { choiceOf, inputsOf, sourceValues, stemTitle } from "../../../../audio_pipeline/service/console/mixing.js";

const parameter = (key, choices) => ({ key, title: "", type: "", default: "balanced", choices });
const config = {
  id: "stems", title: "", text: "", kind: "stems",
  parameters: [
    parameter("mix.inputs.vocals.gain_db"), parameter("mix.inputs.vocals.mute"), parameter("mix.inputs.drums.gain_db"),
    parameter("mix.gain_db"), parameter("source.inputs.line.gain_db"), parameter("split.mode", ["offline", "low", "balanced"]),
    parameter("split.hop", [0, 1, 2]),
  ],
};

test("stems are the inputs of the mixer, in its order", () => {
  assert.deepEqual(inputsOf(config), ["vocals", "drums"]);
  assert.deepEqual(inputsOf(config, "source"), ["line"]);
  assert.deepEqual(inputsOf(undefined), []);
  assert.equal(stemTitle("lead_vocals"), "Lead vocals");
});

test("modes: those that can be used live, and the one by default", () => {
  assert.deepEqual(choiceOf(config, "split.mode"), { choices: ["low", "balanced"], chosen: "balanced" });
  assert.equal(choiceOf(config, "split.hop"), null);
  assert.equal(choiceOf(config, "split.model"), null);
});

test("one source is heard at a time", () => {
  assert.deepEqual(sourceValues("line"), { "source.inputs.song.mute": true, "source.inputs.line.mute": false });
});

test("the history of the host is bounded, and has a gap where nothing was said", () => {
  let history = emptyHistory();
  for (let i = 0; i < 1_000; i++) history = withHost(history, i, i % 2 ? { load: 0.5, memory: { used_mb: 2_000 } } : {});
  assert.equal(history.times.length, 150);
  assert.equal(history.times.at(-1), 999);
  assert.deepEqual(history.load.slice(-2), [null, 50]);
  assert.deepEqual(history.memory.slice(-2), [null, 2]);
});

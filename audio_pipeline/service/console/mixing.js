// What a pipeline for stems has: found in its parameters, so that any number of stems fits.

/** @typedef {import("./state.js").Config} Config */

/**
 * Names of the inputs of a mixer, as the pipeline file has them.
 * @param {Config | undefined} config
 * @param {string} [mixer]
 */
export function inputsOf(config, mixer = "mix") {
  const start = `${mixer}.inputs.`;
  const keys = (config?.parameters ?? []).map(({ key }) => key);
  return keys.filter((key) => key.startsWith(start) && key.endsWith(".gain_db")).map((key) => key.slice(start.length, -".gain_db".length));
}

/** @param {string} name */
export const stemTitle = (name) => name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");

/**
 * What a choice such as the mode may be; without those that cannot be used live.
 * @param {Config | undefined} config
 * @param {string} key
 * @returns {{choices: string[], chosen: string} | null}
 */
export function choiceOf(config, key) {
  const parameter = config?.parameters.find((each) => each.key === key);
  const choices = (parameter?.choices ?? []).filter((choice) => typeof choice === "string" && choice !== "offline");
  if (!parameter || choices.length < 2) return null;
  return { choices, chosen: choices.includes(parameter.default) ? parameter.default : choices[0] };
}

/**
 * Values that choose where the sound comes from: the song or this browser's input.
 * @param {"song" | "line"} source
 */
export const sourceValues = (source) => ({
  "source.inputs.song.mute": source !== "song",
  "source.inputs.line.mute": source !== "line",
});

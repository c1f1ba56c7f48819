// Opens a microphone for music: what a browser does to speech is off, read back, and what it refused is stated.

const SPEECH = /** @type {const} */ ({
  echoCancellation: "echo cancellation stays on: it removes parts of what you sing",
  noiseSuppression: "noise suppression stays on: it takes held notes for noise",
  autoGainControl: "automatic gain stays on: quiet parts become loud",
});

/**
 * @typedef {object} Opened
 * @property {MediaStream} stream
 * @property {string} label
 * @property {string[]} refused in words
 * @property {number | null} latencyMs
 */

/**
 * @param {string} [deviceId]
 * @returns {Promise<Opened>}
 * @throws {Error} with a sentence for the user
 */
export async function openMicrophone(deviceId) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("no microphone over plain http: use https, localhost, or an ssh tunnel to localhost");
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: constraints(deviceId), video: false });
    return describe(stream);
  } catch (error) {
    throw new Error(sentence(error));
  }
}

/**
 * @param {string} [deviceId]
 * @returns {MediaTrackConstraints}
 */
function constraints(deviceId) {
  const off = Object.fromEntries(Object.keys(SPEECH).map((name) => [name, false]));
  return { ...off, ...(deviceId ? { deviceId: { exact: deviceId } } : {}) };
}

/**
 * @param {MediaStream} stream
 * @returns {Opened}
 */
function describe(stream) {
  const track = stream.getAudioTracks()[0];
  const settings = /** @type {MediaTrackSettings & {latency?: number}} */ (track.getSettings());
  return {
    stream,
    label: track.label,
    refused: refusals(settings),
    latencyMs: typeof settings.latency === "number" ? settings.latency * 1e3 : null,
  };
}

/**
 * What is on although it was to be off.
 * @param {Record<string, any>} settings as the track states them
 */
export function refusals(settings) {
  return Object.entries(SPEECH).flatMap(([name, words]) => (settings[name] ? [words] : []));
}

/** @type {Record<string, string>} */
const CAUSES = {
  NotAllowedError: "the browser was not allowed to use the microphone: allow it beside the address, then try again",
  NotFoundError: "no microphone is connected",
  NotReadableError: "another program holds the microphone",
  OverconstrainedError: "the chosen microphone is not there any more",
};

/** @param {unknown} error */
function sentence(error) {
  const { name, message } = error instanceof Error ? error : { name: "", message: String(error) };
  return CAUSES[name] ?? `the microphone cannot be opened: ${message}`;
}

// Songs: the demo song and what was uploaded.

import { computed, signal } from "@preact/signals-core";

import { api } from "./api.js";
import { titleOf } from "./format.js";
import { DEMO, files, sentence } from "./state.js";

const LARGEST_BYTES = 500e6;

/** @typedef {import("./state.js").Song} Song */

/** @type {import("@preact/signals-core").ReadonlySignal<Song[]>} */
export const songs = computed(() => [DEMO, ...files.value.map(songOf)]);

export const uploading = signal(/** @type {string[]} */ ([]));
export const libraryError = signal("");

/**
 * @param {import("./state.js").SoundFile} file
 * @returns {Song}
 */
function songOf(file) {
  return { id: `file:${file.id}`, title: titleOf(file.name), by: "", seconds: file.seconds };
}

/**
 * Uploads files one after the other.
 * @param {Iterable<File>} chosen
 * @returns {Promise<Song[]>} those that were taken
 */
export async function upload(chosen) {
  libraryError.value = "";
  const added = [];
  for (const file of chosen) {
    const song = await uploadOne(file);
    if (song) added.push(song);
  }
  return added;
}

/** @param {File} file */
async function uploadOne(file) {
  if (file.size > LARGEST_BYTES) {
    libraryError.value = `${file.name} is larger than 500 MB.`;
    return null;
  }
  uploading.value = [...uploading.value, file.name];
  try {
    const taken = await api.upload(file);
    files.value = [...files.value.filter(({ id }) => id !== taken.id), taken];
    return songOf(taken);
  } catch (error) {
    libraryError.value = `${file.name}: ${sentence(error)}`;
    return null;
  } finally {
    uploading.value = uploading.value.filter((name) => name !== file.name);
  }
}

/** @param {Song} song */
export async function removeSong(song) {
  libraryError.value = "";
  const id = song.id.replace(/^file:/, "");
  try {
    await api.deleteFile(id);
    files.value = files.value.filter((file) => file.id !== id);
  } catch (error) {
    libraryError.value = sentence(error);
  }
}

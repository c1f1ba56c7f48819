// The sessions of this browser: one for karaoke, one for stems. One of them is heard at a time.

import { Desk } from "./desk.js";

export const karaoke = new Desk("karaoke");
export const stems = new Desk("stems");

/** @param {Desk} desk */
export function silenceOthers(desk) {
  for (const other of [karaoke, stems]) if (other !== desk) void other.stop();
}

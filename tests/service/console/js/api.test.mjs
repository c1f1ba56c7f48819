import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { ApiError, api, request } from "../../../../audio_pipeline/service/console/api.js";
import { readMeters, waitMs } from "../../../../audio_pipeline/service/console/events.js";

const realFetch = globalThis.fetch;
afterEach(() => void (globalThis.fetch = realFetch));

/** @param {Response | Error} answer */
function answering(answer) {
  const asked = /** @type {any[]} */ ([]);
  globalThis.fetch = async (path, options) => {
    asked.push([path, options]);
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return asked;
}

test("requests carry JSON, the cookie of this origin, and nothing of a user's in the path but escaped", async () => {
  const asked = answering(Response.json({ id: "1" }, { status: 201 }));
  await api.set("a/../b", { "mix.inputs.vocals.gain_db": -20 });
  const [[path, options]] = asked;
  assert.equal(path, "/v1/sessions/a%2F..%2Fb");
  assert.equal(options.credentials, "same-origin");
  assert.deepEqual(JSON.parse(options.body), { set: { "mix.inputs.vocals.gain_db": -20 } });
});

test("an upload is its bytes, and its name is escaped", async () => {
  const asked = answering(Response.json({ id: "1" }, { status: 201 }));
  const file = new File(["abc"], "a&b ?.wav");
  await api.upload(file);
  assert.equal(asked[0][0], "/v1/files?name=a%26b%20%3F.wav");
  assert.equal(asked[0][1].body, file);
});

test("no content is null", async () => {
  answering(new Response(null, { status: 204 }));
  assert.equal(await request("DELETE", "/v1/files/1"), null);
});

test("a refusal keeps the service's sentence, its code and when to try again", async () => {
  const error = { code: "capacity", message: "no core is free", what: "cpu", need: 0.31, free: 0.12 };
  answering(Response.json({ error }, { status: 503, headers: { "Retry-After": "5" } }));
  await assert.rejects(api.createSession({ config: "karaoke_browser" }), (/** @type {ApiError} */ failure) => {
    assert.deepEqual([failure.message, failure.code, failure.retryAfterS], ["no core is free", "capacity", 5]);
    assert.equal(failure.details.free, 0.12);
    return true;
  });
});

test("an answer that is no JSON, as a proxy's page, still becomes a sentence", async () => {
  answering(new Response("<html>Bad gateway</html>", { status: 502 }));
  await assert.rejects(api.me(), { message: "the service answered 502", status: 502 });
});

test("no answer at all is said in words", async () => {
  answering(new TypeError("Failed to fetch"));
  await assert.rejects(api.me(), { code: "unreachable", status: 0 });
});

test("meters by name; what is cut, foreign or too long is no fault", () => {
  const bytes = new ArrayBuffer(8 + 16);
  const view = new DataView(bytes);
  new TextEncoder().encodeInto("APM1", new Uint8Array(bytes));
  view.setUint32(4, 2, true);
  [-6, -12, -20, -30].forEach((db, i) => view.setFloat32(8 + 4 * i, db, true));
  const levels = readMeters(bytes, ["a", "b"]);
  assert.deepEqual(levels?.get("b"), { peak_db: -20, rms_db: -30 });
  assert.equal(readMeters(bytes, ["a"])?.size, 1);
  assert.equal(readMeters(bytes.slice(0, 17), ["a", "b"])?.size, 1);
  assert.equal(readMeters(bytes.slice(0, 6), ["a"]), null);
  assert.equal(readMeters(new ArrayBuffer(24), ["a"]), null);
});

test("tries again soon, then less often, never slower than every five seconds", () => {
  assert.deepEqual([1, 2, 3, 4, 5, 6, 20].map(waitMs), [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
});

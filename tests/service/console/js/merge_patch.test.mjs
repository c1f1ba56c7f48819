import assert from "node:assert/strict";
import { test } from "node:test";

import { merged } from "../../../../audio_pipeline/service/console/merge_patch.js";

// The table of RFC 7396, appendix A.
const CASES = [
  [{ a: "b" }, { a: "c" }, { a: "c" }],
  [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
  [{ a: "b" }, { a: null }, {}],
  [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
  [{ a: ["b"] }, { a: "c" }, { a: "c" }],
  [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
  [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
  [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
  [["a", "b"], ["c", "d"], ["c", "d"]],
  [{ a: "b" }, ["c"], ["c"]],
  [{ a: "foo" }, null, null],
  [{ a: "foo" }, "bar", "bar"],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: "b", c: null }, { a: "b" }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
];

test("patches as the RFC has them", () => {
  for (const [target, patch, result] of CASES) assert.deepEqual(merged(target, patch), result);
});

test("the target stays as it is, and what is not patched is shared", () => {
  const target = { a: { x: 1 }, b: { y: 2 } };
  const result = merged(target, { a: { x: 3 } });
  assert.deepEqual(target, { a: { x: 1 }, b: { y: 2 } });
  assert.equal(result.b, target.b);
});

test("no patch reaches the prototype of other objects", () => {
  merged({}, JSON.parse('{"__proto__": {"polluted": true}}'));
  assert.equal(/** @type {any} */ ({}).polluted, undefined);
});

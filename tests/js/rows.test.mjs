/** static/js/rows.js: how many rows a line takes, and which line is where. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Rows, rowsOf } from "../../static/js/rows.js";

for (const [what, text, columns, rows] of [
  ["nothing is a row", "", 10, 1],
  ["what fits", "0123456789", 10, 1],
  ["one letter more", "0123456789a", 10, 2],
  ["a row without an end", "x".repeat(10_000), Infinity, 1],
  ["wide letters, two of which fit into five places", "日本日本", 5, 2],
  ["a tab is eight at most", "\t\t", 9, 2],
  ["a column only", "ab", 1, 2],
]) {
  test(`rows: ${what}`, () => assert.equal(rowsOf(text, columns), rows));
}

test("each row is of a line, and each line begins where the one before ends", () => {
  const lines = ["a", "b".repeat(25), "", "c".repeat(10), "d".repeat(11)];
  const rows = new Rows(10, lines);
  assert.equal(rows.count, 8);
  assert.deepEqual(lines.map((_, index) => rows.start(index)), [0, 1, 4, 5, 6]);
  assert.deepEqual(lines.map((_, index) => rows.of(index)), [1, 3, 1, 1, 2]);
  const owners = Array.from({ length: 10 }, (_, row) => rows.lineAt(row));
  assert.deepEqual(owners, [0, 1, 1, 1, 2, 3, 4, 4, 4, 4]);
});

test("no lines", () => {
  const rows = new Rows(10);
  assert.deepEqual([rows.count, rows.lineAt(0), rows.start(0)], [0, 0, 0]);
  rows.add("a");
  assert.equal(rows.count, 1);
});

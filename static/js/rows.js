/**
 * Rows: the positions of a log's lines, when a line takes as many rows as it needs.
 *
 * Pure: knows no page. The text is set in a monospaced font and broken anywhere. Way in: Rows.
 */

const PLAIN = /^[\x20-\x7e]*$/;
const TAB = 8;

/** Return the greatest possible width of a text, in letters: some are as wide as two. */
function widthOf(text) {
  let width = 0;
  for (const letter of text) width += letter === "\t" ? TAB : letter > "\xff" ? 2 : 1;
  return width;
}

/** Return how many rows a text needs. columns: letters in a row; Infinity: no wrapping. */
export function rowsOf(text, columns) {
  if (text.length < columns / TAB || columns === Infinity) return 1;
  // A wide letter that no longer fits leaves one place empty.
  if (!PLAIN.test(text)) return Math.max(1, Math.ceil(widthOf(text) / Math.max(1, columns - 1)));
  return Math.max(1, Math.ceil(text.length / columns));
}

export class Rows {
  #ends = []; // for each line, the number of rows up to its end

  constructor(columns, lines = []) {
    this.columns = columns;
    for (const line of lines) this.add(line);
  }

  add(line) {
    this.#ends.push(this.count + rowsOf(line, this.columns));
  }

  get count() {
    return this.#ends.at(-1) ?? 0;
  }

  /** Return the first row of a line; index: from 0. */
  start(index) {
    return index > 0 ? this.#ends[index - 1] : 0;
  }

  /** Return how many rows a line has. */
  of(index) {
    return this.#ends[index] - this.start(index);
  }

  /** Return the index of the line to which a row belongs; for later rows, that of the last line. */
  lineAt(row) {
    let low = 0;
    let high = this.#ends.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ends[middle] > row) high = middle;
      else low = middle + 1;
    }
    return Math.max(0, low);
  }
}

// Where the open pages lie in a frame: as flipdetect/stills/page_finder.py and flipdetect/pages/network.py find them,
// where it is explained.

import facts from "../generated/models.json" with { type: "json" };
import { linearWeights, resize, round } from "./preprocess.js";

const { long_side, stride, second_piece, least_share, every, update_weight } = facts.measures;

/** Finds the pages in the frames of one film. */
export class PageFinder {
  #network;
  #logits = null;
  #pages = null;
  #count = 0;

  /** @param network as `loadPageNetwork` returns it. */
  constructor(network) {
    this.#network = network;
  }

  /** Picture (RGBA) -> Uint8Array of `width` x `height`, 1 where pages are; all 1 if there are none. */
  async find(picture, width, height) {
    const isFirst = this.#pages?.length !== width * height;
    if (isFirst || this.#count % every === 0) {
      const now = await this.#look(picture, width, height);
      if (isFirst) this.#logits = now;
      else now.forEach((value, place) => (this.#logits[place] += update_weight * (value - this.#logits[place])));
      const pages = largePieces(Uint8Array.from(this.#logits, (value) => (value > 0 ? 1 : 0)), width, height);
      const share = pages.reduce((sum, is) => sum + is, 0) / pages.length;
      this.#pages = share >= least_share ? pages : pages.fill(1);
    }
    this.#count += 1;
    return this.#pages;
  }

  async #look(picture, width, height) {
    const factor = long_side / Math.max(picture.width, picture.height);
    const side = (length) => Math.max(stride, round((length * factor) / stride) * stride);
    const map = await this.#network(resize(picture, side(picture.width), side(picture.height)));
    return regrid(map.data, map.width, linearWeights(map.width, width), linearWeights(map.height, height));
  }
}

/** Weighted means of single values on a grid; the weights say from where to where. */
export function regrid(values, width, columns, rows) {
  const result = new Float32Array(columns.length * rows.length);
  rows.forEach(({ first: top, shares: down }, row) => {
    const line = new Float32Array(width);
    down.forEach((share, step) => {
      for (let at = 0; at < width; at++) line[at] += share * values[(top + step) * width + at];
    });
    columns.forEach(({ first, shares }, column) => {
      result[row * columns.length + column] = shares.reduce((sum, share, step) => sum + share * line[first + step], 0);
    });
  });
  return result;
}

/** Connected pieces (of 8 neighbours) with at least `second_piece` of the largest one's area. */
function largePieces(mask, width, height) {
  const pieces = [];
  const left = Uint8Array.from(mask);
  for (let start = 0; start < left.length; start++) {
    if (!left[start]) continue;
    left[start] = 0;
    const piece = [start];
    for (let next = 0; next < piece.length; next++) {
      const [x, y] = [piece[next] % width, Math.floor(piece[next] / width)];
      for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, height - 1); row++) {
        for (let column = Math.max(x - 1, 0); column <= Math.min(x + 1, width - 1); column++) {
          const place = row * width + column;
          if (left[place]) {
            left[place] = 0;
            piece.push(place);
          }
        }
      }
    }
    pieces.push(piece);
  }
  const largest = Math.max(...pieces.map((piece) => piece.length));
  const result = new Uint8Array(mask.length);
  for (const piece of pieces.filter((one) => one.length >= second_piece * largest)) {
    for (const place of piece) result[place] = 1;
  }
  return result;
}

// What is measured of a frame to decide whether to keep it: as flipdetect/pipeline/capture_session.py, FrameMeter and
// PageFinder (flipdetect/stills) do, where it is explained.

import facts from "../generated/models.json" with { type: "json" };
import { quantile } from "./events.js";
import { linearWeights, overlap, resize, round } from "./preprocess.js";

const {
  side, hand, hand_border, coarse, still_noise, pages_side, closing, opening, second_piece, least_share, update_weight,
  darkest_paper, least_grey, least_energy,
} = facts.measures; // prettier-ignore

/** Measures the frames of one film, in order. */
export class FrameMeter {
  #paper = null;
  #before = null;

  /**
   * @param picture RGBA, upright.
   * @param hands `{data, width, height}`, probabilities of a hand over the whole frame; null if unknown.
   * @returns `{sharpness, motion, hands, paper}`, as LiveCapture takes them.
   */
  measure(picture, hands) {
    const full = scaled(picture, side);
    const small = scaled(scaled(full, 2 * pages_side), pages_side);
    const size = [small.width, small.height];
    const covered = hands ? covers(hands, size) : new Uint8Array(small.width * small.height);
    const near = dilate(covered, size, disc(round(hand_border * Math.max(...size))));
    const pages = this.#findPages(small, near);
    const free = pages.map((page, place) => page & ~near[place] & 1);
    return {
      sharpness: sharpness(full),
      motion: this.#motion(small, free.includes(1) ? free : pages),
      hands: mean(covered, pages),
      paper: paperShare(small),
    };
  }

  #findPages(small, hands) {
    const now = paperOf(small, hands);
    if (this.#paper?.length !== now.length) this.#paper = Float32Array.from(now);
    else now.forEach((is, place) => hands[place] || (this.#paper[place] += update_weight * (is - this.#paper[place])));
    const pages = hull(this.#paper.map((is) => is > 0.5), small.width, small.height);
    return pages.reduce((sum, is) => sum + is, 0) >= least_share * pages.length ? pages : pages.fill(1);
  }

  #motion(small, seen) {
    const grey = blur(greyOf(small), small.width, small.height, gaussian(0.7, 7));
    const before = this.#before;
    this.#before = { grey, seen };
    if (before?.grey.length !== grey.length) return null;
    let places = [...grey.keys()].filter((place) => seen[place] && before.seen[place]);
    if (!places.length) places = [...grey.keys()];
    const median = (values) => quantile(places.map((place) => values[place]), 0.5);
    const gain = (median(grey) + 1) / (median(before.grey) + 1);
    const change = (place) => Math.max(Math.abs(grey[place] - gain * before.grey[place]) - still_noise, 0);
    return Math.min(places.reduce((sum, place) => sum + change(place), 0) / places.length / 255, 1);
  }
}

/** The part of a map of the model's input that covers the frame: PreprocessSpec.unplace. */
export function unplace(map, spec, width, height) {
  if (spec.fit !== "letterbox") return map;
  const ratio = Math.min(spec.height / height, spec.width / width);
  const span = (size, room, cells) => {
    const [offset, , length] = overlap(Math.max(1, round(size * ratio)), room);
    const first = Math.min(round((offset * cells) / room), cells - 1);
    return [first, Math.max(first + 1, round(((offset + length) * cells) / room))];
  };
  const [top, bottom] = span(height, spec.height, map.height);
  const [left, right] = span(width, spec.width, map.width);
  const rows = Array.from({ length: bottom - top }, (_, row) => (top + row) * map.width);
  const data = Float32Array.from(rows.flatMap((start) => [...map.data.subarray(start + left, start + right)]));
  return { data, width: right - left, height: bottom - top };
}

function scaled(picture, side) {
  const factor = side / Math.max(picture.width, picture.height);
  return resize(picture, Math.max(1, round(picture.width * factor)), Math.max(1, round(picture.height * factor)));
}

function mean(values, where) {
  let [sum, count] = [0, 0];
  for (let place = 0; place < values.length; place++) {
    if (!where[place]) continue;
    sum += values[place];
    count += 1;
  }
  return sum / count;
}

function greyOf({ data }) {
  const grey = new Float32Array(data.length / 4);
  for (let place = 0, at = 0; place < grey.length; place++, at += 4) {
    grey[place] = Math.round(0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]);
  }
  return grey;
}

function gaussian(deviation, length) {
  const kernel = Array.from({ length }, (_, at) => Math.exp(-((at - (length - 1) / 2) ** 2) / (2 * deviation ** 2)));
  const sum = kernel.reduce((total, value) => total + value, 0);
  return kernel.map((value) => value / sum);
}

/** A place outside a line of `size` values is mirrored into it. */
function mirrored(place, size) {
  if (size === 1) return 0;
  return place < 0 ? -place : place >= size ? 2 * size - 2 - place : place;
}

/** Values blurred by a kernel of odd length, across and down. */
function blur(values, width, height, kernel) {
  const reach = (kernel.length - 1) / 2;
  const across = new Float32Array(values.length);
  const line = new Float32Array(width + 2 * reach);
  for (let row = 0; row < height; row++) {
    for (let at = -reach; at < width + reach; at++) line[at + reach] = values[row * width + mirrored(at, width)];
    for (let at = 0, to = row * width; at < width; at++, to++) {
      let sum = 0;
      for (let tap = 0; tap < kernel.length; tap++) sum += kernel[tap] * line[at + tap];
      across[to] = sum;
    }
  }
  const result = new Float32Array(values.length);
  for (let row = 0; row < height; row++) {
    const rows = Int32Array.from(kernel, (_, tap) => mirrored(row + tap - reach, height) * width);
    for (let at = 0, to = row * width; at < width; at++, to++) {
      let sum = 0;
      for (let tap = 0; tap < kernel.length; tap++) sum += kernel[tap] * across[rows[tap] + at];
      result[to] = sum;
    }
  }
  return result;
}

function rounded(values) {
  for (let place = 0; place < values.length; place++) values[place] = Math.round(values[place]);
  return values;
}

/** Mean squared gradient (Sobel's). */
function energy(grey, width, height) {
  let sum = 0;
  for (let row = 0; row < height; row++) {
    const above = mirrored(row - 1, height) * width;
    const here = row * width;
    const below = mirrored(row + 1, height) * width;
    for (let at = 0; at < width; at++) {
      const left = mirrored(at - 1, width);
      const right = mirrored(at + 1, width);
      const across =
        grey[above + right] - grey[above + left] + 2 * (grey[here + right] - grey[here + left]) + grey[below + right] - grey[below + left];
      const down =
        grey[below + left] - grey[above + left] + 2 * (grey[below + at] - grey[above + at]) + grey[below + right] - grey[above + right];
      sum += across * across + down * down;
    }
  }
  return sum / 64 / grey.length;
}

function sharpness(full) {
  const { width, height } = full;
  const grey = greyOf(full);
  const blurred = rounded(blur(grey, width, height, gaussian(coarse, 7)));
  return Math.max(energy(grey, width, height) / (energy(blurred, width, height) + least_energy) - 1, 0);
}

/** Share of the frame that is bright and nearly colourless. */
function paperShare({ data }) {
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    const darkest = Math.min(data[at], data[at + 1], data[at + 2]);
    const brightest = Math.max(data[at], data[at + 1], data[at + 2]);
    if (darkest >= darkest_paper && darkest >= least_grey * brightest) count += 1;
  }
  return count / (data.length / 4);
}

/** Weighted means of single values on a grid; the weights say from where to where. */
function regrid(values, width, columns, rows) {
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

/** Where a frame shows paper: the brighter of the two classes of its darkest channel, filled in, in large pieces. */
function paperOf({ data, width, height }, hands) {
  const dark = Float32Array.from({ length: width * height }, (_, at) =>
    Math.min(data[4 * at], data[4 * at + 1], data[4 * at + 2]),
  );
  const darkest = rounded(blur(dark, width, height, gaussian(1, 5)));
  const seen = darkest.filter((_, place) => !hands[place]);
  const threshold = otsu(seen.length ? seen : darkest);
  const bright = Uint8Array.from(darkest, (value, place) => (value > threshold && !hands[place] ? 1 : 0));
  const filled = shrunken(grown(bright, width, height, closing), width, height, closing);
  const whole = grown(shrunken(filled, width, height, opening), width, height, opening);
  return largePieces(whole, width, height);
}

/** N. Otsu, "A threshold selection method from gray-level histograms", 1979. */
function otsu(values) {
  const counts = new Float64Array(256);
  for (const value of values) counts[value] += 1 / values.length;
  const all = counts.reduce((sum, count, level) => sum + level * count, 0);
  let [best, threshold, share, sum] = [0, 0, 0, 0];
  for (let level = 0; level < 256; level++) {
    share += counts[level];
    sum += level * counts[level];
    if (Math.min(share, 1 - share) < 1e-7) continue;
    const between = share * (1 - share) * ((all - sum) / (1 - share) - sum / share) ** 2;
    if (between > best) [best, threshold] = [between, level];
  }
  return threshold;
}

/** Pixels with any of the mask in a square of that side around them. */
function grown(mask, width, height, side) {
  const reach = (side - 1) / 2;
  const pass = (from, length, stride, lines, lineStride) => {
    const result = new Uint8Array(from.length);
    for (let line = 0; line < lines; line++) {
      const start = line * lineStride;
      let last = -Infinity; // of the mask, so far
      for (let at = 0; at < length + reach; at++) {
        if (at < length && from[start + stride * at]) last = at;
        if (at >= reach && at - last < side) result[start + stride * (at - reach)] = 1;
      }
    }
    return result;
  };
  return pass(pass(mask, width, 1, height, width), height, width, width, 1);
}

/** Pixels with nothing but the mask in a square around them; what lies outside the picture does not count. */
function shrunken(mask, width, height, side) {
  const inverse = (values) => values.map((is) => 1 - is);
  return inverse(grown(inverse(mask), width, height, side));
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

/** The convex hull of a mask, filled (A. M. Andrew's monotone chain, 1979). */
function hull(mask, width, height) {
  const ends = []; // of each row: what lies between them is inside
  for (let y = 0; y < height; y++) {
    const row = mask.subarray(y * width, (y + 1) * width);
    const first = row.indexOf(1);
    if (first >= 0) ends.push([first, y], [row.lastIndexOf(1), y]);
  }
  const side = (sign) => {
    const chain = [];
    for (const point of ends.filter((_, place) => place % 2 === (sign > 0 ? 1 : 0))) {
      while (chain.length > 1) {
        const [[ax, ay], [bx, by]] = chain.slice(-2);
        if (sign * ((bx - ax) * (point[1] - ay) - (point[0] - ax) * (by - ay)) > 0) break;
        chain.pop();
      }
      chain.push(point);
    }
    return chain;
  };
  const result = new Uint8Array(mask.length);
  const [left, right] = [side(-1), side(1)];
  const at = (chain, y) => {
    const place = Math.max(chain.findLastIndex(([, top]) => top <= y), 0);
    const [[ax, ay], [bx, by]] = [chain[place], chain[Math.min(place + 1, chain.length - 1)]];
    return by === ay ? ax : ax + ((bx - ax) * (y - ay)) / (by - ay);
  };
  if (!ends.length) return result;
  for (let y = ends[0][1]; y <= ends.at(-1)[1]; y++) {
    result.fill(1, y * width + Math.round(at(left, y)), y * width + Math.round(at(right, y)) + 1);
  }
  return result;
}

function covers(hands, [width, height]) {
  const found = regrid(hands.data, hands.width, linearWeights(hands.width, width), linearWeights(hands.height, height));
  return Uint8Array.from(found, (value) => (value > hand ? 1 : 0));
}

/** Offsets `[x, y]` of a disc, as OpenCV's elliptic structuring element. */
function disc(radius) {
  const offsets = [];
  for (let y = -radius; y <= radius; y++) {
    const half = round(Math.sqrt(radius ** 2 - y ** 2));
    for (let x = -half; x <= half; x++) offsets.push([x, y]);
  }
  return offsets;
}

function dilate(mask, [width, height], offsets) {
  const result = new Uint8Array(mask.length);
  mask.forEach((is, place) => {
    if (!is) return;
    const [atX, atY] = [place % width, Math.floor(place / width)];
    for (const [x, y] of offsets) {
      const [column, row] = [atX + x, atY + y];
      if (column >= 0 && column < width && row >= 0 && row < height) result[row * width + column] = 1;
    }
  });
  return result;
}

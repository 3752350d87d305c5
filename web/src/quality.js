// What is measured of a frame to decide whether to keep it: as flipdetect/pipeline/capture_session.py and FrameMeter
// (flipdetect/stills) do, where it is explained.

import facts from "../generated/models.json" with { type: "json" };
import { quantile } from "./events.js";
import { PageFinder, regrid } from "./pages.js";
import { linearWeights, overlap, resize, round } from "./preprocess.js";

const { side, hand, hand_border, coarse, still_noise, pages_side, darkest_paper, least_grey, least_energy } = facts.measures;

/** Measures the frames of one film, in order. */
export class FrameMeter {
  #finder;
  #before = null;

  /** @param network as `loadPageNetwork` returns it. */
  constructor(network) {
    this.#finder = new PageFinder(network);
  }

  /**
   * @param picture RGBA, upright.
   * @param hands `{data, width, height}`, probabilities of a hand over the whole frame; null if unknown.
   * @returns `{sharpness, motion, hands, paper}`, as LiveCapture takes them.
   */
  async measure(picture, hands) {
    const full = scaled(picture, side);
    const small = scaled(scaled(full, 2 * pages_side), pages_side);
    const size = [small.width, small.height];
    const covered = hands ? covers(hands, size) : new Uint8Array(small.width * small.height);
    const near = dilate(covered, size, disc(round(hand_border * Math.max(...size))));
    const pages = await this.#finder.find(full, ...size);
    const free = pages.map((page, place) => page & ~near[place] & 1);
    return {
      sharpness: sharpness(full),
      motion: this.#motion(small, free.includes(1) ? free : pages),
      hands: mean(covered, pages),
      paper: paperShare(small),
    };
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

// From a frame to the model's input, as flipdetect/data/preprocess.py and resize_frame of flipdetect/inference/model.py
// do it. A canvas would resize in another way, and scores would differ.
//
// Pictures are `{data, width, height}` with RGBA bytes, like ImageData.

/** Shares of a pixel up to which a place that reaches into it leaves it out. */
const LEAST_SPLIT = 1e-3;

/** To the nearest integer, halves to the even one, as Python and OpenCV round. */
export function round(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 ? below + 1 : below;
}

/** Picture -> the model's input: Float32Array in order (channel, row, column). */
export function prepare(picture, spec) {
  return normalise(fit(picture, spec), spec);
}

/** How often a frame is halved before it is brought to the model's size. */
export function halvings(width, height, spec) {
  let times = 0;
  while (Math.min(Math.floor(height / spec.height), Math.floor(width / spec.width)) >= 4) {
    if (height % 2 || width % 2) break;
    [width, height] = [width / 2, height / 2];
    times += 1;
  }
  return times;
}

function fit(picture, spec) {
  for (let left = halvings(picture.width, picture.height, spec); left > 0; left--) {
    picture = resize(picture, picture.width / 2, picture.height / 2);
  }
  if (spec.fit === "stretch") return resize(picture, spec.width, spec.height);
  const ratios = [spec.height / picture.height, spec.width / picture.width];
  const ratio = spec.fit === "letterbox" ? Math.min(...ratios) : Math.max(...ratios);
  const size = (side) => Math.max(1, round(side * ratio));
  return centre(resize(picture, size(picture.width), size(picture.height)), spec);
}

/** Centred on the model's size: padded where it is smaller, cut where it is larger. */
function centre(picture, spec) {
  if (picture.width === spec.width && picture.height === spec.height) return picture;
  const data = new Uint8ClampedArray(4 * spec.width * spec.height);
  const padding = spec.mean.map((mean) => round(mean * 255));
  for (let place = 0; place < data.length; place += 4) {
    for (let channel = 0; channel < 3; channel++) data[place + channel] = padding[channel];
  }
  const [toX, fromX, columns] = overlap(picture.width, spec.width);
  const [toY, fromY, rows] = overlap(picture.height, spec.height);
  for (let row = 0; row < rows; row++) {
    const start = 4 * ((fromY + row) * picture.width + fromX);
    data.set(picture.data.subarray(start, start + 4 * columns), 4 * ((toY + row) * spec.width + toX));
  }
  return { data, width: spec.width, height: spec.height };
}

/** `[offset on the canvas, offset in the picture, length]` of a centred extent of `size` in `room` pixels. */
export function overlap(size, room) {
  const half = (difference) => Math.max(0, Math.floor(difference / 2));
  return [half(room - size), half(size - room), Math.min(size, room)];
}

/** Picture -> Float32Array in order (channel, row, column), with the mean and deviation of shares of 255 taken out. */
export function normalise({ data, width, height }, { mean, std }) {
  const area = width * height;
  const input = new Float32Array(3 * area);
  for (let channel = 0; channel < 3; channel++) {
    const scale = 1 / (std[channel] * 255);
    const levels = Float32Array.from({ length: 256 }, (_, level) => (level - mean[channel] * 255) * scale);
    for (let place = 0; place < area; place++) input[channel * area + place] = levels[data[4 * place + channel]];
  }
  return input;
}

/** Area averaging to shrink, bilinear to enlarge, with the roundings of OpenCV's INTER_AREA and INTER_LINEAR. */
export function resize(picture, width, height) {
  if (picture.width === width && picture.height === height) return picture;
  if (picture.width === 2 * width && picture.height === 2 * height) return halve(picture);
  if (width > picture.width || height > picture.height) return enlarge(picture, width, height);
  return shrink(picture, width, height);
}

function halve({ data, width: fromWidth }, width = fromWidth / 2, height = data.length / (16 * width)) {
  const result = new Uint8ClampedArray(4 * width * height);
  const below = 4 * fromWidth;
  for (let row = 0, to = 0; row < height; row++) {
    for (let from = 2 * row * below, end = from + below; from < end; from += 8, to += 4) {
      for (let channel = from; channel < from + 4; channel++) {
        const sum = data[channel] + data[channel + 4] + data[channel + below] + data[channel + below + 4];
        result[to + channel - from] = (sum + 2) >> 2;
      }
    }
  }
  return { data: result, width, height };
}

/** For each target place, the first source place and the weights of the places from there. */
function areaWeights(from, to) {
  const scale = from / to;
  return Array.from({ length: to }, (_, place) => {
    const start = place * scale;
    const end = start + scale;
    const cell = Math.min(scale, from - start);
    const last = Math.min(Math.floor(end), from - 1);
    const first = Math.min(Math.ceil(start), last);
    const shares = Array(last - first).fill(1 / cell);
    const isSplit = first - start > LEAST_SPLIT;
    if (isSplit) shares.unshift((first - start) / cell);
    if (end - last > LEAST_SPLIT) shares.push(Math.min(end - last, 1, cell) / cell);
    return { first: isSplit ? first - 1 : first, shares: Float32Array.from(shares) };
  });
}

export function linearWeights(from, to) {
  return Array.from({ length: to }, (_, place) => {
    const middle = Math.min(Math.max((place + 0.5) * (from / to) - 0.5, 0), from - 1);
    const first = Math.min(Math.floor(middle), Math.max(from - 2, 0));
    return { first, shares: from === 1 ? [1] : [1 - (middle - first), middle - first] };
  });
}

function shrink({ data, width: fromWidth, height: fromHeight }, width, height) {
  const columns = areaWeights(fromWidth, width);
  const result = new Uint8ClampedArray(4 * width * height);
  const line = new Float32Array(3 * width);
  const sums = new Float32Array(3 * width);
  areaWeights(fromHeight, height).forEach(({ first: top, shares: down }, row) => {
    sums.fill(0);
    down.forEach((share, step) => {
      line.fill(0);
      const start = 4 * (top + step) * fromWidth;
      for (let column = 0, to = 0; column < width; column++, to += 3) {
        const { first, shares } = columns[column];
        for (let place = 0, from = start + 4 * first; place < shares.length; place++, from += 4) {
          const weight = shares[place];
          line[to] += weight * data[from];
          line[to + 1] += weight * data[from + 1];
          line[to + 2] += weight * data[from + 2];
        }
      }
      for (let at = 0; at < sums.length; at++) sums[at] += share * line[at];
    });
    // A clamped array rounds by itself, halves to even.
    for (let column = 0, to = 4 * row * width; column < width; column++, to += 4) {
      for (let channel = 0; channel < 3; channel++) result[to + channel] = sums[3 * column + channel];
    }
  });
  return { data: result, width, height };
}

/** Weights are multiples of 1 / 2048. */
function enlarge({ data, width: fromWidth, height: fromHeight }, width, height) {
  const fixed = ({ first, shares }) => ({ first, shares: shares.map((share) => round(2048 * share)) });
  const columns = linearWeights(fromWidth, width).map(fixed);
  const rows = linearWeights(fromHeight, height).map(fixed);
  const result = new Uint8ClampedArray(4 * width * height);
  let to = 0;
  for (const { first: top, shares: down } of rows) {
    for (const { first, shares } of columns) {
      for (let channel = 0; channel < 4; channel++) {
        let sum = 2;
        down.forEach((share, step) => {
          const from = 4 * ((top + step) * fromWidth + first) + channel;
          const across = shares.reduce((total, weight, place) => total + weight * data[from + 4 * place], 0);
          sum += (share * (across >> 4)) >> 16;
        });
        result[to++] = sum >> 2;
      }
    }
  }
  return { data: result, width, height };
}

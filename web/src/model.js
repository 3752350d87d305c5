// The model in ONNX Runtime Web: frames in, probabilities of a turn out.

import * as ort from "onnxruntime-web/wasm";

import facts from "../generated/models.json" with { type: "json" };
import { normalise, prepare } from "./preprocess.js";
import { unplace } from "./quality.js";

/** Frames per second, preparation included, that suffice to find turns; slower models are passed over. */
const LEAST_RATE = 8;
const TRIALS = 3;
const MOST_THREADS = 4;

/** Loads the best model that this device runs fast enough, the fastest if none is; or the one with that name. */
export async function loadModel(name) {
  ort.env.wasm.wasmPaths = {
    mjs: new URL("ort-wasm-simd-threaded.mjs", self.location.href).href,
    wasm: new URL("ort-wasm-simd-threaded.wasm", self.location.href).href,
  };
  // Half of the cores: the camera, the picture on the screen and the measures need theirs.
  const threads = Math.min(Math.ceil(navigator.hardwareConcurrency / 2), MOST_THREADS);
  ort.env.wasm.numThreads = self.crossOriginIsolated ? threads : 1;
  ort.env.logLevel = "error";
  const known = facts.models.filter((each) => !name || each.name === name);
  if (!known.length) throw new Error(`there is no model ${name}; there are ${facts.models.map((each) => each.name)}`);
  let best = null;
  for (const each of known) {
    const model = new Model(each, await createSession(each.file));
    const milliseconds = await model.time();
    const [kept, dropped] = !best || milliseconds < best.milliseconds ? [{ model, milliseconds }, best] : [best, { model }];
    await dropped?.model.session.release();
    best = kept;
    if (milliseconds <= 1000 / LEAST_RATE) break;
  }
  return { ...best, threads: ort.env.wasm.numThreads };
}

/** The network that finds pages: picture (RGBA) -> `{data, width, height}`, logits of a page. */
export async function loadPageNetwork() {
  const session = await createSession(facts.pages.file);
  const levels = { mean: [0, 0, 0], std: [1 / 255, 1 / 255, 1 / 255] }; // it takes 0 to 255
  return async (picture) => {
    const input = normalise(picture, levels);
    const both = new Float32Array(2 * input.length);
    both.set(input);
    both.set(mirrored(input, picture.width), input.length);
    const { maps } = await session.run({ image: new ort.Tensor("float32", both, [2, 3, picture.height, picture.width]) });
    const [, channels, height, width] = maps.dims;
    const [area, second] = [height * width, channels * height * width];
    const other = mirrored(maps.data.subarray(second, second + area), width);
    return { data: maps.data.subarray(0, area).map((value, place) => (value + other[place]) / 2), width, height };
  };
}

/** Rows of `width` values, each from its end to its start. */
function mirrored(values, width) {
  const result = Float32Array.from(values);
  for (let start = 0; start < result.length; start += width) result.subarray(start, start + width).reverse();
  return result;
}

async function createSession(file) {
  const answer = await fetch(new URL(file, self.location.href));
  if (!answer.ok) throw new Error(`the model ${file} could not be loaded (${answer.status}); reload the page`);
  return ort.InferenceSession.create(await answer.arrayBuffer(), { executionProviders: ["wasm"] });
}

class Model {
  constructor(model, session) {
    this.facts = model;
    this.session = session;
  }

  /** Picture (RGBA) -> probability of a turn, and where hands are in the frame (null if the model does not know). */
  async score(picture) {
    const { preprocess, input, logits, hands } = this.facts;
    const shape = [1, preprocess.channels, preprocess.height, preprocess.width];
    const found = await this.session.run({ [input]: new ort.Tensor("float32", prepare(picture, preprocess), shape) });
    const probability = 1 / (1 + Math.exp(-found[logits].data[0]));
    if (!hands) return { probability, hands: null };
    const [, height, width] = found[hands].dims;
    const map = { data: found[hands].data, height, width };
    return { probability, hands: unplace(map, preprocess, picture.width, picture.height) };
  }

  /** Milliseconds for a frame, the fastest of a few. */
  async time() {
    const { height, width } = this.facts.preprocess;
    const picture = { data: new Uint8ClampedArray(16 * height * width), height: 2 * height, width: 2 * width };
    const times = [];
    await this.score(picture);
    for (let trial = 0; trial < TRIALS; trial++) {
      const start = performance.now();
      await this.score(picture);
      times.push(performance.now() - start);
    }
    return Math.min(...times);
  }
}

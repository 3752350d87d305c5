// Off the page's own thread: frames are scored and measured, and those that LiveCapture keeps become JPEG files.

import facts from "../generated/models.json" with { type: "json" };
import { HmmDetector } from "./events.js";
import { LiveCapture } from "./live.js";
import { loadModel, loadPageNetwork } from "./model.js";
import { halvings } from "./preprocess.js";
import { FrameMeter } from "./quality.js";

const JPEG_QUALITY = 0.92;

let model;
let pageNetwork;
let meter;
let capture;

const tasks = {
  async load({ name }) {
    const loaded = await loadModel(name);
    model = loaded.model;
    pageNetwork ??= await loadPageNetwork();
    return { model: model.facts.name, milliseconds: loaded.milliseconds, threads: loaded.threads };
  },

  /** A new scan, or a part of it, begins. */
  async start() {
    meter = new FrameMeter(pageNetwork);
    const { events, threshold } = model.facts;
    capture = new LiveCapture(new HmmDetector(events.hmm, events.least_peak), threshold, facts.capture);
  },

  /** A frame of the camera; `keep`: its picture is wanted whatever happens. */
  async frame({ time, bitmap, keep }) {
    const frame = await measured(halved(bitmap));
    const events = capture.push({ time, ...frame });
    const isKept = keep || events.some(({ kind }) => kind === "capture" || kind === "replace");
    const picture = isKept ? await encoded(bitmap) : null;
    bitmap.close();
    return { frame, events, picture, isCaptured: capture.isCaptured, isTurning: capture.detector.turning };
  },

  /** A single picture (ImageData), for tests. */
  async score({ picture }) {
    meter = new FrameMeter(pageNetwork);
    return measured(picture);
  },
};

async function measured(picture) {
  const { probability, hands } = await model.score(picture);
  return { probability, ...(await meter.measure(picture, hands)) };
}

const canvases = new Map();

/** The pixels of a bitmap, in the size to which it would be halved anyway: exact halves come out the same. */
function halved(bitmap) {
  const factor = 2 ** halvings(bitmap.width, bitmap.height, model.facts.preprocess);
  return drawn(bitmap, bitmap.width / factor, bitmap.height / factor).getImageData(
    0,
    0,
    bitmap.width / factor,
    bitmap.height / factor,
  );
}

function drawn(bitmap, width, height) {
  const key = `${width}x${height}`;
  if (!canvases.has(key)) {
    canvases.set(key, new OffscreenCanvas(width, height).getContext("2d", { alpha: false, willReadFrequently: true }));
  }
  const context = canvases.get(key);
  context.drawImage(bitmap, 0, 0, width, height);
  return context;
}

async function encoded(bitmap) {
  const { width, height } = bitmap;
  const { canvas } = drawn(bitmap, width, height);
  return { blob: await canvas.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY }), width, height };
}

onmessage = async ({ data: { id, task, ...values } }) => {
  try {
    postMessage({ id, result: await tasks[task](values) });
  } catch (error) {
    postMessage({ id, error: String(error?.message ?? error) });
  }
};

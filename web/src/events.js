// When pages were turned, from scores that come in one by one: the same detector as in flipdetect/events/hmm.py,
// where the method is explained. Both pass the sequences of tests/pipeline/live_sequences.json.

const PLATEAU = 0.5;
const ODDS_LIMIT = 12;
const BIN_S = 0.1;
const STEP_S = 0.002;
const BEAM = 45;
const TIDYING = 64;

export class DataError extends Error {}

/** Probability in [0, 1] -> log-odds, at most ODDS_LIMIT either way. */
export function logOdds(probability) {
  const odds = Math.log(probability) - Math.log1p(-probability);
  return Math.min(Math.max(odds, -ODDS_LIMIT), ODDS_LIMIT);
}

/** Scored frames in order of time, by a running index from 0; frames without a score have no index. */
class FrameHistory {
  #forgotten = 0;
  #seen = -Infinity;
  #frames = [];

  /** Index of the next frame. */
  get count() {
    return this.#forgotten + this.#frames.length;
  }

  get last() {
    return this.#frames.length ? this.#frames.at(-1).time : -Infinity;
  }

  time(index) {
    return this.#frames[index - this.#forgotten].time;
  }

  /** Takes in a frame, unless it has no score or the time stamp of the last scored one; says whether it did. */
  add(time, probability, frame) {
    if (!Number.isFinite(time)) throw new DataError(`frame ${frame} has the time stamp ${time}`);
    if (time < this.#seen) throw new DataError(`frame ${frame} is at ${time} s, after a frame at ${this.#seen} s`);
    this.#seen = time;
    if (probability === null || Number.isNaN(probability)) return false;
    if (!(probability >= 0 && probability <= 1)) throw new RangeError(`probability ${probability} at ${time} s`);
    if (time === this.last) return false;
    this.#frames.push({ time, probability, frame });
    return true;
  }

  /** The events of segments `[first, last]`; those that peak below `leastPeak` are left out. */
  events(segments, leastPeak, number) {
    const found = [];
    for (const [first, last] of segments) {
      const event = this.#event(number + found.length + 1, first, last);
      if (event.peak_probability >= leastPeak) found.push(event);
    }
    return found;
  }

  #event(number, first, last) {
    const frames = this.#frames.slice(first - this.#forgotten, last - this.#forgotten + 1);
    const odds = frames.map((one) => logOdds(one.probability));
    const highest = Math.max(...odds);
    const middle = (frames[0].time + frames.at(-1).time) / 2;
    let peak = null;
    frames.forEach((one, place) => {
      const isClear = odds[place] >= highest - PLATEAU;
      if (isClear && (!peak || Math.abs(one.time - middle) < Math.abs(peak.time - middle))) peak = one;
    });
    return {
      number,
      start_s: frames[0].time,
      peak_s: peak.time,
      end_s: frames.at(-1).time,
      start_frame: frames[0].frame,
      peak_frame: peak.frame,
      end_frame: frames.at(-1).frame,
      mean_probability: frames.reduce((sum, one) => sum + one.probability, 0) / frames.length,
      peak_probability: Math.max(...frames.map((one) => one.probability)),
    };
  }

  /** Lets go of frames whose index is below `before`, all but the last one. */
  forget(before) {
    const many = Math.min(before - this.#forgotten, this.#frames.length - 1);
    if (many > 0 && 2 * many >= this.#frames.length) {
      this.#frames.splice(0, many);
      this.#forgotten += many;
    }
  }
}

/** The resting level of the scores of the last `level_window_s` seconds. */
class RestLevel {
  #bins = [];
  #origin = 0;
  #open = null;

  constructor(parameters) {
    this.parameters = parameters;
    this.value = parameters.level;
  }

  add(time, odds) {
    if (!this.#open) this.#origin = time;
    const place = Math.floor((time - this.#origin) / BIN_S + 1e-6);
    if (this.#open?.place === place) {
      this.#open.sum += odds;
      this.#open.count += 1;
      return this.value;
    }
    if (this.#open) {
      this.#bins.push({ place: this.#open.place, mean: this.#open.sum / this.#open.count });
      const oldest = place - this.parameters.level_window_s / BIN_S;
      while (this.#bins.length && this.#bins[0].place < oldest) this.#bins.shift();
      this.value = this.#shrunken(this.#bins.map((bin) => bin.mean));
    }
    this.#open = { place, sum: odds, count: 1 };
    return this.value;
  }

  #shrunken(values) {
    const { level, level_offset, level_prior_s, level_quantile } = this.parameters;
    if (!values.length) return level;
    const found = quantile(values, level_quantile) + level_offset;
    const prior = level_prior_s / BIN_S;
    return (values.length * found + prior * level) / (values.length + prior);
  }
}

/** Linear between the values next to it, as numpy.quantile. */
export function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const place = share * (sorted.length - 1);
  const low = Math.floor(place);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (place - low) * (sorted[high] - sorted[low]);
}

function interpolate(x, xs, ys) {
  if (x <= xs[0]) return ys[0];
  if (x >= xs.at(-1)) return ys.at(-1);
  const high = xs.findIndex((value) => value > x);
  const low = high - 1;
  return ys[low] + ((ys[high] - ys[low]) / (xs[high] - xs[low])) * (x - xs[low]);
}

/** Logarithms of the density of a turn's duration, per second, and of the chance that it lasts longer. */
class Durations {
  constructor(parameters) {
    const { longest_s, duration_median_s, duration_spread, duration_outliers } = parameters;
    const count = Math.ceil((longest_s + STEP_S - STEP_S / 2) / STEP_S);
    const usual = Float64Array.from({ length: count }, (_, step) => {
      const seconds = STEP_S / 2 + step * STEP_S;
      const deviation = (Math.log(seconds) - Math.log(duration_median_s)) / duration_spread;
      return Math.exp(-(deviation ** 2) / 2) / seconds;
    });
    const whole = usual.reduce((sum, value) => sum + value, 0) * STEP_S;
    const density = usual.map((value) => (1 - duration_outliers) * (value / whole) + duration_outliers / (count * STEP_S));
    const longer = new Float64Array(count);
    for (let step = count - 1, sum = 0; step >= 0; step--) longer[step] = (sum += density[step]) * STEP_S;
    this.density = density.map((value) => Math.log(Math.max(value, 1e-300)));
    this.longer = longer.map((value) => Math.log(Math.max(value, 1e-300)));
  }

  logDensity(seconds) {
    return this.density[this.#place(seconds)];
  }

  logLonger(seconds) {
    return this.longer[this.#place(seconds)];
  }

  #place(seconds) {
    return Math.min(Math.trunc(seconds / STEP_S), this.density.length - 1);
  }
}

/** Takes in one frame at a time, and knows the most likely division into rests and turns at any moment. */
class SegmentDecoder {
  #last = null;
  #total = 0;
  #rest = { boundary: -Infinity, score: 0, path: null };
  #young = [];
  #turns = []; // that may be going on: {bound, score, first, past, standing}

  constructor(parameters, durations, first) {
    this.parameters = parameters;
    this.durations = durations;
    this.onset = Math.log(parameters.turns_per_second * parameters.correlation_s) + parameters.onset_bias;
    this.blur = Math.log(parameters.correlation_s);
    this.next = first;
  }

  step(time, evidence) {
    const { turns_per_second, duration_median_s } = this.parameters;
    const isStart = this.#last === null;
    const boundary = isStart ? time : (this.#last + time) / 2;
    const closed = this.#close(boundary);
    this.#mature(boundary);
    if (isStart) {
      const busy = turns_per_second * duration_median_s;
      this.#open(boundary, Math.log(busy / (1 + busy)));
    } else {
      this.#open(boundary, this.#rest.score + this.onset);
      this.#rest.score -= turns_per_second * (time - this.#last);
    }
    if (closed && closed.score > this.#rest.score - BEAM) this.#young.push(closed);
    this.#total += evidence;
    this.#last = time;
    this.next += 1;
    this.#prune(time);
  }

  #close(boundary) {
    let best = null;
    let score = -Infinity;
    for (const turn of this.#turns) {
      const ended = turn.score + this.durations.logDensity(boundary - turn.bound);
      if (ended > score) [best, score] = [turn, ended];
    }
    if (!best) return null;
    const path = { segment: [best.first, this.next - 1], before: best.past };
    return { boundary, score: score + this.#total + this.blur, path };
  }

  #mature(boundary) {
    while (this.#young.length && boundary - this.#young[0].boundary >= this.parameters.shortest_rest_s) {
      const rest = this.#young.shift();
      if (rest.score > this.#rest.score) this.#rest = rest;
    }
  }

  #open(bound, score) {
    this.#turns.push({ bound, score: score - this.#total, first: this.next, past: this.#rest.path, standing: 0 });
  }

  #prune(time) {
    let best = this.#bestRest().score;
    for (const turn of this.#turns) {
      turn.standing = turn.score + this.#total + this.durations.logLonger(time - turn.bound);
      best = Math.max(best, turn.standing);
    }
    const { longest_s } = this.parameters;
    this.#turns = this.#turns.filter((turn) => turn.standing > best - BEAM && time - turn.bound <= longest_s);
  }

  #bestRest() {
    return [this.#rest, ...this.#young].reduce((best, rest) => (rest.score > best.score ? rest : best));
  }

  /** `[the turns that have ended, the one going on or null]` of the most likely division. */
  segments() {
    const rest = this.#bestRest();
    let turn = null;
    for (const one of this.#turns) if (one.standing > (turn?.standing ?? -Infinity)) turn = one;
    const isTurning = turn !== null && turn.standing > rest.score;
    const ended = [];
    for (let path = isTurning ? turn.past : rest.path; path; path = path.before) ended.unshift(path.segment);
    return [ended, isTurning ? [turn.first, this.next - 1] : null];
  }

  /** Takes it for settled what there was up to the frame of index `last`. */
  commit(last) {
    const after = (path) =>
      !path || path.segment[0] <= last ? null : { segment: path.segment, before: after(path.before) };
    for (const rest of [this.#rest, ...this.#young]) rest.path = after(rest.path);
    this.#turns = this.#turns.filter((turn) => turn.first > last);
    for (const turn of this.#turns) turn.past = after(turn.past);
  }

  /** Index of the first frame that may still belong to a turn not taken out. */
  get oldest() {
    const paths = [this.#rest.path, ...this.#young.map((rest) => rest.path), ...this.#turns.map((turn) => turn.past)];
    const firsts = this.#turns.slice(0, 1).map((turn) => turn.first);
    for (let path of paths) {
      while (path?.before) path = path.before;
      if (path) firsts.push(path.segment[0]);
    }
    return Math.min(this.next, ...firsts);
  }
}

/** A hidden Markov model with explicit durations; reports a turn `lag_s` after its end. */
export class HmmDetector {
  #history = new FrameHistory();
  #decoder = null;
  #reported = 0;

  constructor(parameters, leastPeak = 0) {
    this.parameters = parameters;
    this.leastPeak = leastPeak;
    this.durations = new Durations(parameters);
    this.level = new RestLevel(parameters);
  }

  /** Takes in a frame; returns the turns that are certain by now. */
  push(time, probability, frame = null) {
    const { correlation_s, gap_s, lag_s } = this.parameters;
    let elapsed = time - this.#history.last;
    const added = this.#history.add(time, probability, frame);
    const events = elapsed > gap_s ? this.finish() : [];
    if (!added) return events;
    const odds = logOdds(probability);
    const level = this.level.add(time, odds);
    if (!this.#decoder) {
      this.#decoder = new SegmentDecoder(this.parameters, this.durations, this.#history.count - 1);
      elapsed = correlation_s;
    }
    this.#decoder.step(time, Math.min(1, elapsed / correlation_s) * this.#evidence(odds, level));
    events.push(...this.#report(time - lag_s));
    if (this.#history.count % TIDYING === 0) this.#history.forget(this.#decoder.oldest);
    return events;
  }

  /** Whether, as far as is known, a page is being turned at the last frame. */
  get turning() {
    return this.#decoder !== null && this.#decoder.segments()[1] !== null;
  }

  /** The turns not returned so far, one that is going on included. */
  finish() {
    if (!this.#decoder) return [];
    const [ended, current] = this.#decoder.segments();
    this.#decoder = null;
    return this.#events(current ? [...ended, current] : ended);
  }

  #evidence(odds, level) {
    const { level_share, level: usual, odds: xs, evidence } = this.parameters;
    return interpolate(odds - level_share * (level - usual), xs, evidence);
  }

  #report(until) {
    const ended = this.#decoder.segments()[0].filter(([, last]) => this.#history.time(last) <= until);
    if (ended.length) this.#decoder.commit(ended.at(-1)[1]);
    return this.#events(ended);
  }

  #events(segments) {
    const events = this.#history.events(segments, this.leastPeak, this.#reported);
    this.#reported += events.length;
    return events;
  }
}

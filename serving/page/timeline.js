/** The timeline of a video: its score over time, its candidates, and the shown moment. */

import { find, make, makeSvg } from "./dom.js";
import { formatScore, formatTime, speakTime } from "./format.js";

const NUM_TICKS = 5;
const LONG_S = 120; // longer videos start zoomed in on the moment
const MARGIN = 6; // width of the zoomed view, in lengths of the moment
const NUM_ROWS = 3; // of marks under the curve
const ROW_PX = 6;

/** Draws the timeline; `span_editor.js` edits the moment. */
export class Timeline {
  #element = find("timeline");
  #curve = find("curve");
  #track = find("track");
  #durationS = 0;
  #span = null;
  #data = null;
  #chosen = null;

  constructor() {
    this.fromS = 0;
    this.toS = 1;
  }

  get durationS() { return this.#durationS; }
  get isZoomable() { return this.#durationS > LONG_S && this.#span !== null; }
  get isWhole() { return this.fromS === 0 && this.toS === this.#durationS; }

  /** Show a video of this length and a moment of it, `null` for none. */
  show(durationS, moment) {
    this.#durationS = Math.max(durationS, 0.1);
    this.#span = moment && { startS: moment.start_s, endS: moment.end_s };
    this.#chosen = moment;
    this.#element.dataset.fixed = String(moment === null);
    this.zoom(!this.isZoomable);
  }

  /** Show the scores of a video and mark the candidates; `null` while they are unknown. */
  setScores(data) {
    this.#data = data;
    this.#drawCurve();
    this.#drawLane();
  }

  /** Show the whole video, or the moment with its surroundings. */
  zoom(isWhole) {
    const { startS, endS } = this.#span ?? { startS: 0, endS: 0 };
    const half = Math.max(LONG_S / 4, (MARGIN * (endS - startS)) / 2);
    const middle = Math.min(Math.max((startS + endS) / 2, half), Math.max(half, this.#durationS - half));
    this.fromS = isWhole ? 0 : middle - half;
    this.toS = isWhole ? this.#durationS : Math.min(this.#durationS, middle + half);
    this.#drawTicks();
    this.#drawCurve();
    this.#drawLane();
    if (this.#span) this.setSpan(this.#span.startS, this.#span.endS);
  }

  /** Move the ends of the moment. */
  setSpan(startS, endS) {
    this.#span = { startS, endS };
    const band = find("band").style;
    band.left = this.#percent(startS);
    band.width = `${100 * (this.#share(endS) - this.#share(startS))}%`;
    this.#placeHandle(find("handle-start"), startS, 0, endS);
    this.#placeHandle(find("handle-end"), endS, startS, this.#durationS);
  }

  setPlayhead(timeS) {
    find("playhead").style.left = this.#percent(timeS);
  }

  /** Return the time at a horizontal position of the screen. */
  tellTime(clientX) {
    const box = this.#track.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (clientX - box.left) / box.width));
    return this.fromS + share * (this.toS - this.fromS);
  }

  /** Show time and score beside the pointer, `null` to hide them. */
  showReadout(timeS) {
    const readout = find("readout");
    readout.textContent = timeS === null ? "" : this.#describe(timeS);
    if (timeS !== null) readout.style.left = `clamp(52px, ${this.#percent(timeS)}, calc(100% - 52px))`;
  }

  #describe(timeS) {
    const score = this.#findScore(timeS);
    return score === null ? formatTime(timeS) : `${formatTime(timeS)} · ${formatScore(score)}`;
  }

  #findScore(timeS) {
    const times = this.#data?.times_s ?? [];
    if (!times.length) return null;
    const nearest = times.reduce((best, time, index) => (Math.abs(time - timeS) < Math.abs(times[best] - timeS) ? index : best), 0);
    return this.#data.scores[nearest];
  }

  #placeHandle(handle, value, least, most) {
    handle.style.left = this.#percent(value);
    handle.setAttribute("aria-valuemin", least.toFixed(1));
    handle.setAttribute("aria-valuemax", most.toFixed(1));
    handle.setAttribute("aria-valuenow", value.toFixed(1));
    handle.setAttribute("aria-valuetext", speakTime(value));
  }

  #drawCurve() {
    const { times_s: times = [], scores = [] } = this.#data ?? {};
    this.#curve.replaceChildren();
    this.#curve.setAttribute("aria-label", this.#summarize(times, scores));
    if (!times.length) return;
    const [low, high] = [Math.min(0, ...scores), Math.max(1, ...scores)]; // the fixed range keeps low scores low
    const height = (score) => 100 - (100 * (score - low)) / (high - low);
    const points = times.map((time, index) => `${(1000 * this.#share(time)).toFixed(2)} ${height(scores[index]).toFixed(2)}`);
    const [first, last] = [1000 * this.#share(times[0]), 1000 * this.#share(times.at(-1))];
    this.#curve.append(
      makeSvg("path", { class: "area", d: `M${first} 100L${points.join("L")}L${last} 100Z` }),
      makeSvg("path", { class: "line", d: `M${points.join("L")}` }),
    );
  }

  #summarize(times, scores) {
    if (!times.length) return "The score over time";
    const best = scores.indexOf(Math.max(...scores));
    return `The score over time; highest, ${formatScore(scores[best])}, at ${speakTime(times[best])}`;
  }

  #drawLane() {
    const candidates = this.#data?.candidates ?? [];
    const ends = Array(NUM_ROWS).fill(-Infinity); // of the last mark in each row
    const marks = [...candidates].sort((one, other) => one.start_s - other.start_s).map((candidate) => {
      const row = Math.max(0, ends.findIndex((endS) => endS <= candidate.start_s));
      ends[row] = Math.max(ends[row], candidate.end_s);
      return this.#makeMark(candidate, row);
    });
    find("lane").replaceChildren(...marks);
  }

  #makeMark(candidate, row) {
    const mark = make("i", { "data-chosen": String(candidate === this.#chosen) });
    mark.style.top = `${2 + ROW_PX * row}px`;
    mark.style.left = this.#percent(candidate.start_s);
    mark.style.width = `${100 * (this.#share(candidate.end_s) - this.#share(candidate.start_s))}%`;
    return mark;
  }

  #drawTicks() {
    const ticks = Array.from({ length: NUM_TICKS }, (_, index) => {
      const timeS = this.fromS + ((this.toS - this.fromS) * index) / (NUM_TICKS - 1);
      const tick = make("span", { text: formatTime(timeS).replace(/\.\d$/, this.toS - this.fromS < 20 ? "$&" : "") });
      tick.style.left = this.#percent(timeS);
      return tick;
    });
    find("ticks").replaceChildren(...ticks);
  }

  #share(timeS) {
    return (timeS - this.fromS) / (this.toS - this.fromS);
  }

  #percent(timeS) {
    return `${(100 * this.#share(timeS)).toFixed(3)}%`;
  }
}

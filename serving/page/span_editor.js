/** Changes the ends of the moment on the timeline: by dragging, by keys, or by drawing a new moment. */

import { find } from "./dom.js";

const MIN_LENGTH_S = 0.2;
const STEP_S = 0.1;
const DRAG_PX = 5; // a shorter drag is a click

/** Fires `change` with {startS, endS, edgeS} during a change, and `seek` with {timeS} on a click. */
export class SpanEditor extends EventTarget {
  #timeline;
  #startS = 0;
  #endS = 0;
  #isOn = false;
  #drag = null;

  constructor(timeline) {
    super();
    this.#timeline = timeline;
    const track = find("track");
    track.addEventListener("pointerdown", (event) => this.#grab(event));
    track.addEventListener("pointermove", (event) => this.#move(event));
    track.addEventListener("pointerup", (event) => this.#drop(event));
    track.addEventListener("pointercancel", () => this.#cancel());
    track.addEventListener("pointerleave", () => this.#timeline.showReadout(null));
    find("handle-start").addEventListener("keydown", (event) => this.#press(event, "start"));
    find("handle-end").addEventListener("keydown", (event) => this.#press(event, "end"));
  }

  /** Edit this moment; `null` for a video without one, which allows only seeking. */
  edit(moment) {
    this.#isOn = moment !== null;
    [this.#startS, this.#endS] = moment ? [moment.start_s, moment.end_s] : [0, 0];
    this.#drag = null;
  }

  #grab(event) {
    if (event.button !== 0) return;
    const timeS = this.#timeline.tellTime(event.clientX);
    const edge = { "handle-start": "start", "handle-end": "end" }[event.target.id] ?? null;
    this.#drag = { edge, anchorS: timeS, fromX: event.clientX, hasMoved: false, before: [this.#startS, this.#endS] };
    find("track").setPointerCapture(event.pointerId);
    if (edge) event.target.focus({ preventScroll: true });
    event.preventDefault();
  }

  #move(event) {
    const timeS = this.#timeline.tellTime(event.clientX);
    this.#timeline.showReadout(timeS);
    if (!this.#drag) return;
    this.#drag.hasMoved ||= Math.abs(event.clientX - this.#drag.fromX) > DRAG_PX;
    if (!this.#drag.hasMoved || !this.#isOn) return;
    if (this.#drag.edge) this.#pull(this.#drag.edge, timeS);
    else this.#draw(this.#drag.anchorS, timeS);
  }

  #drop(event) {
    const drag = this.#drag;
    this.#drag = null;
    if (event.pointerType !== "mouse") this.#timeline.showReadout(null);
    if (drag && !drag.edge && (!drag.hasMoved || !this.#isOn)) this.#fire("seek", { timeS: this.#timeline.tellTime(event.clientX) });
  }

  #cancel() {
    const drag = this.#drag;
    this.#drag = null;
    this.#timeline.showReadout(null);
    if (drag?.hasMoved && this.#isOn) this.#set(...drag.before, drag.before[0]); // a touch that turned out to scroll the page
  }

  #press(event, edge) {
    const durationS = this.#timeline.durationS;
    const step = event.shiftKey ? 10 * STEP_S : STEP_S;
    const now = edge === "start" ? this.#startS : this.#endS;
    const target = {
      ArrowLeft: now - step, ArrowDown: now - step, ArrowRight: now + step, ArrowUp: now + step,
      PageDown: now - 10 * STEP_S, PageUp: now + 10 * STEP_S, Home: 0, End: durationS,
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.#pull(edge, target);
  }

  #pull(edge, timeS) {
    if (edge === "start") {
      const startS = snap(Math.min(Math.max(timeS, 0), this.#endS - MIN_LENGTH_S));
      return this.#set(Math.max(0, startS), this.#endS, startS);
    }
    const endS = Math.min(this.#timeline.durationS, snap(Math.max(timeS, this.#startS + MIN_LENGTH_S)));
    return this.#set(this.#startS, endS, endS);
  }

  #draw(anchorS, timeS) {
    const startS = snap(Math.min(anchorS, timeS));
    const endS = Math.min(this.#timeline.durationS, Math.max(snap(Math.max(anchorS, timeS)), startS + MIN_LENGTH_S));
    if (endS - startS >= MIN_LENGTH_S - 1e-6) this.#set(startS, endS, timeS < anchorS ? startS : endS);
  }

  #set(startS, endS, edgeS) {
    [this.#startS, this.#endS] = [startS, endS];
    this.#timeline.setSpan(startS, endS);
    this.#fire("change", { startS, endS, edgeS });
  }

  #fire(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

function snap(seconds) {
  return Math.round(seconds / STEP_S) * STEP_S;
}

/** Feedback of a visitor on a moment: right, wrong or corrected. */

import { request } from "./api.js";
import { find } from "./dom.js";
import { formatSpan } from "./format.js";

const THANKS = { right: "Thank you. Saved as right.", wrong: "Thank you. Saved as wrong.", corrected: "Thank you. Your correction is saved." };

/** Fires `reset` when a correction is undone. */
export class Feedback extends EventTarget {
  #subject = null;
  #correction = null;
  #isSending = false;

  constructor() {
    super();
    for (const verdict of ["right", "wrong", "corrected"]) {
      find(`verdict-${verdict}`).addEventListener("click", () => this.#send(verdict));
    }
    find("refine-reset").addEventListener("click", () => this.dispatchEvent(new Event("reset")));
  }

  /** Ask for feedback on a moment of an answer; hide the question if `moment` is `null`. */
  ask(moment, { query, answerId }) {
    this.#subject = moment && query ? { moment, query, answerId } : null;
    find("feedback").hidden = this.#subject === null;
    this.#press(null);
    this.correct(null);
    this.#note("");
  }

  /** Offer to send a corrected span; `null` withdraws the offer. */
  correct(span) {
    this.#correction = span;
    find("verdict-corrected").hidden = find("refine-reset").hidden = span === null;
    find("verdict-right").hidden = find("verdict-wrong").hidden = span !== null;
    find("feedback-label").textContent = span ? `Corrected to ${formatSpan(span.startS, span.endS)}` : "Is this the moment?";
    find("verdict-corrected").disabled = false;
    if (span) this.#note("");
  }

  get hasCorrection() { return this.#correction !== null; }

  async #send(verdict) {
    const subject = this.#subject;
    if (!subject || this.#isSending) return;
    this.#isSending = true;
    try {
      await request("feedback", { method: "POST", body: this.#describe(verdict) });
      if (subject === this.#subject) this.#thank(verdict);
    } catch (error) {
      if (subject === this.#subject) this.#note(`Not sent: ${error.message}`, true);
    } finally {
      this.#isSending = false;
    }
  }

  #describe(verdict) {
    const { moment, query, answerId } = this.#subject;
    const body = { query, video_id: moment.video_id, start_s: moment.start_s, end_s: moment.end_s, verdict };
    if (answerId) body.answer_id = answerId;
    if (verdict !== "corrected") return body;
    return { ...body, corrected_start_s: this.#correction.startS, corrected_end_s: this.#correction.endS };
  }

  #thank(verdict) {
    this.#press(verdict);
    find("verdict-corrected").disabled = verdict === "corrected";
    this.#note(THANKS[verdict]);
  }

  #press(chosen) {
    for (const verdict of ["right", "wrong"]) {
      find(`verdict-${verdict}`).setAttribute("aria-pressed", String(verdict === chosen));
    }
  }

  #note(text, isProblem = false) {
    const note = find("feedback-note");
    note.textContent = text;
    note.dataset.problem = String(isProblem);
  }
}

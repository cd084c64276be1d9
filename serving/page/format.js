/** Formats of times, shares and counts. */

/** Return a time in a video as m:ss.s, or h:mm:ss.s from an hour on. */
export function formatTime(seconds) {
  const tenths = Math.max(0, Math.round(seconds * 10));
  const [hours, minutes] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60];
  const rest = ((tenths % 600) / 10).toFixed(1).padStart(4, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** Return the start and end of a moment. */
export function formatSpan(startS, endS) {
  return `${formatTime(startS)} – ${formatTime(endS)}`;
}

/** Return a length without tenths of a second. */
export function formatLength(seconds) {
  return formatTime(Math.round(seconds)).replace(/\.\d$/, "");
}

/** Return a time in words for screen readers. */
export function speakTime(seconds) {
  const minutes = Math.floor(seconds / 60);
  const rest = `${(seconds - 60 * minutes).toFixed(1)} seconds`;
  return minutes ? `${formatCount(minutes, "minute")} ${rest}` : rest;
}

/** Return a confidence in [0, 1] as a percentage that never claims certainty. */
export function formatConfidence(confidence) {
  const percent = Math.round(confidence * 100);
  if (percent >= 100) return "> 99 %";
  return percent < 1 ? "< 1 %" : `${percent} %`;
}

/** Return a score with two decimals. */
export function formatScore(score) {
  return score.toFixed(2);
}

/** Return a number with its noun in the right form. */
export function formatCount(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Return how long an answer took. */
export function formatTook(milliseconds) {
  return milliseconds < 1000 ? `${Math.max(1, Math.round(milliseconds))} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

/** Searches, with a cache of the latest timelines. */

import { request } from "./api.js";

const TOP_K = 8;
const MAX_KEPT = 40;
const timelines = new Map();

/** Return the answer to a sentence: of one video with its timeline, or of the whole collection. */
export async function ask({ query, scope }, signal) {
  if (scope === null) return request("search", { method: "POST", body: { query, top_k: TOP_K }, signal });
  const answer = await request("localize", { method: "POST", body: { query, video_id: scope, top_k: TOP_K }, signal });
  keep(nameTimeline(query, scope), answer.timeline);
  return answer;
}

/** Return the score of a sentence over the time of a video. */
export async function loadTimeline(query, videoId, signal) {
  const name = nameTimeline(query, videoId);
  if (!timelines.has(name)) {
    const body = { query, video_id: videoId, top_k: TOP_K };
    keep(name, (await request("localize", { method: "POST", body, signal })).timeline);
  }
  return timelines.get(name);
}

function nameTimeline(query, videoId) {
  return JSON.stringify([query, videoId]);
}

function keep(name, timeline) {
  timelines.set(name, timeline);
  if (timelines.size > MAX_KEPT) timelines.delete(timelines.keys().next().value);
}

/** Videos of the service, with a cache. */

import { request } from "./api.js";

const known = new Map();

/** Return a part of the videos whose title or id contains `text`, uploads first, and their total number. */
export async function listVideos({ offset, limit, text, signal }) {
  const values = new URLSearchParams({ offset, limit, ...(text ? { search: text } : {}) });
  const answer = await request(`videos?${values}`, { signal });
  for (const video of answer.videos) known.set(video.video_id, video);
  return answer;
}

/** Return the current state of a video. */
export async function checkVideo(videoId, signal) {
  const video = await request(`videos/${encodeURIComponent(videoId)}`, { signal });
  known.set(videoId, video);
  return video;
}

/** Return a video, from the cache if it is ready there. */
export async function describeVideo(videoId, signal) {
  const video = known.get(videoId);
  return video?.state === "ready" ? video : checkVideo(videoId, signal);
}

/** Delete a video: an upload is erased, a video of the collection is removed from the search. */
export async function deleteVideo(videoId) {
  await request(`videos/${encodeURIComponent(videoId)}`, { method: "DELETE" });
  known.delete(videoId);
}

// What an operator does with a video. What viewers notice is confirmed first.
import {call} from "./api.js";
import {announce, button, confirmed, element} from "./dom.js";
import {say} from "./words.js";

const PROCESS = video => call(`/${video.id}/process`, {method: "POST", body: {request_id: crypto.randomUUID()}});
const CANCEL = video => call(`/${video.id}/cancel`, {method: "POST", body: {}});
// The API does not return deleted videos, except in lists.
const DELETE = async video => {
  await call(`/${video.id}`, {method: "DELETE"});
  return {...video, delete_time: new Date().toISOString()};
};
const UNDELETE = video => call(`/${video.id}:undelete`, {method: "POST", body: {}});

// By status: [words, call, whether to ask].
const OFFERED = {
  STATUS_PENDING_UPLOAD: [["act.start", PROCESS], ["act.delete", DELETE, true]],
  STATUS_PROCESSING: [["act.cancel", CANCEL, true], ["act.delete", DELETE, true]],
  STATUS_READY: [["act.encode", PROCESS, true], ["act.delete", DELETE, true]],
  STATUS_FAILED: [["failed.again", PROCESS], ["act.delete", DELETE, true]],
  STATUS_CANCELLED: [["act.start", PROCESS], ["act.delete", DELETE, true]],
};

// `changed` is called with the new state of the video.
export function actions(video, changed) {
  const offered = video.delete_time ? [["act.undelete", UNDELETE]] : OFFERED[video.status] ?? [];
  return element("div", {class: "row", role: "group", "aria-label": say("act.title")}, offered.map(each => made(each, video, changed)));
}

function made([words, act, asks], video, changed) {
  return button(say(words), async event => {
    const pressed = event.currentTarget;
    if (asks && !await confirmed(say(`${words}.sure`, {title: video.title}), say("yes"), say("no"))) return;
    pressed.disabled = true;
    try {
      const state = await act(video);
      announce(act === DELETE ? say("act.deleted", {title: video.title}) : say("act.done"));
      await changed(state);
    } finally {
      pressed.disabled = false;
    }
  });
}

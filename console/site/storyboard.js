// A strip of pictures of the film, from the storyboard: WebVTT whose cues name a rectangle of a sheet.
import {element} from "./dom.js";
import {clock} from "./format.js";
import {say} from "./words.js";

const CUE = /^(?:(\d+):)?(\d\d):(\d\d(?:\.\d+)?) --> .*\n(.+)#xywh=(\d+),(\d+),(\d+),(\d+)$/gm;
const MOST = 40;

export function cues(text) {
  return Array.from(text.replaceAll("\r", "").matchAll(CUE), ([, hours, minutes, seconds, sheet, ...box]) =>
    ({time: (hours ?? 0) * 3600 + minutes * 60 + Number(seconds), sheet, box: box.map(Number)}));
}

// Returns buttons that make the video go to their pictures, or null without a storyboard.
export async function strip(url, video, signal) {
  const reply = await fetch(url, {signal});
  if (!reply.ok) return null;
  const found = cues(await reply.text()), step = Math.ceil(found.length / MOST);
  const shown = found.filter((_, at) => at % step === 0).map(cue => picture(new URL(cue.sheet, url).href, cue, video));
  return shown.length ? element("div", {class: "strip", role: "group", "aria-label": say("strip.label")}, shown) : null;
}

function picture(sheet, {time, box: [x, y, width, height]}, video) {
  const made = element("button", {type: "button", "aria-label": say("strip.go", {time: clock(time)}), onclick: () => { video.currentTime = time; }});
  // Properties of the object, which a policy without inline styles allows.
  Object.assign(made.style, {inlineSize: `${width}px`, blockSize: `${height}px`, backgroundImage: `url("${sheet}")`, backgroundPosition: `-${x}px -${y}px`});
  return made;
}

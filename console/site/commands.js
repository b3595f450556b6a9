// Lines for a terminal that do what the page does.
import {config} from "./api.js";
import {announce, button, element} from "./dom.js";
import {bearer} from "./session.js";
import {say} from "./words.js";

export function commands(video) {
  const {protocol, host} = new URL(config.api), plain = protocol === "http:" ? " -plaintext" : "";
  const token = bearer() ? ` -H "authorization: Bearer $TOKEN"` : "", path = `${config.api}/v1/videos/${video.id}`;
  const grpc = method => `grpcurl${plain}${token} -d '{"id":"${video.id}"}' ${host} gostream.v1.VideoService/${method}`;
  const lines = [["copy.get", `curl${token} ${path}`], ["copy.get", grpc("GetVideo")], ["copy.watch", `curl -N${token} ${path}:watch`], ["copy.watch", grpc("WatchVideo")]];
  if (video.playback_url) lines.push(["copy.play", `ffplay ${video.playback_url}`]);
  return element("section", {"aria-labelledby": "lines"}, element("h3", {id: "lines"}, say("copy.title")),
    bearer() && element("p", {class: "quiet"}, say("copy.hint")), lines.map(([name, text]) => line(say(name), text)));
}

function line(name, text) {
  const copy = async () => { await navigator.clipboard.writeText(text); announce(say("copy.done")); };
  return element("div", {class: "row"}, element("pre", {tabindex: 0, role: "group", "aria-label": name}, text),
    button(say("copy.button"), copy, {"aria-label": say("copy.name", {name: `${name}, ${text.split(" ")[0]}`})}));
}

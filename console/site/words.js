// All words of the page. Another language is another object with the same keys.

const en = {
  title: "GoStream console",
  videos: "Videos", upload: "Upload", token: "Token",
  loading: "Loading …", none: "No videos.", next: "Next page", first: "First page",
  "col.title": "Title", "col.status": "Status", "col.length": "Length", "col.created": "Created",
  "filter.status": "Status", "filter.title": "Title contains", "filter.any": "Any", "filter.apply": "Filter", "filter.deleted": "Deleted too",
  "STATUS_PENDING_UPLOAD": "Waiting for the file", "STATUS_PROCESSING": "Processing", "STATUS_READY": "Ready",
  "STATUS_FAILED": "Failed", "STATUS_CANCELLED": "Cancelled", deleted: "Deleted on {date}",
  "error.unreachable": "The API at {api} does not answer. Is it running, and does EDGE_CORS_ORIGINS of the JSON edge have {page}?",
  "error.api": "{message} ({reason})", again: "Load again",
  "token.wanted": "The API wants a token.", "token.expired": "The token expired on {date}. Give a new one to go on.",
  "token.refused": "The API does not accept the token. Give a new one to go on.",
  "token.label": "Token (JWT)", "token.use": "Use", "token.forget": "Forget the token", "token.login": "Sign in at {issuer}",
  "token.hint": "The token stays in the memory of this page. A reload forgets it.",
  "token.none": "No token is in use.", "token.until": "A token is in use until {date}.", "token.inUse": "A token is in use.", "token.close": "Later",
  "login.failed": "The sign-in failed: {message}",
  "up.files": "Video or sound files", "up.start": "Upload", "up.waiting": "Waiting", "up.sending": "{percent} of {size}",
  "up.progress": "Upload of {name}", "up.encoding": "Sent. The server is processing it.", "up.open": "Open {name}", "up.stopped": "Stopped",
  "up.stop": "Stop", "up.failed": "Failed: {message}", "up.continue": "Continue", "up.unfinished": "Unfinished uploads",
  "up.unfinished.hint": "Choose the same file again to go on where the upload ended.", "up.choose": "Choose {name} again",
  "up.other": "This is another file: {name} has {size}.", "up.discard": "Discard", "up.discard.sure": "Discard the upload of {name}? What was sent is deleted.",
  "video.back": "All videos", "video.progress": "Progress", "video.stage": "{stage}, {percent}", "video.eta": "ready {eta}", "video.attempt": "attempt {number}",
  "video.waiting": "The file has not arrived yet.", "video.cancelled": "The encode was cancelled.",
  "fact.id": "Id", "fact.length": "Length", "fact.size": "Picture", "fact.source": "Source", "fact.owner": "Owner", "fact.created": "Created",
  "fact.renditions": "Renditions", "fact.loudness": "Loudness", "fact.policy": "Playback", "fact.labels": "Labels", "fact.external": "External id", "fact.expires": "Expires",
  "lufs": "{lufs} LUFS, peak {peak} dBTP",
  "PLAYBACK_POLICY_PUBLIC": "public", "PLAYBACK_POLICY_SIGNED": "signed URLs only", "PLAYBACK_POLICY_OFF": "off",
  "play.off": "Playback of this video is off.", "play.failed": "The stream cannot be played: {details}.", "play.region": "Player",
  "play.sound": "Sound", "play.captions": "Captions", "play.captions.off": "Off", "play.forced": "{name} (forced)", "play.unnamed": "Track {number}",
  "strip.label": "Storyboard", "strip.go": "Go to {time}",
  "failed.title": "Why it failed", "failed.code": "Code", "failed.stage": "Stage", "failed.retry": "Trying again can succeed.",
  "failed.final": "Trying again with the same file fails again. Upload another file, or one that is mended.", "failed.again": "Try again",
  "act.title": "Actions", "act.encode": "Encode again", "act.encode.sure": "Encode {title} again? Viewers keep the present stream until the new one is ready.",
  "act.start": "Start the encode", "act.cancel": "Cancel the encode", "act.cancel.sure": "Cancel the encode of {title}?",
  "act.delete": "Delete", "act.delete.sure": "Delete {title}? Viewers lose it at once. It can be undeleted until its retention ends.",
  "act.undelete": "Undelete", "act.done": "Done.", "act.deleted": "{title} is deleted.", yes: "Yes", no: "No",
  "tracks.title": "Tracks", "tracks.none": "No tracks are known.", "tracks.kind": "Kind", "tracks.language": "Language", "tracks.name": "Name", "tracks.marks": "Marks",
  "tracks.state": "State", "tracks.actions": "Actions",
  "KIND_AUDIO": "Sound", "KIND_SUBTITLES": "Captions", "KIND_CHAPTERS": "Chapters", "KIND_VIDEO": "Picture",
  "STATE_PREPARING": "Preparing", "STATE_READY": "Ready", "STATE_FAILED": "Failed", "STATE_SKIPPED": "Left out",
  "mark.default": "default", "mark.forced": "forced", "mark.sdh": "for the deaf", "mark.added": "added",
  "tracks.add": "Add captions", "tracks.file": "File (.srt, .vtt, .ass)", "tracks.tag": "Language (en, de, pt-BR)", "tracks.remove": "Remove",
  "tracks.remove.name": "Remove {name}", "tracks.remove.sure": "Remove the captions {name}?", "tracks.sent": "The captions are sent. A worker puts them into the playlists.",
  "tracks.store": "the store answered {status}",
  webhooks: "Webhooks", "hooks.url": "URL (https)", "hooks.types": "Types (video.ready, video.failed; none: all)", "hooks.add": "Add", "hooks.none": "No webhooks.",
  "hooks.col.url": "URL", "hooks.col.types": "Types", "hooks.col.state": "State", "hooks.col.created": "Created", "hooks.all": "all", "hooks.on": "in use", "hooks.off": "disabled: {reason}",
  "hooks.secret": "The secret of {url}, shown once: {secret}", "hooks.test": "Send a test", "hooks.tested": "A test is on its way.", "hooks.enable": "Use it again",
  "hooks.rotate": "New secret", "hooks.rotate.sure": "Make a new secret? Both are valid for a while.", "hooks.remove": "Remove", "hooks.remove.sure": "Remove the webhook {url}?",
  "hooks.again": "Deliver again", "hooks.again.name": "Deliver {type} again", "hooks.count": "Deliveries: {count}", "hooks.back": "All webhooks",
  "deliveries.title": "Deliveries", "deliveries.none": "No deliveries.", "deliveries.col.type": "Event", "deliveries.col.state": "State", "deliveries.col.attempt": "Tries",
  "deliveries.col.answer": "Answer", "deliveries.col.created": "Created", "deliveries.col.next": "Next try", "deliveries.col.again": "Actions",
  "STATE_PENDING": "Waiting", "STATE_DELIVERED": "Delivered", "STATE_DEAD": "Given up",
  "copy.title": "Command lines", "copy.get": "Get the video", "copy.watch": "Follow it", "copy.play": "Play it", "copy.button": "Copy", "copy.name": "Copy: {name}", "copy.done": "Copied.",
  "copy.hint": "TOKEN in the environment is your token.",
};

const WORDS = {en};
const RIGHT_TO_LEFT = new Set(["ar", "fa", "he", "ur"]);

export const LANGUAGE = navigator.languages.map(tag => tag.split("-")[0]).find(tag => tag in WORDS) ?? "en";
// For dates and numbers: the person's variant of the language.
export const LOCALE = navigator.languages.find(tag => tag.split("-")[0] === LANGUAGE) ?? LANGUAGE;
export const DIRECTION = RIGHT_TO_LEFT.has(LANGUAGE) ? "rtl" : "ltr";

// Returns the words of a key with its {values}; the key if there are none, as for a status of a newer API.
export function say(key, values = {}) {
  const text = WORDS[LANGUAGE][key] ?? en[key] ?? key;
  return text.replaceAll(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

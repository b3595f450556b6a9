// Calls the JSON edge with fetch, in browsers and in Node.

// Returns the JSON of a call. Throws an Error with the message and the reason of the server.
export async function call(url, options) {
  const reply = await fetch(url, options);
  const body = await reply.json();
  if (!reply.ok) throw Object.assign(new Error(body.message), { reason: body.details?.[0]?.reason });
  return body;
}

// Yields the states of a video until its processing ends: each line of the reply is one JSON object.
export async function* watch(edge, id) {
  const reply = await fetch(`${edge}/v1/videos/${id}:watch`);
  if (!reply.ok) throw new Error((await reply.json()).message);
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

// Uploads a video, processes it and follows its progress: node client.mjs FILE
import { randomUUID } from "node:crypto";
import { openAsBlob, readFileSync } from "node:fs";
import { parse } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const address = process.env.GOSTREAM_API_ADDR ?? "localhost:50051";
const definition = loader.loadSync("gostream/v1/video_service.proto", {
  includeDirs: ["protos", ".googleapis"], keepCase: true, longs: String, enums: String, defaults: true,
});
const { VideoService } = grpc.loadPackageDefinition(definition).gostream.v1;
const videos = new VideoService(address, grpc.credentials.createInsecure(), {
  "grpc.service_config": readFileSync("client/src/gostream_client/service_config.json", "utf8"),
  "grpc.keepalive_time_ms": 5000,
  "grpc.keepalive_timeout_ms": 3000,
  "grpc.keepalive_permit_without_calls": 1,
});

function call(method, request) {
  return new Promise((resolve, reject) => {
    const options = { deadline: Date.now() + 10_000 };
    videos[method](request, options, (error, reply) => (error ? reject(error) : resolve(reply)));
  });
}

// Yields the states of a video until its processing ends. A replica that stops ends its watches.
async function* follow(id) {
  for (;;) {
    try {
      yield* videos.WatchVideo({ id });
      return;
    } catch (error) {
      if (error.code !== grpc.status.UNAVAILABLE) throw error;
      await sleep(1000);
    }
  }
}

const file = process.argv[2];
const body = await openAsBlob(file);
const created = await call("CreateVideo", {
  title: parse(file).name, content_type: "video/mp4", size_bytes: body.size, request_id: randomUUID(),
});
const { method, url, headers } = created.upload;
const stored = await fetch(url, { method, headers, body });
if (!stored.ok) throw new Error(`the object store answered ${stored.status}`);
let video = await call("TriggerProcess", { id: created.video.id, request_id: randomUUID() });
for await (video of follow(video.id)) {
  console.log(video.status, video.processing?.stage ?? "");
}
console.log(video.playback_url || video.error.message);
videos.close();

// A client of the read door on @grpc/grpc-js: reads steps from its input, one JSON object a line, and answers each.
"use strict";
const grpc = require("@grpc/grpc-js");
const readline = require("node:readline");

const client = new grpc.Client(process.argv[2], grpc.credentials.createInsecure());
const same = (bytes) => bytes;

function call(step) {
  return new Promise((resolve) => {
    const options = { deadline: Date.now() + step.deadline * 1000 };
    let error = null, reply = null;
    const path = `/gostream.v1.VideoService/${step.method}`;
    const request = Buffer.from(step.request, "hex");
    const made = client.makeUnaryRequest(path, same, same, request, new grpc.Metadata(), options, (failure, found) => {
      [error, reply] = [failure, found];
    });
    made.on("status", (status) => {  // after the callback
      const details = status.metadata.get("grpc-status-details-bin")[0];
      resolve({
        code: error ? error.code : 0,
        message: error ? error.details : "",
        reply: reply ? reply.toString("hex") : "",
        details: details ? details.toString("hex") : "",
        layer: String(status.metadata.getMap()["x-cache"] || ""),
      });
    });
    if (step.cancel) setTimeout(() => made.cancel(), step.cancel * 1000);
  });
}

async function many(step) {
  let begun = 0, failed = 0;
  const worker = async () => {
    while (begun < step.calls) {
      if (++begun === step.report) console.log(JSON.stringify({ progress: begun }));
      const result = await call(step);
      if (result.code === 0) continue;
      failed++;
      console.error("call failed:", result.code, result.message);
    }
  };
  await Promise.all(Array.from({ length: step.open }, worker));
  return { calls: begun, failed };
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const step = JSON.parse(line);
    console.log(JSON.stringify(step.calls ? await many(step) : await call(step)));
  }
  client.close();
})();

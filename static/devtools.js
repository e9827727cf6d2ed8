/**
 * A bad network and a strict server, for trying out what a page does with them; and a log of all that goes back and forth. It
 * stands in for the outside world (`env`), so it costs nothing where it is not used.
 */
import { environment, only } from './env.js';

/**
 * @typedef {object} Trouble
 * @property {number} [drop] Chance, 0 to 1, that a request or its answer is lost, and that a frame ends the connection.
 * @property {number} [delay] Milliseconds that everything takes longer.
 * @property {number} [reject] Chance that a write is refused.
 *
 * @typedef {object} Entry
 * @property {'sent' | 'received' | 'request' | 'answer' | 'lost' | 'rejected'} type
 * @property {any} data A frame; or `{method, url}`, with the `status` of an answer.
 */

/**
 * @param {object} [options]
 * @param {(entry: Entry) => void} [options.log] Gets every frame and request.
 * @param {Partial<import('./env.js').Env>} [options.env]
 * @returns {{env: Partial<import('./env.js').Env>, simulate: (trouble: Trouble) => void}} `env` goes into the options of every part;
 * `simulate({})` ends the trouble. `rt.simulate` is the same.
 */
export function devtools(options = {}) {
  const { log = () => {}, env: given } = only('devtools', options, 'log:function env');
  const world = environment(given);
  /** @type {Trouble} */
  let trouble = {};
  const happens = (/** @type {number | undefined} */ chance) => world.random() < (chance ?? 0);
  const later = () => new Promise((resolve) => (trouble.delay ? world.setTimeout(() => resolve(undefined), trouble.delay) : resolve(undefined)));

  class DevSocket extends world.WebSocket {
    /** Frames stay in their order, however long each takes. */
    #ready = Promise.resolve();

    /** @override @param {any} call */
    set onmessage(call) {
      super.onmessage = (/** @type {MessageEvent} */ event) => {
        this.#ready = this.#ready.then(later).then(() => {
          if (happens(trouble.drop)) {
            log({ type: 'lost', data: parsed(event.data) });
            return this.close();
          }
          log({ type: 'received', data: parsed(event.data) });
          call?.call(this, event);
        });
      };
    }

    /** @override */
    get onmessage() {
      return super.onmessage;
    }

    /** @override @param {string} data */
    send(data) {
      const frame = parsed(data);
      if (frame?.type === 'mutate' && happens(trouble.reject)) {
        log({ type: 'rejected', data: frame });
        return this.onmessage?.(/** @type {MessageEvent} */ ({ data: JSON.stringify(refused(frame)) }));
      }
      log({ type: 'sent', data: frame });
      super.send(data);
    }
  }

  /** @type {typeof fetch} */
  const devFetch = async (input, init) => {
    const about = { method: init?.method ?? 'GET', url: String(input) };
    log({ type: 'request', data: about });
    await later();
    // Half of what is lost has arrived.
    const lose = happens(trouble.drop);
    if (lose && happens(0.5)) throw lost(about);
    if (about.method !== 'GET' && !/\/(query|count|changes)$/.test(new URL(about.url).pathname) && happens(trouble.reject)) {
      log({ type: 'rejected', data: about });
      return refusal(init);
    }
    const answer = await world.fetch(input, init);
    if (lose) throw lost(about);
    log({ type: 'answer', data: { ...about, status: answer.status } });
    return answer;
  };
  const lost = (/** @type {object} */ about) => {
    log({ type: 'lost', data: about });
    return new TypeError('simulated: the line broke');
  };

  const simulate = (/** @type {Trouble} */ next) => void (trouble = { drop: 0, reject: 0, delay: 0, ...only('simulate', next, 'drop:number delay:number reject:number') });
  return { env: { ...given, WebSocket: /** @type {any} */ (DevSocket), fetch: devFetch, simulate }, simulate };
}

const TEXT = 'simulated: the server refuses this';
const PROBLEM = { code: 'VALIDATION_FAILED', hint: 'simulate({}) ends it' };

/** As the server would answer over HTTP. @param {RequestInit | undefined} init */
function refusal(init) {
  const problem = { ...PROBLEM, status: 422, detail: TEXT };
  const { atomic = true, ops = [] } = parsed(String(init?.body ?? '{}')) ?? {};
  return new Response(JSON.stringify(atomic ? problem : refusedEach(ops, problem)), { status: atomic ? 422 : 200 });
}

/** As it would answer over the socket. @param {{requestId?: string, payload?: {atomic?: boolean, ops?: any[]}}} frame */
function refused({ requestId, payload: { atomic = true, ops = [] } = {} }) {
  const error = { ...PROBLEM, message: TEXT };
  return atomic ? { type: 'error', requestId, payload: error } : { type: 'ack', requestId, payload: refusedEach(ops, error) };
}

/** Of operations that are judged one by one. @param {any[]} ops @param {object} error */
function refusedEach(ops, error) {
  return { epoch: 'simulated', seq: 0, results: ops.map(() => ({ status: 422, error })) };
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * What a socket does, without a socket: frames come as server-sent events, and go as requests to the stream's session. Who uses it
 * sees a WebSocket. It is loaded when sockets do not get through. While it lives it looks now and then whether one does, and
 * ends when it is so. Knows frames, but neither channels nor rows.
 */
import { retryAfter } from './later.js';
import { place } from './share.js';

/** From the request to the first event. A proxy that keeps events back does not get through either. */
const GREETING = 5000;
/** Between two looks for a socket, at first and at most; and how long one must live. */
const LOOK = 30_000;
const MOST_LOOK = 300_000;
const PROOF = 5000;
/** Times that a frame is sent at most when the session is full. */
const MOST_SENT = 5;
/** What a socket would be closed with, by the last error. */
const CLOSE = /** @type {Record<string, number>} */ ({ UNAUTHENTICATED: 4401, ACCOUNT_DISABLED: 4403, FORBIDDEN: 4403 });

/**
 * @param {import('./share.js').Host & {httpUrl: (path: string) => URL}} host `httpUrl` is the address of a path of the API.
 * @returns {Promise<(new (url: string) => WebSocket) | null>} Null: sockets get through again.
 */
export async function socketFor(host) {
  const { shareConnection, transports } = host.options;
  const found = shareConnection && transports.includes('poll') ? await place(host) : () => {};
  if (!found) return null;
  const through = found;
  return /** @type {any} */ (
    class extends StreamSocket {
      /** @param {string} url Of the socket. */
      constructor(url) {
        super(host.env, host.httpUrl, url, through, transports.includes('ws'));
      }
    }
  );
}

class StreamSocket {
  /** @type {(() => void) | null} */
  onopen = null;
  /** @type {((event: {data: string}) => void) | null} */
  onmessage = null;
  /** @type {((event: {code: number, reason: string}) => void) | null} */
  onclose = null;
  #env;
  #httpUrl;
  #url;
  #abort = new AbortController();
  #session = '';
  /** @type {string | undefined} */
  #token;
  /** The code of the last error about the whole stream. */
  #error = '';
  /** Requests go one after the other, as frames on a socket do. */
  #sent = Promise.resolve();
  /** @type {any} */
  #timer;
  /** @type {WebSocket | null} */
  #look = null;
  #through;
  #looks;

  /**
   * @param {import('./env.js').Env} env
   * @param {(path: string) => URL} httpUrl
   * @param {string} url
   * @param {() => void} through Called when a socket gets through again.
   * @param {boolean} looks Whether to look for one.
   */
  constructor(env, httpUrl, url, through, looks) {
    this.#env = env;
    this.#through = through;
    this.#looks = looks;
    this.#httpUrl = httpUrl;
    this.#url = new URL(url);
    // Its owner listens by then, and has a token sent first.
    queueMicrotask(() => this.#run());
  }

  /** @param {string} text A frame. */
  send(text) {
    const frame = JSON.parse(text);
    if (frame.type === 'auth') this.#token = frame.payload.token;
    // Before there is a session, the token goes with the request for one.
    if (frame.type === 'auth' && !this.#session) return;
    this.#sent = this.#sent.then(() => this.#post(frame, text)).catch((error) => this.#end(1006, String(error)));
  }

  close() {
    this.onclose = null;
    this.#end(1000, '');
  }

  get #over() {
    return this.#abort.signal.aborted;
  }

  /** @param {number} code @param {string} reason */
  #end(code, reason) {
    if (this.#over) return;
    this.#abort.abort();
    this.#env.clearTimeout(this.#timer);
    if (this.#look) this.#look.onmessage = this.#look.onclose = null;
    this.#look?.close(1000);
    this.onclose?.({ code, reason });
  }

  /** @param {Record<string, string>} [headers] */
  #init(headers = {}) {
    if (this.#token) headers.Authorization = `Bearer ${this.#token}`;
    return { headers, cache: /** @type {const} */ ('no-store'), signal: this.#abort.signal };
  }

  /** @param {any} frame */
  #say(frame) {
    if (!this.#over) this.onmessage?.({ data: JSON.stringify(frame) });
  }

  // What comes.

  async #run() {
    try {
      this.onopen?.();
      if (this.#over) return;
      this.#timer = this.#env.setTimeout(() => this.#end(0, 'the stream did not begin in time'), GREETING);
      const url = new URL('sse', this.#url);
      url.protocol = this.#url.protocol.replace(/^ws/, 'http');
      url.search = this.#url.search;
      const response = await this.#env.fetch(url.href, this.#init({ Accept: 'text/event-stream' }));
      if (!response.ok || !response.body) {
        const problem = await problemOf(response);
        this.#say({ type: 'error', payload: { ...problem, retryAfterMs: retryAfter(response, this.#env.now()) } });
        return this.#end(CLOSE[problem.code ?? ''] ?? (response.status === 401 ? 4401 : 1006), problem.message);
      }
      await this.#read(response.body);
      this.#end(CLOSE[this.#error] ?? 1006, 'the stream ended');
    } catch (error) {
      this.#end(1006, String(error));
    }
  }

  /** An event, and a letter, may come in two pieces. @param {ReadableStream<Uint8Array>} body */
  async #read(body) {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#over) return;
      text += decoder.decode(value, { stream: true });
      const events = text.split(/\r?\n\r?\n/);
      text = /** @type {string} */ (events.pop());
      for (const event of events) {
        const data = event.split(/\r?\n/).flatMap((line) => (line.startsWith('data:') ? line.slice(5).trimStart() : []));
        if (data.length > 0) this.#hear(JSON.parse(data.join('\n')));
      }
    }
  }

  /** @param {import('./track.js').Frame} frame */
  #hear(frame) {
    if (frame.type === 'error' && !frame.channel && !frame.requestId) this.#error = frame.payload?.code ?? '';
    if (frame.type !== 'welcome') return this.#say(frame);
    this.#session = frame.payload.session;
    this.#env.clearTimeout(this.#timer);
    if (this.#looks) this.#lookIn(LOOK);
    this.#say({ ...frame, type: 'connected' });
  }

  // What goes.

  /**
   * A request that may have arrived is not repeated: the stream ends, and its owner asks anew from its position.
   *
   * @param {{type: string, channel?: string, requestId?: string}} frame
   * @param {string} body
   */
  async #post({ type, channel, requestId }, body) {
    const url = this.#httpUrl(`/realtime/session/${encodeURIComponent(this.#session)}/${type.split(':')[0]}`);
    url.search = this.#url.search;
    for (let sent = 1; !this.#over; sent++) {
      const response = await this.#env.fetch(url.href, { ...this.#init({ 'Content-Type': 'application/json' }), method: 'POST', body });
      if (response.ok) return;
      const wait = retryAfter(response, this.#env.now());
      if (response.status === 429 && sent < MOST_SENT) {
        await new Promise((resolve) => void this.#env.setTimeout(() => resolve(undefined), Math.max(wait ?? 0, 250)));
        continue;
      }
      const problem = await problemOf(response);
      // To the user of another token the session does not exist.
      const unknown = type === 'auth' && response.status === 404;
      if (unknown) problem.code = 'UNAUTHENTICATED';
      if (type === 'auth' || response.status === 400 || response.status === 413 || response.status === 429)
        this.#say({ type: 'error', channel, requestId, payload: { ...problem, retryAfterMs: wait } });
      if (response.status === 400 || response.status === 413 || response.status === 429) return;
      return this.#end(unknown || response.status === 401 ? 4401 : 1006, problem.message);
    }
  }

  // Whether a socket gets through again.

  /** @param {number} most */
  #lookIn(most) {
    this.#timer = this.#env.setTimeout(() => this.#tryOne(most), most * (0.5 + this.#env.random() / 2));
  }

  /** @param {number} most */
  #tryOne(most) {
    const again = () => {
      this.#env.clearTimeout(this.#timer);
      this.#look?.close(1000);
      this.#look = null;
      if (!this.#over) this.#lookIn(Math.min(MOST_LOOK, most * 2));
    };
    /** @type {WebSocket} */
    let socket;
    try {
      socket = this.#look = new this.#env.WebSocket(this.#url.href);
    } catch {
      return again();
    }
    socket.onopen = () => this.#token && socket.send(JSON.stringify({ type: 'auth', payload: { token: this.#token } }));
    // Some middleboxes kill a socket right after it opened.
    socket.onmessage = () => {
      socket.onmessage = null;
      this.#env.clearTimeout(this.#timer);
      this.#timer = this.#env.setTimeout(() => {
        this.#through();
        this.#end(1012, 'a socket gets through again');
      }, PROOF);
    };
    socket.onclose = () => {
      socket.onclose = null;
      again();
    };
    this.#timer = this.#env.setTimeout(again, GREETING);
  }
}

/** As the payload of an `error`. @param {Response} response @returns {Promise<{code?: string, message: string, hint?: string, retry?: boolean}>} */
async function problemOf(response) {
  const { code, detail = `the stream got ${response.status}`, hint, retry } = await response.json().catch(() => ({}));
  return { code, message: detail, hint, retry };
}

/**
 * A browser for tests: tabs with the same locks, and channels that reach every other tab. A tab can be closed, which its locks and
 * channels do not survive, and frozen: nothing in it runs until it thaws.
 */
import { Locks } from './locks.js';

export class Browser {
  #world;
  #locks = new Locks();
  #channels = new Set();
  #ids = 0;

  /** @param world As `world()` makes one. */
  constructor(world) {
    this.#world = world;
  }

  tab() {
    const { env } = this.#world;
    const channels = this.#channels;
    const { locks, close } = this.#locks.tab();
    const id = ++this.#ids;
    let [dead, frozen, bytes] = [false, false, 0];
    const kept = [];
    const sockets = new Set();
    const run = (call) => {
      if (dead) return;
      if (frozen) kept.push(call);
      else call();
    };

    class Channel {
      constructor(name) {
        Object.assign(this, { name, run });
        channels.add(this);
      }
      postMessage(data) {
        for (const other of channels) {
          const copy = structuredClone(data);
          if (other !== this && other.name === this.name) queueMicrotask(() => channels.has(other) && other.run(() => other.onmessage?.({ data: copy })));
        }
      }
      close() {
        channels.delete(this);
      }
    }
    class Socket extends env.WebSocket {
      #calls = {};
      constructor(url) {
        super(url);
        sockets.add(this);
        for (const name of ['onopen', 'onmessage', 'onclose'])
          Object.defineProperty(this, name, {
            set: (call) => void (this.#calls[name] = call),
            get: () => (event) => run(() => this.#calls[name]?.(event)),
          });
      }
    }
    return {
      env: {
        ...env,
        WebSocket: Socket,
        locks,
        BroadcastChannel: Channel,
        setTimeout: (call, ms) => env.setTimeout(() => run(call), ms),
        randomBytes: (array) => array.map((_, at) => (at === 0 ? id : at === 1 ? (bytes = (bytes + 1) % 256) : 0)),
      },
      sockets,
      close: () => {
        dead = true;
        close();
        for (const channel of channels) if (channel.run === run) channels.delete(channel);
        for (const socket of sockets) socket.closedWith ??= 1001;
      },
      freeze: () => void (frozen = true),
      thaw: () => {
        frozen = false;
        for (const call of kept.splice(0)) run(call);
      },
    };
  }
}

/**
 * Optimistic updates as they are usually written, and as the first description of this client wrote them: the row is put
 * into the signal, then replaced by the answer or taken out again. It is here to be seen failing: a simulator that finds no
 * fault in it would find none in anything.
 */
export class LiteralManager {
  constructor(api) {
    this.api = api;
    this.count = 0;
  }

  async create(entity, data, signal) {
    const tempId = `temp_${++this.count}`;
    signal.value = [...signal.value, { ...data, id: tempId, _optimistic: true }];
    try {
      const result = await this.api.create('tasks', data);
      signal.value = signal.value.map((item) => (item.id === tempId ? result : item));
      return result;
    } catch (error) {
      signal.value = signal.value.filter((item) => item.id !== tempId);
      throw error;
    }
  }

  async update(entity, id, data, signal) {
    const original = signal.value.find((item) => item.id === id);
    signal.value = signal.value.map((item) => (item.id === id ? { ...original, ...data, _optimistic: true } : item));
    try {
      const result = await this.api.update('tasks', id, data);
      signal.value = signal.value.map((item) => (item.id === id ? result : item));
      return result;
    } catch (error) {
      signal.value = signal.value.map((item) => (item.id === id ? original : item));
      throw error;
    }
  }

  async delete(entity, id, signal) {
    const original = signal.value.find((item) => item.id === id);
    signal.value = signal.value.filter((item) => item.id !== id);
    try {
      await this.api.delete('tasks', id);
    } catch (error) {
      signal.value = [...signal.value, original];
      throw error;
    }
  }
}

/** The subscriber that goes with it; charitable: it takes no row twice. */
export function literalSubscriber(rt, signal) {
  return rt.subscribe(
    'entity:Task',
    ({ type, payload }) => {
      if (type === 'snapshot') signal.value = payload.rows;
      else if (type === 'entity:created') signal.value = signal.value.some(({ id }) => id === payload.id) ? signal.value : [...signal.value, payload];
      else if (type === 'entity:updated') signal.value = signal.value.map((item) => (item.id === payload.id ? payload : item));
      else if (type === 'entity:deleted') signal.value = signal.value.filter(({ id }) => id !== payload.id);
    },
    { snapshot: true },
  );
}

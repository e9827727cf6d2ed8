/**
 * An answer to "why", as elements: the sentence, what it rests on, and the rule with the clauses that decided.
 */
import { element, plain } from '../dom.js';

/** What is shown below the sentence, where an answer has it. */
const FACTS = [
  ['finding', 'Finding'],
  ['judged', 'By the rights of'],
  ['at', 'When'],
  ['user', 'Caller'],
  ['operation', 'Operation'],
  ['channel', 'Channel'],
  ['event', 'Event'],
  ['code', 'Code'],
  ['position', 'Position'],
  ['changedSince', 'Record changed since, by change'],
  ['rightsChanged', 'Rights changed since, by change'],
];

/** @param {any} answer Of `GET /api/admin/why/{id}`. */
export function answered(answer) {
  const known = FACTS.filter(([name]) => answer[name] !== undefined && answer[name] !== null);
  const facts = known.flatMap(([name, word]) => [element('dt', {}, word), element('dd', {}, String(answer[name]))]);
  /** @type {HTMLElement[]} */
  const parts = [element('p', { class: 'sentence' }, plain(answer.answer)), element('dl', { class: 'facts' }, ...facts)];
  if (answer.rule) parts.push(...rule(answer.rule));
  if (answer.filter) parts.push(element('p', {}, 'The filter'), clauses(answer.filter));
  return element('div', { class: 'card' }, ...parts);
}

/** @param {any} rule */
function rule({ entity, operation, source, clauses: decided }) {
  const text = source === null ? `${entity} has no rule for ${operation}` : `${entity} ${operation} = ${source}`;
  return [element('p', {}, element('code', {}, text)), clauses(decided)];
}

/** @param {any[]} list @returns {HTMLElement} */
function clauses(list) {
  const item = (/** @type {any} */ { text, truth, values, records }) => {
    const read = values.map((/** @type {any} */ { name, value }) => `${name} = ${value}`).join(', ');
    const said = [element('code', {}, text), ` is ${truth}${read ? `: ${read}` : ''}`];
    return element('li', {}, element('div', {}, ...said, ...(records ? [clauses(records)] : [])));
  };
  return element('ul', {}, ...list.map(item));
}

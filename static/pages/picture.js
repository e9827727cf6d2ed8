/**
 * The entities as boxes and their references as lines between them. What others refer to stands on the left.
 */
import { labelOf } from './fields.js';
import { drawn } from './svg.js';

/**
 * @typedef {import('../api.js').Entity} Entity
 * @typedef {{entity: Entity, x: number, y: number, height: number}} Box
 */

const WIDTH = 210;
const HEAD = 32;
const LINE = 22;
const GAP = { x: 90, y: 28 };
/** Between two lanes above the boxes. */
const LANE = 9;
/** Lanes that find room between two columns. */
const LANES = 7;
/** Of a corner. */
const ROUND = 6;

/** @param {Entity[]} entities @param {(entity: Entity) => string} href */
export function pictureOf(entities, href) {
  const boxes = placed(entities);
  const all = [...boxes.values()];
  const lanes = lanesOf(all, boxes);
  for (const box of all) box.y += lanes.size * LANE;
  const width = Math.max(...all.map(({ x }) => x + WIDTH)) + 24;
  const height = Math.max(...all.map((box) => box.y + box.height)) + 12;
  const lines = all.flatMap((box) => box.entity.fields.flatMap((field, at) => lineOf(box, field, at, boxes, lanes)));
  const text = `${entities.length} entities and ${lines.length} references between them. The list below says the same in words.`;
  const picture = drawn('svg', { viewBox: `0 0 ${width} ${height}`, width, height, role: 'group', 'aria-label': text, class: 'erd' }, ...lines, ...all.map((box) => boxOf(box, href)));
  return picture;
}

/**
 * A column for each step of references, the most referred to on the left. Circles end at the number of entities.
 *
 * @param {Entity[]} entities
 */
function placed(entities) {
  const names = new Set(entities.map(({ name }) => name));
  const depth = new Map(entities.map(({ name }) => [name, 0]));
  for (let round = 0; round < Math.min(entities.length, 6); round++) {
    for (const { name, fields } of entities) {
      for (const { type, entity } of fields) {
        if (type !== 'ref' || !entity || entity === name || !names.has(entity)) continue;
        const next = Math.max(depth.get(name) ?? 0, (depth.get(entity) ?? 0) + 1);
        depth.set(name, Math.min(next, 5));
      }
    }
  }
  /** @type {Map<string, Box>} */
  const boxes = new Map();
  /** @type {Map<number, number>} */
  const ends = new Map();
  for (const entity of entities) {
    const column = depth.get(entity.name) ?? 0;
    const y = ends.get(column) ?? 12;
    const height = HEAD + entity.fields.length * LINE + 8;
    boxes.set(entity.name, { entity, x: 12 + column * (WIDTH + GAP.x), y, height });
    ends.set(column, y + height + GAP.y);
  }
  return boxes;
}

/** @param {Box} box @param {(entity: Entity) => string} href */
function boxOf({ entity, x, y, height }, href) {
  const frame = drawn('rect', { x, y, width: WIDTH, height, rx: 8, class: 'box' });
  const head = drawn('a', { href: href(entity) }, drawn('text', { x: x + 12, y: y + 21, class: 'name' }, entity.name));
  const fields = entity.fields.flatMap(({ name, type, required }, at) => {
    const line = y + HEAD + at * LINE + 15;
    return [
      drawn('text', { x: x + 12, y: line, class: 'entry' }, clipped(`${labelOf(name)}${required ? ' *' : ''}`, 18)),
      drawn('text', { x: x + WIDTH - 12, y: line, class: 'kind' }, type),
    ];
  });
  return drawn('g', {}, frame, head, drawn('line', { x1: x, x2: x + WIDTH, y1: y + HEAD - 2, y2: y + HEAD - 2, class: 'rule' }), ...fields);
}

/** @param {string} text @param {number} length */
const clipped = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

/** What a field refers to. @param {import('../api.js').Field} field @param {Map<string, Box>} boxes */
const targetOf = ({ type, entity }, boxes) => (type === 'ref' ? boxes.get(entity ?? '') : undefined);

/** Whether columns are between two boxes. @param {Box} from @param {Box} to */
const isFar = (from, to) => from.x - to.x > WIDTH + GAP.x;

/**
 * A line to a far box would pass behind those between: it goes above them, in the lane of the box that it leads to.
 *
 * @param {Box[]} all
 * @param {Map<string, Box>} boxes
 * @returns {Map<Box, number>}
 */
function lanesOf(all, boxes) {
  const far = all.flatMap((from) => from.entity.fields.flatMap((field) => targetOf(field, boxes) ?? []).filter((to) => isFar(from, to)));
  return new Map([...new Set(far)].map((to, lane) => [to, lane]));
}

/**
 * @param {Box} from
 * @param {import('../api.js').Field} field
 * @param {number} at
 * @param {Map<string, Box>} boxes
 * @param {Map<Box, number>} lanes
 */
function lineOf(from, field, at, boxes, lanes) {
  const to = targetOf(field, boxes);
  if (!to) return [];
  const y1 = from.y + HEAD + at * LINE + 10;
  const y2 = to.y + 16;
  const left = to.x < from.x;
  const x1 = left ? from.x : from.x + WIDTH;
  const x2 = to.x + WIDTH;
  // Of the same column, or to itself: around the side.
  const bend = left ? Math.max(30, (x1 - x2) / 2) : 46;
  const curve = left ? `M${x1} ${y1} C${x1 - bend} ${y1} ${x2 + bend} ${y2} ${x2} ${y2}` : `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 + bend} ${y2} ${x2} ${y2}`;
  const d = isFar(from, to) ? over(x1, y1, x2, y2, lanes.get(to) ?? 0) : curve;
  return [drawn('path', { d, class: 'ref' }), drawn('circle', { cx: x2, cy: y2, r: 3.5, class: 'end' })];
}

/** Up to a lane, along it to the left, and down. @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 @param {number} lane */
function over(x1, y1, x2, y2, lane) {
  const y = 8 + lane * LANE;
  const aside = 12 + (lane % LANES) * LANE;
  const [up, down] = [x1 - aside, x2 + aside];
  return [
    `M${x1} ${y1} H${up + ROUND} Q${up} ${y1} ${up} ${y1 - ROUND}`,
    `V${y + ROUND} Q${up} ${y} ${up - ROUND} ${y}`,
    `H${down + ROUND} Q${down} ${y} ${down} ${y + ROUND}`,
    `V${y2 - ROUND} Q${down} ${y2} ${down - ROUND} ${y2} H${x2}`,
  ].join(' ');
}

/**
 * Elements of a picture, as `dom.js` makes those of a page: whatever a name holds, it can only become text.
 */

/**
 * @param {string} name
 * @param {Record<string, string | number>} props
 * @param {(Node | string)[]} children
 */
export function drawn(name, props, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(props)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

/**
 * Shows that something has changed, in the colour of the user who changed it, and lets it fade.
 */

/** The colour of a user, the same on each page: a hue in degrees. @param {string} id */
export const hueOf = (id) => parseInt(placeOf(id), 16) % 360;

/** Thirty-two bits of an id (FNV-1a). @param {string} id */
export function placeOf(id) {
  let hash = 0x811c9dc5;
  for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

/** @param {HTMLElement} changed @param {string | null} [by] Who changed it. */
export function mark(changed, by = null) {
  changed.classList.remove('changed');
  // Reading a size makes the browser notice that the class was gone, so that the fade starts again.
  void changed.offsetWidth;
  if (by === null) changed.style.removeProperty('--hue');
  else changed.style.setProperty('--hue', String(hueOf(by)));
  changed.classList.add('changed');
}

// One listener for all: an element that changes again before it has faded would collect them.
document.addEventListener('animationend', ({ target, animationName }) => {
  if (target instanceof Element && /^(fade|outline)$/.test(animationName)) target.classList.remove('changed');
});

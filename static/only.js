/**
 * An option that does not exist is a mistake of the page: it throws, where it is given. Knows no option.
 */

/**
 * @template {object} T
 * @param {string} where What got the options.
 * @param {T} given
 * @param {string} names Those that there are, with spaces between.
 * @returns {T}
 */
export function only(where, given, names) {
  const known = names.split(' ');
  for (const name in given) if (!known.includes(name)) throw new TypeError(`${where} has no option \`${name}\`. Its options: ${known.join(', ')}`);
  return given;
}

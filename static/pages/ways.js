/**
 * The ways from one generated page to the others. Knows no user and opens no connection.
 */
import { element } from './dom.js';
import { show as showKeys } from './help.js';

/** The pages that lead everywhere else. @type {[path: string, text: string][]} */
const PAGES = [
  ['/_/', 'Entities'],
  ['/_/schema', 'Schema'],
  ['/_/api', 'API'],
];

/**
 * @param {(path: string) => string} link
 * @param {(string | {text: string, path: string})[]} crumbs Where this page is, below the home page. The last one is this page.
 */
export function waysOf(link, crumbs) {
  const brand = element('a', { class: 'brand', href: link('/_/') }, 'Tidewire');
  const trail = crumbs.map((crumb) =>
    typeof crumb === 'string' ? element('span', { 'aria-current': 'page' }, crumb) : element('a', { class: 'crumb', href: link(crumb.path) }, crumb.text),
  );
  const way = (/** @type {string} */ path, /** @type {string} */ text) =>
    element('a', { href: link(path), 'aria-current': location.pathname === path ? 'page' : null }, text);
  const pages = PAGES.map(([path, text]) => way(path, text));
  /** For administrators. */
  const inspector = way('/_/inspect', 'Inspector');
  const help = element('button', { type: 'button', class: 'quiet', 'aria-label': 'Keys of this page', title: 'Keys of this page (?)', click: showKeys }, '?');
  const navs = [
    element('nav', { 'aria-label': 'Where you are' }, brand, ...trail),
    element('nav', { 'aria-label': 'Pages', class: 'pages' }, ...pages, inspector, help),
  ];
  return { navs, inspector };
}

/**
 * What may happen to a reader and its server in the stories of `convergence_story.js` and `windows_story.js`. Each entry takes
 * the server, the dice and the clock. Knows no reader.
 */

/** What may happen, and how often beside the writes. */
export const TROUBLE = [
  [6, (server) => server.changeRights()],
  // Behind the change, the socket is lost in the middle of what it makes.
  [4, (server, dice, clock) => (server.changeRights(), clock.run(dice.int(100)).then(() => server.cutAll()))],
  [6, (server, dice) => server.cutAll(dice.chance(0.5) ? 1006 : 1001)],
  [2, (server) => server.restart()],
  [2, (server, dice) => server.restart({ lose: 1 + dice.int(6) })],
  [3, (server) => server.trim()],
  [3, (server) => server.resync()],
  [4, (server) => server.dropNext()],
  [4, (server) => server.repeatOne()],
  [6, (server) => server.beat()],
  [2, (server) => ((server.up = false), server.cutAll())],
  [5, (server) => (server.up = true)],
  [2, (server) => ((server.sockets = false), server.cutAll())],
  [3, (server) => (server.sockets = true)],
];

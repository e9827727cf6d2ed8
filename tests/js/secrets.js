/** Secrets in what a server logs: its tokens, signed tokens, and the passwords that stories use. */
const SECRET = /\btw[a-z]_[A-Za-z0-9_-]{43}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{11,}|correct horse|another horse|a long sentence|another long one/;

/** The lines that hold one. @param {string} text */
export const leaks = (text) => text.split('\n').filter((line) => SECRET.test(line));

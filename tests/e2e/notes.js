/**
 * What the stories of logins share: notes that are for their owner alone, a context of its own for each user, and the login page.
 */

/** The schema file of notes, each for its owner alone. */
export const NOTE = `entity = "Note"
plural = "notes"
label = "text"
[fields]
text = { type = "text", required = true, max = 200 }
owner = { type = "ref", entity = "User", default = "user.id", readonly = true }
[access]
read = "owner == user.id"
create = "user != null"
update = "owner == user.id"
delete = "owner == user.id"
`;

export const PASSWORD = 'a correct horse';

/** Waits until the page is at a path. */
export const at = (page, path) => page.waitForURL((url) => url.pathname === path);

/** A browser context with cookies and storage of its own, which ends with `act`. */
export async function inContext(chrome, act) {
  const context = await chrome.newContext({ viewport: { width: 1280, height: 800 } });
  try {
    await act(context);
  } finally {
    await context.close();
  }
}

/** Fills in the login page that a page led to. */
export async function logIn(page, name, password = PASSWORD) {
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
}

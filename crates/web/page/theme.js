// The theme: as the system, light or dark. `first-paint.js` applies the stored theme before this module runs.

import { announce, byId } from './dom.js';
import { readPreference, writePreference } from './preferences.js';

const THEMES = { auto: 'Theme: system', light: 'Theme: light', dark: 'Theme: dark' };

const stored = readPreference('theme') ?? '';
let theme = Object.hasOwn(THEMES, stored) ? stored : 'auto';

/** Sets up the theme button. */
export function startTheme() {
  byId('theme').textContent = THEMES[theme];
  byId('theme').addEventListener('click', nextTheme);
}

/** Switches to the next theme and stores it. */
export function nextTheme() {
  const names = Object.keys(THEMES);
  theme = names[(names.indexOf(theme) + 1) % names.length];
  writePreference('theme', theme);
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId('theme').textContent = THEMES[theme];
  announce(THEMES[theme]);
}

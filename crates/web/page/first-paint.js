// Applies the stored theme before the first paint.
//
// This is a classic script in the head: modules run only after the document is parsed, and the page would flash in the
// system's theme first. `theme.js` changes the theme later.
'use strict';

try {
  const theme = localStorage.getItem('ecsrunner.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch { /* Storage is blocked: follow the system. */ }

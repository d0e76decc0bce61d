// The page of ecsrunner's local mode: jobs and runners, live.
//
// `loading.js` reads the server's API into the records of `state.js`. From them, each module in `drawParts` draws a part
// of the page. Modules that need neither document nor server have tests in `test/functions.test.mjs`. There is no
// framework and no build step. Nothing here writes to the server.

import { startConnection, updateConnection } from './connection.js';
import { drawDetails, startDetails } from './details.js';
import { byId, setVisible } from './dom.js';
import { drawFigures } from './figures.js';
import { readAddress } from './filters.js';
import { startKeyboard } from './keyboard.js';
import { drawLastHour, updateLastHour } from './last-hour.js';
import { drawList, startList } from './list.js';
import { handleEvent, isLoaded, load, resetLoading } from './loading.js';
import { startLog } from './log.js';
import { drawPools, startPools } from './pool-table.js';
import { draw, drawSoon, onDraw, updateDurations } from './redraw.js';
import { openDetails } from './selection.js';
import { isFiltered, records, selection } from './state.js';
import { startTheme } from './theme.js';
import { takeTokenFromAddress } from './token.js';
import { isAsking, startTokenPanel, updateTokenPanel } from './token-panel.js';
import { drawToolbar, startToolbar } from './toolbar.js';
import { startWebhookHelp } from './webhook-help.js';

/** Shows the parts of the page for which there is something to show. */
function showParts() {
  records.evict();
  const wanted = records.jobs.size > 0 || records.runners.size > 0 || isFiltered() || selection.item !== null;
  setVisible(byId('loading'), !isLoaded() && !isAsking());
  setVisible(byId('empty'), isLoaded() && !wanted && !isAsking());
  for (const id of ['now', 'pools', 'work']) setVisible(byId(id), isLoaded() && wanted);
}

/** The toolbar finds the items that the list shows, so it is drawn before the list. */
function drawParts() {
  showParts();
  if (!isLoaded()) return;
  for (const part of [drawFigures, drawLastHour, drawPools, drawToolbar, drawList, drawDetails]) part();
  records.changed.clear();
  updateDurations();
}

function everySecond() {
  updateConnection();
  if (document.hidden || !isLoaded()) return;
  updateDurations();
  updateLastHour();
}

takeTokenFromAddress();
readAddress();
onDraw(drawParts);
startTheme();
startToolbar();
startPools();
startList(openDetails);
startDetails();
startLog();
startKeyboard();
startWebhookHelp();
startTokenPanel();
window.addEventListener('popstate', () => { readAddress(); draw(); });
startConnection({
  hasData: isLoaded, onConnect: resetLoading, onOpen: load, onEvent: handleEvent, onState: updateTokenPanel,
});
document.addEventListener('visibilitychange', () => { if (!document.hidden) drawSoon(); });
setInterval(everySecond, 1000);

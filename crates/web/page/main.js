// The page: jobs and runners, live, what they cost, and what holds them back.
//
// `loading.js` reads the server's API into the records of `state.js`. From them, each module in `drawParts` draws a part
// of the page. Modules that need neither document nor server have tests in `test/functions.test.mjs`. There is no
// framework and no build step. What an operator changes goes through `actions.js`.

import { startActions } from './actions.js';
import { startConnection, updateConnection } from './connection.js';
import { drawCosts, startCosts } from './costs.js';
import { drawDeployment, updateDeployment } from './deployment.js';
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
import { drawSections, startSections } from './sections.js';
import { openDetails } from './selection.js';
import { isFiltered, records, selection, view } from './state.js';
import { drawStatus, loadStatus, startStatus, updateStatus } from './status.js';
import { startTheme } from './theme.js';
import { takeTokenFromAddress } from './token.js';
import { isAsking, startTokenPanel, updateTokenPanel } from './token-panel.js';
import { drawToolbar, startToolbar } from './toolbar.js';
import { startWebhookHelp } from './webhook-help.js';

/** Shows the parts of the page for which there is something to show. */
function showParts() {
  records.evict();
  const wanted = records.jobs.size > 0 || records.runners.size > 0 || isFiltered() || selection.item !== null;
  const isWork = view.section === '';
  setVisible(byId('loading'), !isLoaded() && !isAsking());
  setVisible(byId('empty'), isWork && isLoaded() && !wanted && !isAsking());
  for (const id of ['now', 'pools', 'work']) setVisible(byId(id), isWork && isLoaded() && wanted);
  drawSections(isLoaded());
}

/** The toolbar finds the items that the list shows, so it is drawn before the list. */
function drawParts() {
  showParts();
  if (!isLoaded()) return;
  for (const part of [drawStatus, drawFigures, drawLastHour, drawPools, drawToolbar, drawList, drawDetails]) part();
  if (view.section === 'costs') drawCosts();
  if (view.section === 'deployment') drawDeployment();
  records.changed.clear();
  updateDurations();
}

function everySecond() {
  updateConnection();
  if (document.hidden || !isLoaded()) return;
  updateDurations();
  updateLastHour();
  updateStatus();
  if (view.section === 'deployment') updateDeployment();
}

function onOpen() {
  loadStatus();
  load();
}

takeTokenFromAddress();
readAddress();
onDraw(drawParts);
startTheme();
startStatus();
startSections();
startActions();
startCosts();
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
  hasData: isLoaded, onConnect: resetLoading, onOpen, onEvent: handleEvent, onState: updateTokenPanel,
});
document.addEventListener('visibilitychange', () => { if (!document.hidden) drawSoon(); });
setInterval(everySecond, 1000);

// The tools above the list: jobs or runners, the filters, and how many items are in each state.

import { byId, element, setText, setVisible } from './dom.js';
import { changeFilters, clearFilters, showKind } from './filters.js';
import { formatNumber, plainText, textOrDash } from './format.js';
import { hasOlder, serverFilter } from './loading.js';
import { isInState, matcher, splitAndSort } from './matching.js';
import { countPools } from './pools.js';
import { isFiltered, list, records, view } from './state.js';
import { FILTER_STATES } from './words.js';

const stateButtons = new Map();  // by kind and state
const kindButtons = document.querySelectorAll('#tools .kinds button');

export function startToolbar() {
  byId('q').addEventListener('input', () => changeFilters({ q: byId('q').value.trimStart() }, false));
  for (const name of ['repository', 'class']) {
    byId(name).addEventListener('change', () => changeFilters({ [name]: byId(name).value }));
  }
  for (const button of kindButtons) button.addEventListener('click', () => showKind(button.dataset.kind));
  byId('pool-tag').addEventListener('click', () => changeFilters({ pool: '' }));
  byId('clear').addEventListener('click', clearFilters);
}

/** Draws the tools, and finds the items that match the filters. */
export function drawToolbar() {
  const pools = countPools(records);
  for (const button of kindButtons) button.setAttribute('aria-pressed', String(button.dataset.kind === view.kind));
  const jobs = [...records.jobs.values()];
  const items = [...jobs, ...records.runners.values()];
  setOptions(byId('repository'), jobs.map((job) => job.data.repository), view.repository, 'All repositories');
  setOptions(byId('class'), items.map((item) => item.data.class), view.class, 'All classes');
  if (byId('q').value !== view.q) byId('q').value = view.q;

  const matching = [...records.of(view.kind).values()].filter(matcher(view, pools));
  drawStates(matching);
  drawPoolTag(pools.get(view.pool));
  setVisible(byId('clear'), isFiltered());
  Object.assign(list, splitAndSort(matching.filter((item) => isInState(item, view.state))));
}

function setOptions(select, names, value, all) {
  const known = names.filter(Boolean).map(String);
  const options = [...new Set([...known, ...(value ? [value] : [])])].sort((a, b) => a.localeCompare(b));
  const signature = options.join('\n');
  if (select.dataset.sum !== signature) {
    select.dataset.sum = signature;
    select.replaceChildren(
      element('option', { value: '' }, all),
      ...options.map((name) => element('option', { value: name }, plainText(name))),
    );
  }
  if (select.value !== value) select.value = value;
  select.classList.toggle('on', value !== '');
}

function drawStates(items) {
  for (const [key, button] of stateButtons) {
    if (key.startsWith(`${view.kind}.`)) continue;
    button.root.remove();
    stateButtons.delete(key);
  }
  const isPartial = hasOlder(view.kind, serverFilter(false)) || records.evicted;
  for (const [state, word] of FILTER_STATES[view.kind]) {
    const key = `${view.kind}.${state}`;
    if (!stateButtons.has(key)) stateButtons.set(key, makeStateButton(state, word));
    const { root, count } = stateButtons.get(key);
    const total = items.filter((item) => isInState(item, state)).length;
    setText(count, `${formatNumber(total)}${isPartial && !isOpenState(state) ? '+' : ''}`);
    root.setAttribute('aria-pressed', String(view.state === state));
    root.classList.toggle('zero', total === 0);
  }
}

/** Whether all items in this state are known: everything that is open is read before the lists are shown. */
function isOpenState(state) {
  if (view.kind === 'jobs') return ['waiting', 'queued', 'in_progress'].includes(state);
  return state !== '' && state !== 'gone';
}

function makeStateButton(state, word) {
  const count = element('b');
  const root = element('button', {
    type: 'button', class: `state s-${state || 'all'}`,
    onclick: () => changeFilters({ state: view.state === state ? '' : state }),
  }, `${word} `, count);
  if (state === 'failed') root.title = 'completed with failure, timed out or startup failure';
  byId('states').append(root);
  return { root, count };
}

function drawPoolTag(pool) {
  const tag = byId('pool-tag');
  setVisible(tag, view.pool !== '');
  const name = pool ? `${textOrDash([...pool.repositories][0])} ${textOrDash(pool.class)}` : plainText(view.pool);
  setText(tag, view.pool ? `Pool ${name} ×` : '');
}

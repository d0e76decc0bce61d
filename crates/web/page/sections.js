// The sections of the page: jobs and runners, costs, and the deployment.

import { byId, setVisible } from './dom.js';
import { showSection } from './filters.js';
import { SECTIONS, view } from './state.js';

const buttons = document.querySelectorAll('#sections button');

export function startSections() {
  for (const button of buttons) button.addEventListener('click', () => showSection(button.dataset.section));
}

export function drawSections(isLoaded) {
  setVisible(byId('sections'), isLoaded);
  for (const section of SECTIONS) setVisible(byId(section), isLoaded && view.section === section);
  for (const button of buttons) {
    if (button.dataset.section === view.section) button.setAttribute('aria-current', 'page');
    else button.removeAttribute('aria-current');
  }
}

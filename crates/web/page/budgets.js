// What budgets are for and how they stand, in words.

import { CLOCK_MINUTES, formatTime, parseTime, plainText } from './format.js';

/** Names what a budget is for, and the period. */
export function nameOfBudget(budget) {
  const names = { deployment: 'Deployment', class: `Class ${plainText(budget.name)}`, repositories: plainText(budget.name) };
  return `${names[budget.of]}, ${budget.period}`;
}

/** Says how a budget stands, in words. */
export function stateOfBudget(budget, now) {
  if (budget.is_spent && budget.action === 'hold') return `held until ${formatTime(parseTime(budget.until), now, CLOCK_MINUTES)}`;
  if (budget.is_spent) return 'spent';
  return budget.forecast_usd > budget.limit_usd ? 'will be spent' : 'ok';
}

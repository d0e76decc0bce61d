// What budgets are for and how they stand, in words.

import { CLOCK_MINUTES, formatTime, parseTime, plainText } from './format.js';

/** Names what a budget is for. */
export function nameOfBudget(budget) {
  if (budget.of === 'deployment') return 'Deployment';
  return budget.of === 'class' ? `Class ${plainText(budget.name)}` : plainText(budget.name);
}

/** Says how a budget stands, in words. */
export function stateOfBudget(budget, now) {
  if (budget.is_spent && budget.action === 'hold') return `spent: launches held until ${formatTime(parseTime(budget.until), now, CLOCK_MINUTES)}`;
  if (budget.is_spent) return 'spent';
  return budget.forecast_usd > budget.limit_usd ? 'will be spent' : 'ok';
}

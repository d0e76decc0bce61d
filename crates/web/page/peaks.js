// What a job used of its runner, as facts of the details.

import { formatDuration } from './format.js';

const MIB = 1024 * 1024;
const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);
const inMib = (bytes) => `${Math.floor(bytes / MIB)} MiB`;

/** Returns the facts of what was measured; none if nothing was, as on one machine. */
export function peakFacts(peaks) {
  const {
    measured_ms: measured, cpu_ms: cpu, throttled_percent: throttled, memory_bytes: memory,
    memory_with_cache_bytes: withCache, disk_bytes: disk, oom_kills: kills,
  } = peaks ?? {};
  const busy = isNumber(cpu) && measured > 0 ? `, ${(cpu / measured).toFixed(2)} vCPU on average` : '';
  const limited = isNumber(throttled) ? `, at the limit in ${throttled} % of the time` : '';
  const cache = isNumber(withCache) ? `, ${inMib(withCache)} with file cache` : '';
  return [
    isNumber(cpu) && ['CPU time', `${formatDuration(cpu)}${busy}${limited}`, 'wrap'],
    isNumber(memory) && ['Memory', `at most ${inMib(memory)}${cache}`, 'wrap'],
    kills > 0 && ['Out of memory', `the kernel killed ${kills} of its processes`, 'wrap'],
    isNumber(disk) && ['Disk', `at most ${inMib(disk)} more than at its start`, 'wrap'],
  ];
}

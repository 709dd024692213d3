import type { Report } from '../model/report.ts'
import { kindOf, objectAt, shown, wrong } from './option-value.ts'

/**
 * Whether a value is a report that can be read here: one that was stored may be of another version, or no report at all.
 *
 * @throws FederationError `S2S_CONFIG` naming what is not as it has to be
 */
export function checkReport(value: unknown, where: string): asserts value is Report {
  const report = objectAt(value, where, 'a report')
  if (report['schema'] !== 1) throw wrong(`${where}.schema`, '1', shown(report['schema']))
  objectAt(report['peer'], `${where}.peer`)
  for (const list of ['trace', 'pairs', 'downgrades', 'alternatives'])
    if (!Array.isArray(report[list])) throw wrong(`${where}.${list}`, 'a list', kindOf(report[list]))
}

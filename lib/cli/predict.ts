import { predict as predictSides } from '../index.ts'
import type { SecurityLevel } from '../index.ts'
import { readTable } from '../policy/table.ts'
import type { TableRow } from '../policy/table.ts'
import { command, usageError } from './command.ts'
import { jsonText } from './json-text.ts'
import { readJsonFile } from './files.ts'
import { blaming } from './policy-options.ts'

/** A row that ends elsewhere than the table says. */
interface Disagreement extends TableRow {
  /** Counted from 1. */
  readonly number: number
  readonly predicted: SecurityLevel | undefined
}

/** `xmpp-federation predict --table FILE` */
export const predict = command({
  name: 'predict',
  summary: 'compare a table of described servers with what the rules say of them',
  about: [
    'Predicts where each row of the table ends, prints how many rows agree and each that does not. The exit code is 0 if all agree.',
    '',
    'The file is { "rows": [{ "initiator": …, "receiver": …, "expected": LEVEL or "none", "reason": … }] }. A side is',
    '{ "policy": PRESET, "options": { … }, "certificate": STATE, "offers": { "starttls": …, "external": …, "dialback": … } }, or in',
    'the words of Openfire\'s tests { "encryption": …, "certificate": …, "strict": …, "dialback": … }.'
  ].join('\n'),
  positionals: [],
  options: { table: { type: 'string', required: true, value: 'FILE', about: 'the table, JSON' } },
  async run({ table: file, json }, _, terminal) {
    const value = readJsonFile(file, '--table')
    const rows = blaming(file, () => readTable(value))
    if (rows.length === 0) throw usageError(`${file}: rows is empty`)
    const disagreements = rows.flatMap((row, index): readonly Disagreement[] => {
      const predicted = predictSides(row.initiator, row.receiver).level
      return predicted === row.expected ? [] : [{ ...row, number: index + 1, predicted }]
    })
    const counts = { rows: rows.length, agreeing: rows.length - disagreements.length }
    if (json) terminal.out(jsonText({ ...counts, disagreements: disagreements.map(plain) }, 2))
    else for (const line of [...disagreements.map(sentence), `${counts.agreeing} of ${counts.rows} agree.`]) terminal.out(line)
    return await Promise.resolve(disagreements.length === 0)
  }
})

function plain({ number, text, expected, predicted, reason }: Disagreement): object {
  return { row: number, sides: text, expected: expected ?? 'none', predicted: predicted ?? 'none', reason }
}

function sentence({ number, text, expected, predicted, reason }: Disagreement): string {
  const why = reason === undefined ? '' : ` The table's reason: ${reason}`
  return `Row ${number}: expected ${expected ?? 'none'}, predicted ${predicted ?? 'none'}: ${text}.${why}`
}

import { explain as explainReport, replay } from '../index.ts'
import type { Report } from '../index.ts'
import { checkReport } from '../rules/stored-report.ts'
import { command, usageError } from './command.ts'
import { readJsonFile } from './files.ts'
import { jsonText } from './json-text.ts'
import { blaming, optionsFromWords, presetName, presetOf } from './policy-options.ts'

/** `xmpp-federation explain FILE [--policy NAME] [--option NAME=VALUE …]` */
export const explain = command({
  name: 'explain',
  summary: 'say what a saved report means, and where another policy would have ended',
  about: [
    'Reads a report, as `check --json` prints it and applications keep it (- is standard input), and prints its steps and what the link is worth. With',
    '--policy or --option, what the same facts would have led to under that policy; with --json that alone, or the report itself.',
    'The exit code is 0 if a level was, or would have been, reached.'
  ].join('\n'),
  positionals: ['FILE'],
  options: {
    policy: { type: 'string', value: 'NAME', about: 'ladder, openfire36, encrypted or strict, instead of the policy of the report' },
    option: { type: 'string', multiple: true, value: 'NAME=VALUE', about: 'an option of the policy, such as acceptSelfSigned=true' }
  },
  async run(values, [file = ''], terminal) {
    const report = readReport(file)
    const policy = otherPolicy(values)
    if (policy === undefined) {
      terminal.out(values.json ? jsonText(report, 2) : whole(file, () => explainReport(report)))
      return await Promise.resolve(report.level !== undefined)
    }
    const replayed = whole(file, () => replay(report, policy))
    const level = 'unknown' in replayed ? undefined : replayed.level
    if (values.json) terminal.out(jsonText('unknown' in replayed ? replayed : { level: level ?? 'none', notes: replayed.notes }, 2))
    else {
      terminal.out(whole(file, () => explainReport(report)))
      terminal.out(`Under ${policy.name} ${'unknown' in replayed ? `nobody knows: ${replayed.unknown}` : `it ends at ${level ?? 'none'}`}.`)
      if (!('unknown' in replayed)) for (const note of replayed.notes) terminal.out(`  assumed: ${note}`)
    }
    return level !== undefined
  }
})

/** The policy that was asked for; undefined: none was. */
function otherPolicy({ policy, option }: { readonly policy: string | undefined; readonly option: readonly string[] | undefined }) {
  if (policy === undefined && option === undefined) return undefined
  return presetOf(presetName(policy ?? 'ladder', '--policy'), optionsFromWords(option ?? []), '--option')
}

/** A report has many parts; what is wrong with one that somebody has cut shows where it is read. */
function whole<T>(file: string, read: () => T): T {
  try {
    return blaming(file, read)
  } catch (cause) {
    if (cause instanceof TypeError) throw usageError(`${file} is not the whole of a report`, cause)
    throw cause
  }
}

function readReport(file: string): Report {
  const value = readJsonFile(file, 'FILE')
  return blaming(file, () => {
    checkReport(value, 'the report')
    return value
  })
}

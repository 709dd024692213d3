import { dirname } from 'node:path'
import { pino } from 'pino'
import { createFederation } from '../index.ts'
import type { Federation } from '../index.ts'
import { answerTo } from './answers.ts'
import { command, usageError } from './command.ts'
import { jsonText } from './json-text.ts'
import { readJsonFile } from './files.ts'
import { placeText } from './places.ts'
import { blaming } from './policy-options.ts'
import { readServeConfig } from './serve-config.ts'

const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const

/** `xmpp-federation serve --config FILE.json` */
export const serve = command({
  name: 'serve',
  summary: 'a standalone federating server for labs and harnesses',
  about: [
    'Listens for other servers and dials them to answer: XEP-0199 pings, disco#info, messages if the config says "echo": true, and',
    'service-unavailable to the rest. Prints where it listens; with --json as one line of JSON. Logs every link with its domain',
    'pairs and levels to standard error, a line of JSON each. SIGINT and SIGTERM stop it; so it succeeds.',
    '',
    'The config is described in docs/serve.md; file names in it are relative to the config file.'
  ].join('\n'),
  positionals: [],
  options: {
    config: { type: 'string', required: true, value: 'FILE', about: 'the config, JSON' },
    log: { type: 'string', value: 'LEVEL', about: `one of ${LEVELS.join(', ')}; default: info` }
  },
  async run(values, _, terminal) {
    const file = values.config
    const level = LEVELS.find(each => each === (values.log ?? 'info'))
    if (level === undefined) throw usageError(`--log has to be one of ${LEVELS.join(', ')}, not ${JSON.stringify(values.log)}`)
    const { federation: options, echo } = readConfig(file)
    const logger = pino({ level }, pino.destination(2))
    const federation: Federation = blaming(file, () =>
      createFederation({
        ...options,
        logger,
        onStanza: stanza => {
          const answer = answerTo(stanza, echo)
          // Not awaited: the way back may have to be negotiated first, and the stream need not wait for it. A failure is logged.
          if (answer !== undefined) void federation.send(answer)
        }
      })
    )
    const asked = interruption()
    await federation.start()
    const addresses = federation.addresses
    if (values.json) terminal.out(jsonText({ listening: addresses }))
    else for (const each of addresses) terminal.out(`Listening on ${placeText({ host: each.address, port: each.port })} (${each.tls})`)
    logger.info({ signal: await asked }, 'stopping')
    await federation.stop({ drain: true, signal: AbortSignal.timeout(DRAIN) })
    return true
  }
})

/** Answers that still queue get this long when the server is stopped. */
const DRAIN = 2_000

function readConfig(file: string): ReturnType<typeof readServeConfig> {
  const config = readJsonFile(file, '--config')
  return blaming(file, () => readServeConfig(config, dirname(file)))
}

/** The first SIGINT or SIGTERM; a second one ends the process at once. */
function interruption(): Promise<NodeJS.Signals> {
  return new Promise(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve)
  })
}

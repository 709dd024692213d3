import { createFederation, dnsResolver, domain, explain } from '../index.ts'
import type { Credentials, DialbackSecret, Federation, FederationOptions, Report } from '../index.ts'
import { command, usageError } from './command.ts'
import { jsonText } from './json-text.ts'
import type { Options, Values } from './command.ts'
import { readNamedFile, readSecretFile } from './files.ts'
import { placeText, readPlace } from './places.ts'
import { blaming, optionsFromWords, presetName, presetOf } from './policy-options.ts'

const OPTIONS = {
  from: { type: 'string', required: true, value: 'DOMAIN', about: 'the domain to speak for' },
  resolver: { type: 'string', value: 'HOST:PORT', about: "a DNS server to ask; default: the system's" },
  cert: { type: 'string', value: 'FILE', about: 'PEM, our certificate and what leads to its issuer; needs --key' },
  key: { type: 'string', value: 'FILE', about: 'PEM, its private key' },
  ca: { type: 'string', value: 'FILE', about: 'PEM, an authority to trust beside the bundled ones' },
  secret: { type: 'string', value: 'FILE', about: 'the dialback secret of the servers of the --from domain, for them to confirm our key' },
  listen: { type: 'string', value: 'HOST:PORT', about: 'where to listen meanwhile, for the call back of dialback' },
  policy: { type: 'string', value: 'NAME', about: 'ladder (default), openfire36, encrypted or strict' },
  option: { type: 'string', multiple: true, value: 'NAME=VALUE', about: 'an option of the policy, such as dialback=over-tls' },
  'allow-private': { type: 'boolean', about: 'dial private and loopback addresses that come from DNS' }
} as const satisfies Options

type Given = Values<typeof OPTIONS>

/** `xmpp-federation check DOMAIN --from DOMAIN` */
export const check = command({
  name: 'check',
  summary: 'negotiate with a domain, keep nothing, and say how far up the ladder it went',
  about: [
    'Negotiates as a server for the domain of --from would, sends no stanza, and prints every step. With --json, the report.',
    'The exit code is 0 if a level was reached.',
    '',
    'Dialback is confirmed by calling the servers of the --from domain: either they are running, and --secret has the secret that',
    'they make keys from (XEP-0185; `dialback_secret` of Prosody), or its SRV record leads to the address of --listen. Without',
    'either, only SASL EXTERNAL (--cert, --key) can succeed.'
  ].join('\n'),
  positionals: ['DOMAIN'],
  options: OPTIONS,
  async run(values, [name = ''], terminal) {
    const target = blaming('DOMAIN', () => domain(name))
    const sender = blaming('--from', () => domain(values.from))
    if (sender === target) throw usageError(`DOMAIN and --from are both ${sender}: no server federates with itself`)
    const federation = createFederation({ domains: { [sender]: credentialsOf(values) }, ...optionsOf(values), onStanza: () => undefined })
    const calls = callsTo(federation)
    federation.on('negotiation-started', ({ peer }) => {
      if (peer.direction === 'outgoing' && peer.oursBecause !== undefined) terminal.note(`--cert does not verify here: ${peer.oursBecause}`)
    })
    if (values.listen === undefined && values.secret === undefined) beforeSilence(federation, () => terminal.note(SILENCE))
    try {
      await federation.start()
      const report = await federation.probe({ sender, target })
      if (values.json) terminal.out(jsonText(report, 2))
      else for (const line of [explain(report), ...adviceOn(report, calls, values)]) terminal.out(line)
      return report.level !== undefined
    } finally {
      await federation.stop()
    }
  }
})

function credentialsOf({ cert, key }: Given): Credentials | undefined {
  if (cert === undefined && key === undefined) return undefined
  if (cert === undefined || key === undefined) throw usageError('--cert and --key belong together')
  return { cert: readNamedFile(cert, '--cert'), key: readNamedFile(key, '--key') }
}

function optionsOf(values: Given): Omit<FederationOptions, 'domains' | 'onStanza'> {
  const preset = presetName(values.policy ?? 'ladder', '--policy')
  return {
    policy: presetOf(preset, optionsFromWords(values.option ?? []), '--option'),
    listen: values.listen === undefined ? false : [readPlace('--listen', values.listen)],
    allowPrivateAddresses: values['allow-private'] === true,
    ...(values.resolver === undefined ? {} : { resolver: dnsResolver({ servers: [placeText(readPlace('--resolver', values.resolver))] }) }),
    ...(values.secret === undefined ? {} : { dialbackSecret: secretIn(values.secret) }),
    ...(values.ca === undefined ? {} : { trust: { also: [readNamedFile(values.ca, '--ca')] } })
  }
}

function secretIn(file: string): DialbackSecret {
  const current = readSecretFile(file, '--secret')
  if (Buffer.byteLength(current) < 32) throw usageError(`--secret: ${file} has less than 32 bytes`)
  return { current }
}

/** What comes in meanwhile: the call back of dialback, if all is well. */
interface Calls {
  begun: number
  /** What went wrong with one, in a sentence. */
  failure: string | undefined
}

function callsTo(federation: Federation): Calls {
  const calls: Calls = { begun: 0, failure: undefined }
  federation.on('negotiation-started', ({ peer }) => {
    if (peer.direction === 'incoming') calls.begun += 1
  })
  federation.on('negotiation-ended', ({ report: { peer, error } }) => {
    if (peer.direction === 'incoming') calls.failure ??= error?.message
  })
  return calls
}

const SILENCE = 'Only dialback is left, and nobody listens here for its call back: the peer will hardly answer. See --listen and --secret.'

/** Tells, before it is waited for, that nothing but dialback is left to try. */
function beforeSilence(federation: Federation, tell: () => void): void {
  let isWanted = false
  // What is not tried is told in one turn, dialback last: behind it the step that takes its time has begun.
  const look = (): void => {
    setImmediate(() => {
      if (isWanted) tell()
      isWanted = false
    })
  }
  federation.on('negotiation-ended', () => (isWanted = false))
  federation.on('negotiation-step', ({ peer, entry: { step, outcome, facts } }) => {
    if (peer.direction !== 'outgoing') return
    const answered = 'question' in facts ? facts : undefined
    if (answered?.question === 'proofs') isWanted = answered.answer.split(',').includes('dialback')
    else if (step === 'dialback') isWanted = false
    else if (step === 'sasl-external' && (outcome === 'skipped' || outcome === 'absent')) look()
    else if (answered?.answer === 'next-proof') look()
  })
}

/** The stream was ended for another reason than that the call back failed (RFC 6120 §4.9.3.15). */
function isTurnedAway({ code, message = '' }: Report['trace'][number]): boolean {
  return code === 'S2S_STREAM_ERROR_RECEIVED' && !message.includes('remote-connection-failed')
}

/** What the ladder itself cannot know: how this command was called, and what became of the call back. */
function adviceOn(report: Report, { begun, failure }: Calls, values: Given): readonly string[] {
  const asked = report.trace.filter(({ step, outcome }) => step === 'dialback' && outcome !== 'skipped' && outcome !== 'absent')
  if (report.level !== undefined || asked.length === 0) return []
  if (values.listen === undefined && values.secret !== undefined)
    return [`Our key was not confirmed: the servers of ${values.from} have to be running, with the secret of --secret.`]
  if (values.listen === undefined) return ['Nobody was listening for the call back of dialback here: see --listen and --secret.']
  // A peer that turns the request itself away has called nobody.
  if (begun === 0 && asked.every(isTurnedAway)) return []
  if (begun === 0)
    return [`Nobody called back at ${values.listen}: the peer cannot reach it, or finds other servers for ${values.from} in DNS.`]
  if (failure === undefined) return []
  const noTls = values.cert === undefined ? ['Without --cert and --key no TLS is offered to who calls back.'] : []
  return [`The call back of dialback came to nothing here: ${failure}`, ...noTls]
}

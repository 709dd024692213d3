import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { domain } from '../index.ts'
import type { Domain } from '../index.ts'
import { CERTIFICATE_STATES, createAuthority } from '../testing/index.ts'
import type { Authority, CertificateState } from '../testing/index.ts'
import { command, usageError } from './command.ts'
import { jsonText } from './json-text.ts'
import { readNamedFile, systemReason } from './files.ts'
import { blaming } from './policy-options.ts'

/** One certificate that was written. */
interface Written {
  readonly domain: Domain
  readonly state: CertificateState
  readonly cert: string
  readonly key: string
}

const STATES = Object.keys(CERTIFICATE_STATES) as readonly CertificateState[]

/** `xmpp-federation certs DIR --domain D [--state S …]` */
export const certs = command({
  name: 'certs',
  summary: 'write a development CA and certificates as PEM',
  about: [
    'Writes DIR/ca.pem and DIR/ca.key, and for each domain DIR/DOMAIN.pem and DIR/DOMAIN.key; for other states than valid the',
    'files are DIR/DOMAIN.STATE.pem and .key. An authority that is in DIR already is used again, other files are overwritten.',
    'For labs only: the keys are not protected by a passphrase.',
    '',
    'States:',
    ...STATES.filter(state => state !== 'missing').map(state => `  ${state.padEnd(16)}  ${CERTIFICATE_STATES[state]}`)
  ].join('\n'),
  positionals: ['DIR'],
  options: {
    domain: { type: 'string', multiple: true, required: true, value: 'DOMAIN', about: 'a domain to certify' },
    state: { type: 'string', multiple: true, value: 'STATE', about: 'a state to make its certificate in; default: valid' }
  },
  async run(values, positionals, terminal) {
    const [folder = '.'] = positionals
    const domains = values.domain.map(name => blaming('--domain', () => domain(name)))
    const states = (values.state ?? ['valid']).map(readState)
    const written = attempt(folder, () => writeAll(folder, domains, states))
    const ca = join(folder, 'ca.pem')
    if (values.json) terminal.out(jsonText({ ca, certificates: written }, 2))
    else for (const line of [ca, ...written.map(({ cert, key }) => `${cert}  ${key}`)]) terminal.out(line)
    return await Promise.resolve(true)
  }
})

function readState(text: string): Exclude<CertificateState, 'missing'> {
  const state = STATES.find(each => each === text)
  if (state === undefined)
    throw usageError(`--state has to be one of ${STATES.filter(each => each !== 'missing').join(', ')}, not ${JSON.stringify(text)}`)
  if (state === 'missing') throw usageError('--state missing is no certificate to write: configure the domain without one')
  return state
}

function writeAll(folder: string, domains: readonly Domain[], states: readonly Exclude<CertificateState, 'missing'>[]): readonly Written[] {
  mkdirSync(folder, { recursive: true })
  const authority = authorityIn(folder)
  return domains.flatMap(name =>
    states.map(state => {
      const { cert, key } = authority.issue(name, { state })
      const base = join(folder, state === 'valid' ? name : `${name}.${state}`)
      writeFileSync(`${base}.pem`, cert)
      writeSecret(`${base}.key`, key)
      return { domain: name, state, cert: `${base}.pem`, key: `${base}.key` }
    })
  )
}

/** The authority that an earlier run left, so that certificates can be added to a lab; a new one otherwise. */
function authorityIn(folder: string): Authority {
  const [certificate, key] = [join(folder, 'ca.pem'), join(folder, 'ca.key')]
  if (existsSync(certificate) && existsSync(key)) {
    const existing = { certificate: readNamedFile(certificate, 'the authority'), key: readNamedFile(key, 'the key of the authority') }
    return blaming(certificate, () => createAuthority({ existing }))
  }
  const authority = createAuthority({ name: 'Development authority of xmpp-federation' })
  writeFileSync(certificate, authority.certificate)
  writeSecret(key, authority.key)
  return authority
}

function writeSecret(path: string, text: string | Buffer): void {
  writeFileSync(path, text, { mode: 0o600 })
  // The mode above counts for new files only.
  chmodSync(path, 0o600)
}

function attempt<T>(folder: string, make: () => T): T {
  try {
    return make()
  } catch (cause) {
    if (cause instanceof Error && 'syscall' in cause) throw usageError(`${folder} cannot be written: ${systemReason(cause)}`, cause)
    throw cause
  }
}

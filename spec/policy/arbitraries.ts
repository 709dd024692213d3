import fc from 'fast-check'
import { FederationError } from '../../lib/errors.ts'
import type { ErrorCode } from '../../lib/errors.ts'
import { MISSING_CERTIFICATE } from '../../lib/model/certificate.ts'
import type { CertificateVerdict } from '../../lib/model/certificate.ts'
import type { Attempt, Endpoint } from '../../lib/model/endpoint.ts'
import type { Proof } from '../../lib/model/level.ts'
import type { Admission, Guard, Policy } from '../../lib/model/policy.ts'
import { NO_FEATURES } from '../../lib/model/stream.ts'
import type { StreamFeatures } from '../../lib/model/stream.ts'
import type { Met, MetProof, MetStream, World } from '../../lib/rules/world.ts'
import { EXPIRED, SELF_SIGNED, VALID, endpoint, invalid } from '../rules/peers.ts'

const verdicts: readonly CertificateVerdict[] = [
  VALID,
  VALID,
  VALID,
  VALID,
  SELF_SIGNED,
  EXPIRED,
  invalid({ kind: 'untrusted-issuer', issuer: 'CN=x' }),
  MISSING_CERTIFICATE
]

/** What policies are not meant to answer, and may. */
const rubbish = fc.constantFrom<unknown>('maybe', null, 7, {}, { answer: 'x' }, [], ['faith'])
const throws = Symbol('throws')

/** A word, a word with a reason, nothing, and now and then rubbish or a throw. */
function said(...words: readonly string[]): fc.Arbitrary<unknown> {
  const word = fc.constantFrom(...words)
  return fc.oneof(
    { weight: 30, arbitrary: word },
    { weight: 6, arbitrary: word.map(answer => ({ answer, because: 'so' })) },
    { weight: 6, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: rubbish },
    { weight: 1, arbitrary: fc.constant(throws) }
  )
}

/** A question answered differently from case to case, and always alike in the same case. */
function question(answers: fc.Arbitrary<unknown>): fc.Arbitrary<(...about: unknown[]) => unknown> {
  return fc.infiniteStream(answers).map(stream => {
    const known = new Map<string, unknown>()
    return (...about) => {
      const key = JSON.stringify(about, (_, value: unknown) => (FederationError.is(value) ? value.code : value))
      if (!known.has(key)) known.set(key, stream.next().value)
      const answer = known.get(key)
      if (answer === throws) throw new Error('a policy that throws')
      return answer
    }
  })
}

const proofLists = fc.oneof(
  { weight: 5, arbitrary: fc.constant(['sasl-external', 'sasl-plain', 'dialback']) },
  { weight: 10, arbitrary: fc.subarray<unknown>(['sasl-external', 'sasl-plain', 'dialback'], { minLength: 1 }) },
  { weight: 2, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: rubbish }
)

export const anyPolicy: fc.Arbitrary<Policy> = fc
  .record({
    name: fc.constant('random'),
    admit: question(fc.oneof({ weight: 20, arbitrary: fc.constant('admit') }, { weight: 1, arbitrary: said('refuse') })),
    tls: question(said('never', 'when-offered', 'when-offered', 'required')),
    certificate: question(said('authenticate', 'authenticate', 'encrypt-only', 'reject')),
    proofs: question(proofLists),
    afterFailure: question(
      said('next-proof', 'reconnect-tls', 'next-endpoint', 'reconnect-plain', 'reconnect-plain', 'reconnect-plain', 'give-up')
    ),
    minimumLevel: question(said('plain-dialback', 'plain-dialback', 'plain-dialback', 'tls-dialback', 'sasl-plain', 'sasl-external'))
  })
  // What it answers is for the rules to sort out; its type promises more than it keeps.
  .map(policy => policy as unknown as Policy)

const rarely = (...words: readonly string[]): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: said(...words) })

export const anyGuard: fc.Arbitrary<Guard> = fc
  .record({
    kind: fc.constant('guard'),
    name: fc.constant('random guard'),
    admit: question(fc.oneof({ weight: 30, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.constant('refuse') })),
    tls: question(rarely('required', 'never')),
    certificate: question(rarely('reject', 'encrypt-only', 'authenticate')),
    plain: question(rarely('refuse')),
    minimumLevel: question(rarely('plain-dialback', 'tls-dialback', 'sasl-external'))
  })
  .map(guard => guard as unknown as Guard)

interface Behaviour {
  readonly tls: Endpoint['tls']
  readonly connects: boolean
  readonly starttls: StreamFeatures['starttls']
  readonly dialback: boolean
  readonly handshake: ErrorCode | 'ok'
  readonly verdict: CertificateVerdict
  readonly inTls: ErrorCode | 'ok'
  readonly mechanisms: readonly string[]
  readonly sasl: 'ok' | 'refused' | 'closed'
  readonly answer: 'ok' | 'refused' | 'closed'
}

const behaviour: fc.Arbitrary<Behaviour> = fc.record({
  tls: fc.constantFrom('starttls', 'starttls', 'starttls', 'direct'),
  connects: fc.constantFrom(true, true, true, false),
  starttls: fc.constantFrom('offered', 'offered', 'absent', 'required'),
  dialback: fc.constantFrom(true, true, true, false),
  handshake: fc.constantFrom('ok', 'ok', 'ok', 'S2S_TLS_HANDSHAKE', 'S2S_TLS_REFUSED', 'S2S_TIMEOUT', 'S2S_TLS_INJECTION'),
  verdict: fc.constantFrom(...verdicts),
  inTls: fc.constantFrom('ok', 'ok', 'ok', 'ok', 'S2S_CERTIFICATE_REFUSED', 'S2S_TIMEOUT'),
  mechanisms: fc.constantFrom<readonly string[]>([], ['EXTERNAL'], ['PLAIN'], ['EXTERNAL', 'PLAIN']),
  sasl: fc.constantFrom('ok', 'ok', 'refused', 'closed'),
  answer: fc.constantFrom('ok', 'ok', 'refused', 'closed')
})

/** A peer of up to four servers, each behaving in its own way, the same at every visit. */
export class ScriptedServers implements World {
  readonly hasPassword: boolean
  readonly endpoints: readonly Endpoint[]
  readonly #servers: ReadonlyMap<Endpoint, Behaviour>

  constructor(behaviours: readonly Behaviour[], hasPassword: boolean) {
    this.endpoints = behaviours.map(({ tls }, index) => endpoint(`server${index}.example`, tls))
    this.#servers = new Map(this.endpoints.map((each, index) => [each, behaviours[index] ?? fail('no such server')]))
    this.hasPassword = hasPassword
  }

  of({ endpoint: at }: Pick<Attempt, 'endpoint'>): Behaviour {
    return this.#servers.get(at) ?? fail(`nobody is at ${at.host}`)
  }

  resolve(): Met<'resolve'> {
    return { facts: { endpoints: this.endpoints, failures: [] } }
  }

  connect(attempt: Attempt): Met<'connect'> {
    const { endpoint: at, encryption } = attempt
    return { facts: { endpoint: at, encryption }, ...failing(this.of(attempt).connects ? 'ok' : 'S2S_CONNECT_FAILED') }
  }

  openStream(attempt: Attempt, encrypted: boolean): MetStream {
    const { starttls, dialback, mechanisms, inTls } = this.of(attempt)
    const features = { ...NO_FEATURES, dialback, ...(encrypted ? { mechanisms } : { starttls }) }
    return { facts: { encrypted, version: '1.0', features }, features, ...failing(encrypted ? inTls : 'ok') }
  }

  negotiateTls(attempt: Attempt, requiredByPeer: boolean): Met<'negotiate-tls'> {
    return { facts: { requiredByPeer }, ...failing(this.of(attempt).handshake) }
  }

  certificate(attempt: Attempt): CertificateVerdict {
    return this.of(attempt).verdict
  }

  prove(proof: Proof, attempt: Attempt, encrypted: boolean): MetProof {
    const { sasl, answer } = this.of(attempt)
    const end = proof === 'dialback' ? answer : sasl
    const code =
      end === 'ok' ? 'ok' : end === 'closed' ? 'S2S_STREAM_CLOSED' : proof === 'dialback' ? 'S2S_DIALBACK_ERROR' : 'S2S_SASL_REFUSED'
    return { facts: proof === 'dialback' ? { encrypted } : {}, lives: end !== 'closed', ...failing(code) }
  }

  restart(): Met<'open-stream'> {
    return { facts: { encrypted: true } }
  }

  verify(): Met<'dialback'> {
    return { facts: { encrypted: false, answer: 'valid' } }
  }

  admitLater(): Admission {
    return 'admit'
  }
}

export const anyServers: fc.Arbitrary<ScriptedServers> = fc
  .tuple(fc.array(behaviour, { minLength: 0, maxLength: 4 }), fc.boolean())
  .map(([behaviours, hasPassword]) => new ScriptedServers(behaviours, hasPassword))

function failing(code: ErrorCode | 'ok'): { readonly error?: FederationError } {
  return code === 'ok' ? {} : { error: new FederationError(code) }
}

function fail(what: string): never {
  throw new Error(what)
}

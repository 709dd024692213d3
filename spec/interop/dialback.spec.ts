import assert from 'node:assert/strict'
import { explain, policies, type Credentials } from '../../lib/index.ts'
import { ENGINE, suiteLab, type Engine } from './lab.ts'
import { KINDS, type ServerKind } from './server.ts'

/** Nobody listens there. */
const CLOSED_PORT = 1
const PATIENCE = 3_000

/** What is said of a key that nobody can be asked about. */
const UNREACHABLE: Readonly<Record<ServerKind, RegExp>> = {
  // It answers nothing for 90 seconds; we do not wait for that.
  prosody: /^S2S_TIMEOUT /,
  ejabberd: /^S2S_DIALBACK_ERROR /
}

for (const kind of KINDS)
  describe(`dialback that is refused by ${kind}`, () => {
    const lab = suiteLab(kind, { variant: 'default' })
    let engine: Engine
    let other: Engine

    // Without a certificate that verifies, nothing but dialback is left.
    const selfSigned = (): Credentials => lab().authority.issue(ENGINE, { state: 'self-signed' })

    beforeEach(async () => {
      const options = { domains: { [ENGINE]: selfSigned() }, policy: policies.ladder({ invalidCertificate: 'encrypt-only' }) }
      engine = await lab().engine({ ...options, timeouts: { dialback: PATIENCE } })
      // Another that claims to be the same domain, with a secret of its own.
      other = await lab().engine(options)
    })

    afterEach(() => Promise.all([engine.stop(), other.stop()]))

    /** How dialback ended: with ejabberd it comes after EXTERNAL, which it refuses. */
    async function refused(): Promise<string> {
      const report = await engine.federation.probe(engine.pair)
      assert.equal(report.level, undefined, explain(report))
      const { code, message = '' } = report.trace.find(({ step }) => step === 'dialback') ?? assert.fail(explain(report))
      return `${code} ${message}`
    }

    it('because the server that DNS names does not know the key', async () => {
      lab().publish(ENGINE, other.at)
      assert.match(await refused(), /^S2S_DIALBACK_INVALID /)
    })

    it('because nobody answers where DNS leads', async () => {
      lab().publish(ENGINE, { ...other.at, port: CLOSED_PORT })
      assert.match(await refused(), UNREACHABLE[kind])
    })

    it('and not when DNS is right again', async () => {
      lab().publish(ENGINE, engine.at)
      const { level } = await engine.federation.connect(engine.pair)
      assert.equal(level, 'tls-dialback')
    })
  })

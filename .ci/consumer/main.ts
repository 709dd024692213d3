// What a user of the published package writes first: both entry points, with their types, in an empty project.
import { createFederation, domain, explain, FederationError, policies, predict, type Report } from 'xmpp-federation'
import { createAuthority } from 'xmpp-federation/testing'

const authority = createAuthority()
const engine = createFederation({
  domains: { 'verona.example': authority.issue('verona.example') },
  policy: policies.encrypted(),
  trust: { default: [authority.certificate] },
  listen: [{ host: '127.0.0.1', port: 0 }],
  overrides: { 'nobody.example': { host: '127.0.0.1', port: 1 } },
  onStanza: stanza => {
    console.log(stanza.element.toString())
  }
})

await engine.start()
const report: Report = await engine.probe({ sender: domain('verona.example'), target: domain('nobody.example') })
console.log(explain(report))
await engine.stop()

try {
  domain('not a domain')
  process.exitCode = 1
} catch (error) {
  if (!FederationError.is(error) || error.code !== 'S2S_ADDRESS') process.exitCode = 1
}
if (report.level !== undefined || report.error?.code !== 'S2S_CONNECT_FAILED') process.exitCode = 1

const side = { policy: policies.ladder(), certificate: 'valid' } as const
if (predict(side, side).level !== 'sasl-external') process.exitCode = 1

import assert from 'node:assert/strict'
import { domain, FederationError } from '../../lib/index.ts'
import type { Zone } from '../../lib/testing/zone.ts'
import { suiteLab, type Engine } from './lab.ts'
import { KINDS } from './server.ts'

const STANDARD_PORT = 5269
/** Nobody listens there. */
const CLOSED_PORT = 1

/** Where one side listens. */
interface Place {
  readonly address: string
  readonly port: number
  readonly directPort: number
}

interface Way {
  readonly publish: (zone: Zone, name: string, place: Place) => void
  /** How we come there; undefined: not at all. */
  readonly tls: 'starttls' | 'direct' | undefined
  /** How Prosody comes to us, where that is another way. */
  readonly prosody?: 'direct'
}

const starttls = (
  zone: Zone,
  name: string,
  ...targets: { readonly port: number; readonly priority?: number; readonly target?: string }[]
): void => {
  zone.srv(`_xmpp-server._tcp.${name}`, targets.map(each => ({ target: `host.${name}`, ...each }))) // prettier-ignore
}
const direct = (
  zone: Zone,
  name: string,
  target: { readonly port: number; readonly priority?: number; readonly target?: string }
): void => {
  zone.srv(`_xmpps-server._tcp.${name}`, [{ target: `host.${name}`, ...target }])
}

const WAYS: Readonly<Record<string, Way>> = {
  'records for direct TLS only': {
    publish: (zone, name, { directPort }) => {
      direct(zone, name, { port: directPort })
    },
    tls: 'direct'
  },
  'records of both kinds, with direct TLS preferred': {
    publish: (zone, name, { port, directPort }) => {
      direct(zone, name, { port: directPort, priority: 1 })
      starttls(zone, name, { port, priority: 2 })
    },
    tls: 'direct'
  },
  'records of both kinds, with STARTTLS preferred': {
    publish: (zone, name, { port, directPort }) => {
      direct(zone, name, { port: directPort, priority: 2 })
      starttls(zone, name, { port, priority: 1 })
    },
    tls: 'starttls',
    // It asks for direct TLS first, and compares no priorities of the two.
    prosody: 'direct'
  },
  'records that say that there is no direct TLS, beside one for STARTTLS': {
    publish: (zone, name, { port }) => {
      direct(zone, name, { port: 0, target: '.' })
      starttls(zone, name, { port })
    },
    tls: 'starttls'
  },
  'records that say that there is no STARTTLS, beside one for direct TLS': {
    publish: (zone, name, { directPort }) => {
      direct(zone, name, { port: directPort })
      starttls(zone, name, { port: 0, target: '.' })
    },
    tls: 'direct'
  },
  'records of both kinds, where nobody listens for direct TLS': {
    publish: (zone, name, { port }) => {
      direct(zone, name, { port: CLOSED_PORT, priority: 1 })
      starttls(zone, name, { port, priority: 2 })
    },
    tls: 'starttls'
  },
  'no records, but an address': { publish: () => undefined, tls: 'starttls' },
  'a first target where nobody listens': {
    publish: (zone, name, { port }) => {
      starttls(zone, name, { port: CLOSED_PORT, priority: 1 }, { port, priority: 2 })
    },
    tls: 'starttls'
  },
  'records that say that there is no such service': {
    publish: (zone, name) => {
      starttls(zone, name, { target: '.', port: 0 })
      direct(zone, name, { target: '.', port: 0 })
    },
    tls: undefined
  }
}

const OURS = Object.keys(WAYS).map((_, index) => `way${index}.engine.test`)

for (const kind of KINDS)
  describe(`found by DNS, and ${kind}`, () => {
    let engine: Engine | undefined
    const lab = suiteLab(kind, { variant: 'default', domains: OURS })

    afterEach(() => engine?.stop())

    Object.entries(WAYS).forEach(([what, { publish, tls, prosody }], index) => {
      const back = kind === 'prosody' ? (prosody ?? tls) : tls
      it(`${what}: ${tls ?? 'nobody comes'}, ${back === tls ? 'both ways' : `and ${back} back`}`, async () => {
        const { dns, server, theirs } = lab()
        const ours = OURS[index] ?? assert.fail('a name for each')
        engine = await lab().engine({ domains: { [ours]: lab().authority.issue(ours) }, port: STANDARD_PORT })
        for (const [name, place] of [
          [ours, { ...engine.at, directPort: engine.directAt.port }],
          [theirs, server]
        ] as const) {
          for (const kindOfRecord of ['_xmpp-server', '_xmpps-server']) dns.zone.remove(`${kindOfRecord}._tcp.${name}`)
          dns.zone.addresses(name, [place.address])
          dns.zone.addresses(`host.${name}`, [place.address])
          publish(dns.zone, name, place)
        }
        assert.equal(await engine.pinged(), tls !== undefined)
        const incoming = engine.federation.links().filter(({ direction }) => direction === 'incoming')
        assert.deepEqual(
          incoming.map(({ report }) => report.trace.find(({ step }) => step === 'open-stream' || step === 'negotiate-tls')?.step),
          back === undefined ? [] : [back === 'direct' ? 'negotiate-tls' : 'open-stream'],
          'how it begins'
        )
        const link = await engine.federation
          .connect({ sender: domain(ours), target: domain(theirs) })
          .catch((error: unknown) => FederationError.from(error))
        if (tls === undefined) assert.equal(FederationError.is(link) && link.code, 'S2S_DNS_SERVICE_REFUSED')
        else {
          if (FederationError.is(link)) throw link
          assert.deepEqual([link.report.endpoint?.tls, link.level], [tls, 'sasl-external'])
          assert.equal(await engine.ping(), 'result')
        }
      })
    })
  })

import { Duplex } from 'node:stream'
import { FederationError } from '../../lib/errors.ts'
import type { Secured, Tls } from '../../lib/model/plugs.ts'
import type { Policy } from '../../lib/model/policy.ts'
import type { Offers } from '../../lib/model/side.ts'
import { layer } from '../../lib/policy/layer.ts'

/** A policy that offers less when it receives: what `offers` says of a described side, for a real engine. */
export function narrowedPolicy(policy: Policy, offers: Offers | undefined): Policy {
  if (offers === undefined) return policy
  const narrowing: Policy = {
    name: 'narrowed',
    tls: peer => (peer.direction === 'incoming' && offers.starttls === false ? 'never' : undefined),
    proofs(peer, encrypted, use) {
      if (peer.direction !== 'incoming') return undefined
      const wish = policy.proofs?.(peer, encrypted, use) ?? []
      const hidden = [
        ...(offers.external === undefined || offers.external === true ? [] : ['sasl-external']),
        ...(offers.dialback === false ? ['dialback'] : [])
      ]
      return wish.filter(proof => !hidden.includes(proof))
    }
  }
  return layer(narrowing, policy)
}

/** A Tls that behaves as some servers do: every handshake fails, or EXTERNAL is offered to everybody and refused. */
export function narrowedTls(tls: Tls, offers: Offers | undefined): Tls {
  if (offers?.starttls === 'fails') return { ...boundTo(tls), server: connection => failing(connection) }
  if (offers?.external === 'refused')
    return { ...boundTo(tls), server: async (connection, options) => refusingExternal(await tls.server(connection, options)) }
  return tls
}

function boundTo(tls: Tls): Tls {
  return {
    createContext: credentials => tls.createContext(credentials),
    client: (c, o) => tls.client(c, o),
    server: (c, o) => tls.server(c, o)
  }
}

function failing(connection: Duplex): Promise<never> {
  connection.destroy()
  return Promise.reject(new FederationError('S2S_TLS_HANDSHAKE'))
}

const MECHANISMS = `<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>`
const REFUSAL = `<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>`

/** Stands between the engine and its peer inside TLS: adds EXTERNAL to each set of features, and answers `<auth/>` itself. */
function refusingExternal(secured: Secured): Secured {
  const inner = secured.duplex
  const outer = new Duplex({
    read: () => inner.resume(),
    write(chunk: Buffer, _encoding, done) {
      inner.write(chunk.toString().replace('<stream:features>', `<stream:features>${MECHANISMS}`), done)
    },
    final: done => inner.end(done),
    destroy(error, done) {
      inner.destroy(error ?? undefined)
      done(error)
    }
  })
  inner.on('data', (chunk: Buffer) => {
    const text = chunk.toString()
    const passed = text.replace(/<auth [^>]*>[^<]*<\/auth>/, () => {
      inner.write(REFUSAL)
      return ''
    })
    if (passed !== '' && !outer.push(passed)) inner.pause()
  })
  inner
    .on('end', () => outer.push(null))
    .on('error', error => outer.destroy(error))
    .on('close', () => outer.destroy())
  return { ...secured, duplex: outer }
}

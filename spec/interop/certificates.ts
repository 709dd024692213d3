import { createPrivateKey } from 'node:crypto'
import type { Credentials } from '../../lib/index.ts'
import { buildCertificate, newKey, type CertificateOptions } from '../../lib/testing/certificate-builder.ts'
import type { Authority } from '../../lib/testing/certificates.ts'

const DAY = 86_400_000

/** What we show, by what is particular about it. */
export const SHOWN = {
  dnsname: 'issued by the authority, with a dNSName',
  srvname: 'issued by the authority, with an SRVName',
  xmppaddr: 'issued by the authority, with an XmppAddr',
  allnames: 'issued by the authority, with all three',
  cn: 'issued by the authority, with nothing but a common name',
  wildcard: 'issued by the authority, for *.engine.test',
  intermediate: 'issued by an intermediate authority, which is sent along',
  serverauth: 'issued by the authority, for servers only: without the purpose clientAuth',
  nopurpose: 'issued by the authority, without any purpose named',
  selfsigned: 'signed by its own key',
  expired: 'issued by the authority, and ended a day ago',
  wronghost: 'issued by the authority, for another domain',
  unknownca: 'issued by an authority that the server does not trust',
  missing: 'none at all'
} as const

export type Shown = keyof typeof SHOWN

/** The domain that shows it; each has its own, for servers remember failures by domain. */
export const domainThatShows = (shown: Shown): string => `${shown}.engine.test`

export function credentialsThatShow(shown: Shown, authority: Authority): Credentials | undefined {
  const name = domainThatShows(shown)
  switch (shown) {
    case 'dnsname':
      return authority.issue(name, { names: ['dns'] })
    case 'srvname':
      return authority.issue(name, { names: ['srv'] })
    case 'xmppaddr':
      return authority.issue(name, { names: ['xmpp'] })
    case 'allnames':
      return authority.issue(name, { names: ['dns', 'srv', 'xmpp'] })
    case 'cn':
      return authority.issue(name, { names: [] })
    case 'wildcard':
      return built(authority, { subject: 'a wildcard', names: [{ dns: '*.engine.test' }] })
    case 'intermediate':
      return authority.issue(name, { intermediate: true })
    case 'serverauth':
      return authority.issue(name, { state: 'server-auth-only' })
    case 'nopurpose':
      return built(authority, { subject: name, names: [{ dns: name }] })
    case 'selfsigned':
      return authority.issue(name, { state: 'self-signed' })
    case 'expired':
      return authority.issue(name, { state: 'expired' })
    case 'wronghost':
      return authority.issue(name, { state: 'wrong-host' })
    case 'unknownca':
      return authority.issue(name, { state: 'unknown-ca' })
    case 'missing':
      return undefined
  }
}

/** What the authority does not issue of itself. No purpose is named. */
function built(authority: Authority, { subject, names }: Required<Pick<CertificateOptions, 'subject' | 'names'>>): Credentials {
  const { privateKey, publicKey } = newKey()
  const { pem } = buildCertificate({
    subject,
    names,
    publicKey,
    issuer: 'Test authority',
    signingKey: createPrivateKey(authority.key),
    notBefore: Date.now() - DAY,
    notAfter: Date.now() + DAY,
    basicConstraints: { ca: false },
    keyUsage: ['digitalSignature']
  })
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), cert: pem }
}

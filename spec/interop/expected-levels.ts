import type { SecurityLevel } from '../../lib/index.ts'
import type { Shown } from './certificates.ts'
import type { ServerKind, ServerVariant } from './server.ts'

/** E: sasl-external. D: tls-dialback. P: plain-dialback. -: no link. Outgoing first, as we call it. */
export type Ends = `${End}${End}`
type End = 'E' | 'D' | 'P' | '-'

export type Row = Readonly<Record<Variant, Ends>> & { readonly why: string }
export type Variant = Exclude<ServerVariant, 'nodialback'>

export const VARIANTS: readonly Variant[] = ['strict', 'default', 'optional', 'plain']
export const ENDS: Readonly<Record<Exclude<SecurityLevel, 'sasl-plain'>, End>> = {
  'sasl-external': 'E',
  'tls-dialback': 'D',
  'plain-dialback': 'P'
}

const accepted = (why: string): Row => ({ strict: 'EE', default: 'EE', optional: 'EE', plain: 'PP', why })
/**
 * As client it is not believed, and dialback is the next step, where there is dialback. As server it is shown to somebody who has a
 * certificate to prove himself with; only where certificates must verify does he look at it.
 */
const refused = (why: string): Row => ({ strict: '--', default: 'DE', optional: 'DE', plain: 'PP', why })

/** Who has no certificate offers no TLS. */
const NONE: Row = {
  strict: '--',
  default: '--',
  optional: 'DP',
  plain: 'PP',
  why: 'To ask about our key it calls back, and to us there is no TLS: where it requires TLS it cannot ask.'
}

/** What is reached under `ladder` with invalidCertificate encrypt-only, while the server shows a certificate that is valid. */
export const TABLE: Readonly<Record<ServerKind, Readonly<Record<Shown, Row>>>> = {
  prosody: {
    dnsname: accepted('The dNSName is the domain.'),
    srvname: accepted('The SRVName is the domain, behind _xmpp-server.'),
    xmppaddr: refused('It does not read XmppAddr between servers, and where there is any subjectAltName the common name does not count.'),
    allnames: accepted('One name that fits is enough.'),
    cn: accepted('It still believes a common name where there is no subjectAltName; we never do.'),
    wildcard: accepted('A wildcard stands for one label.'),
    intermediate: accepted('The chain that we send ends at the authority.'),
    serverauth: accepted('It does not ask for the purpose clientAuth.'),
    nopurpose: accepted('A certificate without purposes is for all of them.'),
    selfsigned: refused('Nobody that it trusts has issued it.'),
    expired: refused('It has ended.'),
    wronghost: refused('It is for another domain.'),
    unknownca: refused('Nobody that it trusts has issued it.'),
    missing: NONE
  },
  ejabberd: {
    dnsname: accepted('The dNSName is the domain.'),
    srvname: accepted('The SRVName is the domain, behind _xmpp-server.'),
    xmppaddr: refused('Its stream process ends over an XmppAddr that is a bare domain: the stream closes after <auth/>.'),
    allnames: refused('The same: the other two names do not save it.'),
    cn: accepted('It still believes a common name where there is no subjectAltName; we never do.'),
    wildcard: accepted('A wildcard stands for one label.'),
    intermediate: accepted('The chain that we send ends at the authority.'),
    serverauth: {
      strict: '-E',
      default: 'DE',
      optional: 'DE',
      plain: 'PP',
      why: 'OpenSSL asks for the purpose clientAuth of a client; as server it is good.'
    },
    nopurpose: accepted('A certificate without purposes is for all of them.'),
    selfsigned: refused('Nobody that it trusts has issued it.'),
    expired: refused('It has ended.'),
    wronghost: refused('It is for another domain.'),
    unknownca: refused('Nobody that it trusts has issued it.'),
    missing: NONE
  }
}

/**
 * Where our judge and OpenSSL differ on a chain, each with the reason. All in one direction: what OpenSSL accepts, we refuse.
 * A chain that is not here has to get the same answer from both, and one that is here must not.
 */
export const DEVIATIONS: Readonly<Record<string, string>> = {
  '9 certificates': 'a path has at most 8 certificates; OpenSSL follows 100',
  '12 certificates': 'a path has at most 8 certificates; OpenSSL follows 100',
  '80 other CAs of the same name': 'at most 63 certificates are looked at for their key identifiers',
  'a curve that nobody uses': 'only P-256, P-384, P-521 and Edwards curves are used',
  'an RSA key of 16384 bits': 'RSA beyond 8192 bits takes too long for a stranger',
  'an RSA exponent of 2048 bits': 'an RSA exponent of more than 64 bits takes too long for a stranger',
  'a leaf with cA': 'RFC 6120 §13.7.1.1: a server is no CA',
  'a root without basicConstraints': 'RFC 5280 §4.2.1.9: only version 1 may leave open whether it is a CA',
  'a NUL': 'a dNSName is of ASCII letters; one that is not spoils the certificate',
  'a NUL beside a good name': 'a dNSName is of ASCII letters; one that is not spoils the certificate',
  '1025 names': 'at most 1024 names are read',
  'an SRVName outside what DNS names are permitted': 'the host in an SRVName is held to the constraints on DNS names',
  'an XmppAddr outside what DNS names are permitted': 'the domain in an XmppAddr is held to the constraints on DNS names',
  'a wildcard over an excluded name': 'a wildcard stands for every host it matches, excluded ones too',
  'an e-mail address under a constraint on those': 'constraints on e-mail addresses are not worked out: any address under one fails',
  'a constraint on names of an unknown form': 'a constraint that is not understood fails, even if no name of its form is there',
  'critical policy constraints': 'policies are not processed, so a critical demand to do so is not met',
  'a common name that is no text': 'a common name is a DirectoryString',
  'a common name with NUL': 'NUL is in no name',
  'an unknown extension twice': 'RFC 5280 §4.2: an extension occurs once',
  'trailing bytes after the names': 'an extension is DER, all of it',
  'names of indefinite length': 'an extension is DER, not BER',
  'cA written out as FALSE': 'an extension is DER: a default is left out',
  'a path length without cA': 'RFC 5280 §4.2.1.9: a path length is for CAs'
}

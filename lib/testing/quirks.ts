/** What deployed servers, old ones and attackers do in the receiving and the authoritative role, each with who does it. */
export const RECEIVING_QUIRKS = {
  'bytes-after-proceed': 'sends bytes in clear right after <proceed/> (an attack)',
  'close-after-auth': 'closes the stream right after <auth/> (ejabberd 23.01 on an XmppAddr)',
  'close-instead-of-verifying': 'closes the stream instead of answering db:verify',
  'dialback-although-tls-required': 'offers dialback beside a required STARTTLS, and refuses it then (Prosody)',
  'dialback-without-errors': 'offers dialback without <errors/> (Prosody, Tigase)',
  'empty-id': "answers with id=''",
  'empty-mechanisms': 'offers an empty <mechanisms/> in clear (ejabberd, Openfire)',
  'external-always-offered': 'offers EXTERNAL to peers without a certificate too (ejabberd, Tigase)',
  'external-refused': 'refuses EXTERNAL on a stream that lives on (ejabberd, Openfire)',
  'features-in-second-packet': 'sends features in a packet of their own (Prosody, ejabberd)',
  'features-with-from': 'puts a from attribute on features (MongooseIM)',
  'header-from-another-domain': 'answers from its main domain (Openfire)',
  'header-without-from': 'answers without from',
  'header-without-id': 'answers without an id',
  'header-without-to': 'answers without to (MongooseIM)',
  'key-in-result': 'puts the key and an id into its answer to db:result (Prosody)',
  'newline-in-prolog': 'sends a line break between the XML declaration and the header (Openfire)',
  'no-dialback-feature': 'shows dialback by the namespace of its header alone (MongooseIM)',
  'no-result-answer': 'never answers db:result (Prosody, when it cannot verify)',
  'no-verify-answer': 'never answers db:verify',
  'not-authorized-inside-tls': 'ends the stream with not-authorized instead of features inside TLS (Prosody, strict)',
  'pre-1.0-header': 'answers without version, and sends no features (jabberd 1.4)',
  'starttls-failure': 'answers <starttls/> with <failure/>',
  'unsolicited-result': 'sends a valid db:result that nobody asked for (an attack)',
  'xml-not-well-formed': 'ends streams with a condition of before RFC 6120 (jabberd 2)'
} as const

/** The same for the initiating role. */
export const INITIATING_QUIRKS = {
  'bytes-after-starttls': 'sends a stream header in clear right after <starttls/> (an attack)',
  'empty-authzid': "sends '=' as authorization identity (Tigase)",
  'empty-id': "sends id='' in its header (Prosody)",
  'header-without-from': 'sends no from before TLS',
  'key-with-white-space': 'puts line breaks around its key',
  'no-initial-response': 'sends an empty <auth/> and waits for the challenge',
  'no-server-name': 'asks for no server name in TLS (Prosody 0.12)',
  'pre-1.0-header': 'sends no version, and knows of no features',
  'short-key': 'makes keys of 40 hexadecimal digits (Openfire)',
  'stanza-before-proof': 'sends a stanza before it has proved anything',
  'starttls-although-not-offered': 'asks for TLS whatever was offered (Prosody)'
} as const

/** One of {@link RECEIVING_QUIRKS}. */
export type ReceivingQuirk = keyof typeof RECEIVING_QUIRKS

/** One of {@link INITIATING_QUIRKS}. */
export type InitiatingQuirk = keyof typeof INITIATING_QUIRKS

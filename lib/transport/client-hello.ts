/** What the first bytes of a connection say: so many are needed at least, or this is all that will be learned from them. */
export type ClientHello = { readonly needs: number } | { readonly servername: string | undefined }

const HANDSHAKE = 22
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const HOST_NAME = 0
/** Bytes; real ones have a few hundred, 2 KiB with a post-quantum key. A longer one is left to OpenSSL, without a name. */
const LONGEST = 16_384
/** Real ones fill one record. Who spreads a message over many makes us read them all again for each. */
const MOST_RECORDS = 8

const NAMELESS: ClientHello = { servername: undefined }

/**
 * Reads the server name out of a ClientHello (RFC 8446 §4.1.2, RFC 6066 §3), so that the one right certificate is chosen before
 * the handshake begins: Node's SNICallback adds the chosen certificate to the first one instead of replacing it, and with keys of
 * different kinds OpenSSL then shows either. Whatever is no ClientHello has no name; the handshake itself will judge it.
 */
export function readClientHello(bytes: Buffer): ClientHello {
  const message = handshakeBytes(bytes)
  if (typeof message === 'number') return { needs: message }
  try {
    return { servername: message === undefined ? undefined : serverNameIn(new Reader(message)) }
  } catch (error) {
    if (error instanceof RangeError) return NAMELESS
    throw error
  }
}

/** The body of the first handshake message, which may be spread over several records, or how many bytes that takes; undefined: it is no ClientHello. */
function handshakeBytes(bytes: Buffer): Buffer | number | undefined {
  const fragments: Buffer[] = []
  let gathered = 0
  let needed = 4
  for (let at = 0; gathered < needed;) {
    if (fragments.length === MOST_RECORDS) return undefined
    if (bytes.length > at && bytes[at] !== HANDSHAKE) return undefined
    if (bytes.length < at + 5) return at + 5
    const length = bytes.readUInt16BE(at + 3)
    const fragment = bytes.subarray(at + 5, at + 5 + length)
    fragments.push(fragment)
    gathered += fragment.length
    if (gathered >= 4 && needed === 4) {
      const header = Buffer.concat(fragments)
      if (header[0] !== CLIENT_HELLO) return undefined
      needed = 4 + header.readUIntBE(1, 3)
      if (needed > LONGEST) return undefined
    }
    if (length === 0) return undefined
    if (gathered < needed && fragment.length < length) return at + 5 + Math.min(length, fragment.length + needed - gathered)
    at += 5 + length
  }
  return Buffer.concat(fragments).subarray(4, needed)
}

function serverNameIn(hello: Reader): string | undefined {
  hello.skip(2 + 32)
  hello.skip(hello.number(1))
  hello.skip(hello.number(2))
  hello.skip(hello.number(1))
  const extensions = new Reader(hello.take(hello.number(2)))
  while (!extensions.done) {
    const type = extensions.number(2)
    const body = extensions.take(extensions.number(2))
    if (type === SERVER_NAME) return firstHostName(new Reader(body))
  }
  return undefined
}

function firstHostName(extension: Reader): string | undefined {
  const names = new Reader(extension.take(extension.number(2)))
  while (!names.done) {
    const type = names.number(1)
    const name = names.take(names.number(2))
    if (type === HOST_NAME) return name.toString('latin1')
  }
  return undefined
}

/** Reads forward; what is not there is a RangeError. */
class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  number(size: 1 | 2): number {
    return this.take(size).readUIntBE(0, size)
  }

  skip(length: number): void {
    this.take(length)
  }

  take(length: number): Buffer {
    const from = this.#at
    this.#at += length
    if (this.#at > this.#bytes.length) throw new RangeError('the ClientHello ends early')
    return this.#bytes.subarray(from, this.#at)
  }
}

import { Duplex } from 'node:stream'

/** RFC 8446 §5.1. */
const CHANGE_CIPHER_SPEC = 20
export const ALERT = 21
export const HANDSHAKE = 22
const APPLICATION_DATA = 23

const HEADER_BYTES = 5
const LARGEST_PAYLOAD = 16_384
const CLOSE_NOTIFY = 0

/** The alerts a simulated peer can send, by their names of RFC 8446 §6, with what OpenSSL calls them. */
const ALERTS = {
  'unexpected-message': [10, 'SSLV3_ALERT_UNEXPECTED_MESSAGE'],
  'handshake-failure': [40, 'SSLV3_ALERT_HANDSHAKE_FAILURE'],
  'bad-certificate': [42, 'SSLV3_ALERT_BAD_CERTIFICATE'],
  'unsupported-certificate': [43, 'SSLV3_ALERT_UNSUPPORTED_CERTIFICATE'],
  'certificate-revoked': [44, 'SSLV3_ALERT_CERTIFICATE_REVOKED'],
  'certificate-expired': [45, 'SSLV3_ALERT_CERTIFICATE_EXPIRED'],
  'certificate-unknown': [46, 'SSLV3_ALERT_CERTIFICATE_UNKNOWN'],
  'illegal-parameter': [47, 'SSLV3_ALERT_ILLEGAL_PARAMETER'],
  'unknown-ca': [48, 'TLSV1_ALERT_UNKNOWN_CA'],
  'access-denied': [49, 'TLSV1_ALERT_ACCESS_DENIED'],
  'internal-error': [80, 'TLSV1_ALERT_INTERNAL_ERROR'],
  'certificate-required': [116, 'TLSV13_ALERT_CERTIFICATE_REQUIRED'],
  'no-application-protocol': [120, 'TLSV1_ALERT_NO_APPLICATION_PROTOCOL']
} as const satisfies Readonly<Record<string, readonly [number, string]>>

/** An alert that a simulated peer can send, by its name in RFC 8446 §6. */
export type TlsAlert = keyof typeof ALERTS

export interface TlsRecord {
  readonly type: number
  readonly payload: Buffer
}

/** An error as node:tls gives it: with OpenSSL's reason, and the code that Node makes of it. */
export function tlsError(reason: string): Error {
  const code = `ERR_SSL_${reason.toUpperCase().replaceAll(' ', '_')}`
  return Object.assign(new Error(`simulated TLS: ${reason}`), { code, reason })
}

/** The error that a received alert is. */
export function receivedAlert(payload: Buffer): Error {
  const known = Object.values(ALERTS).find(([number]) => number === payload[1])
  return tlsError(known === undefined ? `tlsv1 alert ${payload[1] ?? 'without a number'}` : known[1].toLowerCase().replaceAll('_', ' '))
}

export function isCloseNotify(payload: Buffer): boolean {
  return payload[1] === CLOSE_NOTIFY
}

/** Frames a payload as records of one type. */
export function records(type: number, payload: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at === 0 || at < payload.length; at += LARGEST_PAYLOAD) {
    const part = payload.subarray(at, at + LARGEST_PAYLOAD)
    parts.push(Buffer.from([type, 3, 3, part.length >> 8, part.length & 0xff]), part)
  }
  return Buffer.concat(parts)
}

export const alertRecord = (alert: TlsAlert): Buffer => records(ALERT, Buffer.from([2, ALERTS[alert][0]]))

/** Reads the records of a connection. `wake` is called when there may be more, or when the connection ended. */
export class RecordReader {
  readonly connection: Duplex
  wake: () => void = () => undefined
  /** The other end has sent its FIN, or the connection is gone: what was not read yet still is. */
  ended = false
  #bytes: Buffer = Buffer.alloc(0)

  constructor(connection: Duplex) {
    this.connection = connection
    const end = (): void => {
      this.ended = true
      this.wake()
    }
    connection.on('readable', () => this.wake())
    connection.on('end', end).on('close', end)
  }

  /**
   * The next whole record that has arrived.
   *
   * @throws Error as OpenSSL gives it, for bytes that are no records
   */
  next(): TlsRecord | undefined {
    for (;;) {
      const record = this.#cut()
      if (record !== undefined) return record
      const chunk = this.connection.read() as Buffer | null // a connection is not in object mode
      if (chunk === null) return undefined
      this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    }
  }

  #cut(): TlsRecord | undefined {
    const [type, version] = this.#bytes
    if (type === undefined || version === undefined) return undefined
    if (type < CHANGE_CIPHER_SPEC || type > APPLICATION_DATA || version !== 3) throw tlsError('wrong version number')
    if (this.#bytes.length < HEADER_BYTES) return undefined
    const length = this.#bytes.readUInt16BE(3)
    if (length > LARGEST_PAYLOAD) throw tlsError('packet length too long')
    if (this.#bytes.length < HEADER_BYTES + length) return undefined
    const payload = this.#bytes.subarray(HEADER_BYTES, HEADER_BYTES + length)
    this.#bytes = this.#bytes.subarray(HEADER_BYTES + length)
    return { type, payload }
  }
}

/** The plaintext above the records, once a handshake is done. Ends and errors are those of node:tls. */
export class SimulatedSocket extends Duplex {
  readonly #reader: RecordReader
  #wanted = false
  #ended = false

  constructor(reader: RecordReader) {
    super({ allowHalfOpen: false })
    this.#reader = reader
    this.on('error', () => undefined)
    const { connection } = reader
    reader.wake = () => this.#pump()
    connection.on('error', error => this.destroy(error))
    // After an orderly end there may still be records to read.
    connection.on('close', () => connection.readableEnded || this.destroy())
  }

  override _read(): void {
    this.#wanted = true
    this.#pump()
  }

  override _write(chunk: Buffer, _encoding: string, taken: (error?: Error | null) => void): void {
    this.#reader.connection.write(records(APPLICATION_DATA, chunk), taken)
  }

  override _final(done: () => void): void {
    const { connection } = this.#reader
    // A connection that the other side has ended has ended itself. Otherwise done is when it has left: destroying what is still
    // on its way would look like a reset.
    if (connection.writable) connection.end(records(ALERT, Buffer.from([1, CLOSE_NOTIFY])), () => done())
    else done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#reader.connection.destroy()
    done(error)
  }

  #pump(): void {
    try {
      while (this.#wanted && !this.#ended && !this.destroyed) {
        const record = this.#reader.next()
        if (record !== undefined) this.#take(record)
        else if (this.#reader.ended) this.#end()
        else return
      }
    } catch (error) {
      this.destroy(error instanceof Error ? error : tlsError('internal error'))
    }
  }

  #take({ type, payload }: TlsRecord): void {
    if (type === APPLICATION_DATA) this.#wanted = this.push(payload)
    else if (type !== ALERT) throw tlsError('unexpected message')
    else if (isCloseNotify(payload)) this.#end()
    else throw receivedAlert(payload)
  }

  #end(): void {
    this.#ended = true
    this.push(null)
  }
}

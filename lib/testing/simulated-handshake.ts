import type { Duplex } from 'node:stream'
import { FederationError } from '../errors.ts'
import { ALERT, alertRecord, HANDSHAKE, isCloseNotify, receivedAlert, RecordReader, records, tlsError } from './simulated-records.ts'
import type { TlsAlert } from './simulated-records.ts'

/** What the two hellos say. */
export interface Hello {
  readonly servername?: string
  readonly alpn?: readonly string[]
  readonly protocol?: 'TLS 1.2' | 'TLS 1.3'
}

// RFC 8446 §4.
const HELLO = { client: 1, server: 2 }
const CERTIFICATE = 11
const FINISHED = 20
const HEADER_BYTES = 4

/** The messages of a simulated handshake: each with its type and length, like TLS's own, and the chain as RFC 5246 §7.4.2 has it. */
export class HandshakeMessages {
  readonly records: RecordReader
  /** Whether the other side has got a certificate of ours. */
  shown = false
  #bytes: Buffer = Buffer.alloc(0)

  constructor(connection: Duplex) {
    this.records = new RecordReader(connection)
  }

  hello(from: 'client' | 'server', hello: Hello): void {
    this.#send(HELLO[from], Buffer.from(JSON.stringify(hello)))
  }

  async expectHello(from: 'client' | 'server'): Promise<Hello> {
    return readHello(await this.#expect(HELLO[from]))
  }

  /** A chain, which may be empty, and that this side is finished. */
  certificate(chain: readonly Buffer[]): void {
    this.shown = chain.length > 0
    this.#send(CERTIFICATE, Buffer.concat(chain.flatMap(der => [lengthOf(der), der])))
    this.finished()
  }

  async expectCertificate(): Promise<readonly Buffer[]> {
    const chain = readChain(await this.#expect(CERTIFICATE))
    await this.expectFinished()
    return chain
  }

  finished(): void {
    this.#send(FINISHED, Buffer.alloc(0))
  }

  async expectFinished(): Promise<void> {
    await this.#expect(FINISHED)
  }

  /** Sends an alert. Gives the error for this side: what node:tls says here, or why it came to that. */
  refuse(alert: TlsAlert, reason: string, cause?: FederationError): Error {
    this.records.connection.write(alertRecord(alert))
    return cause ?? tlsError(reason)
  }

  #send(type: number, body: Buffer): void {
    this.records.connection.write(records(HANDSHAKE, Buffer.concat([Buffer.from([type]), lengthOf(body), body])))
  }

  async #expect(type: number): Promise<Buffer> {
    for (;;) {
      const message = this.#cut()
      if (message !== undefined && message.type !== type) throw tlsError('unexpected message')
      if (message !== undefined) return message.body
      await this.#receive()
    }
  }

  #cut(): { readonly type: number; readonly body: Buffer } | undefined {
    const [type] = this.#bytes
    if (type === undefined || this.#bytes.length < HEADER_BYTES) return undefined
    const end = HEADER_BYTES + this.#bytes.readUIntBE(1, 3)
    if (this.#bytes.length < end) return undefined
    const body = this.#bytes.subarray(HEADER_BYTES, end)
    this.#bytes = this.#bytes.subarray(end)
    return { type, body }
  }

  async #receive(): Promise<void> {
    const record = this.records.next()
    if (record?.type === HANDSHAKE) this.#bytes = Buffer.concat([this.#bytes, record.payload])
    else if (record?.type === ALERT && !isCloseNotify(record.payload)) throw receivedAlert(record.payload)
    else if (record?.type === ALERT || (record === undefined && this.records.ended)) throw this.#ended()
    else if (record !== undefined) throw tlsError('unexpected message')
    else
      await new Promise<void>(resolve => {
        this.records.wake = resolve
      })
  }

  #ended(): FederationError {
    const { errored } = this.records.connection
    const reset = errored !== null && 'code' in errored && errored.code === 'ECONNRESET'
    const detail = reset ? 'the connection was reset' : 'the connection ended'
    return new FederationError('S2S_TLS_HANDSHAKE', { detail, cause: errored ?? undefined })
  }
}

function lengthOf(bytes: Buffer): Buffer {
  const length = Buffer.alloc(3)
  length.writeUIntBE(bytes.length, 0, 3)
  return length
}

function readHello(body: Buffer): Hello {
  try {
    return JSON.parse(body.toString()) as Hello // both sides are this file
  } catch {
    throw tlsError('length mismatch')
  }
}

function readChain(body: Buffer): readonly Buffer[] {
  const chain: Buffer[] = []
  for (let at = 0; at < body.length;) {
    const end = at + 3 + body.readUIntBE(at, 3)
    chain.push(body.subarray(at + 3, end))
    at = end
  }
  return chain
}

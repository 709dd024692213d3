import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { FederationError } from '../../lib/errors.ts'
import type { ErrorCode } from '../../lib/errors.ts'
import type { Credentials } from '../../lib/model/plugs.ts'
import { buildCertificate, newKey } from '../../lib/testing/certificate-builder.ts'
import type { KeyType } from '../../lib/testing/certificate-builder.ts'

/** Both ends of one connection. */
export interface Ends {
  readonly initiating: Duplex
  readonly receiving: Duplex
}

export type Carrier = 'tcp' | 'memory'
export const CARRIERS: readonly Carrier[] = ['tcp', 'memory']

export async function connected(carrier: Carrier): Promise<Ends> {
  const ends = carrier === 'tcp' ? await overTcp() : inMemory()
  for (const end of [ends.initiating, ends.receiving]) end.on('error', () => undefined)
  return ends
}

export function inMemory(): Ends {
  const initiating = new MemorySide()
  const receiving = new MemorySide()
  initiating.other = receiving
  receiving.other = initiating
  return { initiating, receiving }
}

/** Half of a pair that behaves as sockets do: who is destroyed ends the other's reading and fails its writing. */
class MemorySide extends Duplex {
  other: MemorySide | undefined
  #taken: (() => void) | undefined

  override _read(): void {
    const taken = this.#taken
    this.#taken = undefined
    taken?.()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    if (this.other === undefined || this.other.destroyed) return done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
    this.other.#taken = done
    this.other.push(chunk)
  }

  override _final(done: () => void): void {
    if (this.other?.destroyed === false) this.other.push(null)
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this._read()
    if (this.other?.destroyed === false && !this.other.readableEnded && !this.writableFinished) this.other.push(null)
    done(error)
  }
}

async function overTcp(): Promise<{ initiating: Socket; receiving: Socket }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const initiating = connect(address.port, '127.0.0.1')
  const [[receiving]] = await Promise.all([accepted, once(initiating, 'connect')])
  server.close()
  return { initiating, receiving }
}

/** A self-signed certificate for a domain. */
export function credentialsFor(name: string, type: KeyType = 'ec'): Credentials & { readonly der: Buffer } {
  const { privateKey, publicKey } = newKey(type)
  const now = Date.now()
  const { der, pem } = buildCertificate({
    subject: name,
    publicKey,
    signingKey: privateKey,
    notBefore: now - 3_600_000,
    notAfter: now + 86_400_000,
    names: [{ dns: name }]
  })
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }), cert: pem, der }
}

/** The error that a promise rejects with, which must be one of the engine's. */
export async function rejection(promise: Promise<unknown>): Promise<FederationError> {
  try {
    await promise
  } catch (error) {
    if (FederationError.is(error)) return error
    throw error
  }
  throw new Error('nothing was rejected')
}

/** For comparing many at once. */
export async function rejectionCode(promise: Promise<unknown>): Promise<ErrorCode> {
  return (await rejection(promise)).code
}

/** All that arrives on a duplex until its end. */
export async function readAll(duplex: Duplex): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of duplex) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/** Resolves when a duplex is gone. */
export async function gone(duplex: Duplex): Promise<void> {
  if (!duplex.closed) await new Promise(resolve => duplex.once('close', resolve))
}

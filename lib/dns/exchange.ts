import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import type { Clock } from '../model/plugs.ts'
import { abortReason } from '../model/aborted.ts'
import { encodeQuery, readMessage } from './message.ts'
import type { Received } from './message.ts'
import type { Question } from './question.ts'
import type { Server } from './servers.ts'

export interface ExchangeOptions {
  readonly clock: Clock
  /** Milliseconds. */
  readonly timeout: number
  readonly signal: AbortSignal
}

/** There is no answer, and why. */
export interface Silence {
  readonly kind: 'silence'
  readonly why: string
  /** Whether asking again soon is pointless. */
  readonly gone: boolean
}

/** What one query to one server came to. */
export type Exchanged = Exclude<Received, { readonly kind: 'stranger' }> | Silence

/**
 * One query over UDP, from a socket of its own: a fresh port, and connected, so that the kernel drops what others send. Datagrams
 * that are no answer to the query are waited past, not believed (RFC 5452 §9).
 */
export function askByUdp(server: Server, question: Question, edns: boolean, options: ExchangeOptions): Promise<Exchanged> {
  const id = randomInt(65_536)
  return bounded(options, settle => {
    const socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4')
    socket.on('error', (error: NodeJS.ErrnoException) => settle(unreachable(error)))
    socket.on('message', bytes => {
      const received = readMessage(bytes, id, question)
      if (received.kind !== 'stranger') settle(received)
    })
    socket.on('connect', () => socket.send(encodeQuery(id, question, edns)))
    socket.connect(server.port, server.address)
    return () => socket.close()
  })
}

/** One query over TCP (RFC 7766). Letters may come back in another case: nobody off the path can answer here. */
export function askByTcp(server: Server, question: Question, edns: boolean, options: ExchangeOptions): Promise<Exchanged> {
  const id = randomInt(65_536)
  return bounded(options, settle => {
    const socket = connect({ host: server.address, port: server.port, noDelay: true })
    let bytes: Buffer = Buffer.alloc(0)
    socket.on('error', (error: NodeJS.ErrnoException) => settle(unreachable(error)))
    socket.on('close', () => settle({ kind: 'silence', why: 'closed the connection', gone: true }))
    socket.on('connect', () => socket.write(framed(encodeQuery(id, question, edns))))
    socket.on('data', chunk => {
      bytes = Buffer.concat([bytes, chunk])
      const length = bytes.length < 2 ? undefined : bytes.readUInt16BE(0)
      if (length === undefined || bytes.length < 2 + length) return
      const received = readMessage(bytes.subarray(2, 2 + length), id, question)
      const readable = received.kind === 'message' || received.kind === 'case'
      settle(
        readable ? { kind: 'message', message: received.message } : { kind: 'silence', why: 'sent what is no answer over TCP', gone: true }
      )
    })
    return () => socket.destroy()
  })
}

function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(message.length)
  return Buffer.concat([length, message])
}

function unreachable(error: NodeJS.ErrnoException): Silence {
  return { kind: 'silence', why: error.code ?? error.message, gone: true }
}

/** Runs an exchange until its first result, its time or its signal; whichever it is, what `start` opened is closed once. */
function bounded(
  { clock, timeout, signal }: ExchangeOptions,
  start: (settle: (result: Exchanged) => void) => () => void
): Promise<Exchanged> {
  return new Promise((resolve, reject) => {
    let over = false
    const finish = (end: () => void): void => {
      if (over) return
      over = true
      timer.cancel()
      signal.removeEventListener('abort', onAbort)
      close()
      end()
    }
    const onAbort = (): void => finish(() => reject(abortReason(signal)))
    const close = start(result => finish(() => resolve(result)))
    const timer = clock.setTimeout(
      () => finish(() => resolve({ kind: 'silence', why: `no answer in ${timeout} ms`, gone: false })),
      timeout
    )
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
  })
}

import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * Makes a duplex of the application's one that fails as sockets do: what its `_write` or `_writev` throws ends it with that error,
 * wherever the write came from. What waits behind another write, and what a TLS layer writes, is thrown where nobody can catch it.
 */
export function contained(duplex: Duplex): Duplex {
  if (duplex instanceof Socket || typeof duplex._write !== 'function') return duplex
  const write = duplex._write.bind(duplex)
  duplex._write = (chunk: unknown, encoding, taken) => trying(duplex, taken, () => write(chunk, encoding, taken))
  const writeMany = duplex._writev?.bind(duplex)
  if (writeMany !== undefined) duplex._writev = (chunks, taken) => trying(duplex, taken, () => writeMany(chunks, taken))
  return duplex
}

function trying(duplex: Duplex, taken: (error: Error) => void, write: () => void): void {
  try {
    write()
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown))
    duplex.destroy(error)
    taken(error)
  }
}

import { isIP } from 'node:net'
import { usageError } from './command.ts'

/** A host and port as they are written on a command line. */
export interface Place {
  readonly host: string
  readonly port: number
}

/** Reads `HOST:PORT`, where an IPv6 address stands in brackets; `[::1]:5269`. `option` is named in the error. */
export function readPlace(option: string, text: string): Place {
  const match = /^(?:\[(?<six>[^\]]+)\]|(?<host>[^:[\]]+)):(?<port>\d{1,5})$/.exec(text)
  const host = match?.groups?.['six'] ?? match?.groups?.['host']
  const port = Number(match?.groups?.['port'])
  const isBadSix = match?.groups?.['six'] !== undefined && isIP(match.groups['six']) !== 6
  if (host === undefined || isBadSix || port > 65_535)
    throw usageError(`${option} has to be HOST:PORT, such as 127.0.0.1:5353 or [::1]:5353, not ${JSON.stringify(text)}`)
  return { host, port }
}

/** `HOST:PORT` again, with an IPv6 address in brackets. */
export function placeText({ host, port }: Place): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

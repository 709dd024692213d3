import { randomBytes } from 'node:crypto'

/** A short name for a negotiation or a link, for logs and events; it proves nothing. */
export function createId(): string {
  return randomBytes(6).toString('base64url')
}

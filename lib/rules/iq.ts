const TYPES: ReadonlySet<string | undefined> = new Set(['get', 'set', 'result', 'error'])

/** Whether an iq says what it is (RFC 6120 §8.2.3). */
export function isProperIq(type: string | undefined): boolean {
  return TYPES.has(type)
}

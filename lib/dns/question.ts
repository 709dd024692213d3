import { randomBytes } from 'node:crypto'

/** What is asked: an absolute name without the trailing dot, and a type, class IN. */
export interface Question {
  readonly name: string
  readonly type: 'SRV' | 'A' | 'AAAA'
}

// dns-packet encodes longer labels and names without a word, as something else.
const LABEL = /^[a-z0-9_-]{1,63}$/i
const LONGEST_NAME = 253

/** Whether a name consists of labels that a host or service name can have (RFC 1035 §2.3.1, RFC 2782). Its length is another matter. */
export function isQueryName(name: string): boolean {
  return name.split('.').every(label => LABEL.test(label))
}

/** RFC 1035 §3.1: a name that is longer cannot exist, which is an answer of its own. */
export function isTooLong(name: string): boolean {
  return name.length > LONGEST_NAME
}

/** Letters in random case: a forged answer has to guess them too ("0x20"). */
export function mixCase(name: string): string {
  const coins = randomBytes(name.length)
  return Array.from(name, (letter, index) => ((coins[index] ?? 0) & 1 ? letter.toUpperCase() : letter.toLowerCase())).join('')
}

export function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}

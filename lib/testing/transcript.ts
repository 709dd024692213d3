import { AssertionError } from 'node:assert'
import { escapeText } from '../rules/escape.ts'

const LONGEST_LINE = 600

/** What a scripted peer sent and received, a line each, escaped; and the failures that show it. */
export class Transcript {
  readonly #lines: string[] = []

  sent(text: string): void {
    this.#lines.push(`→ ${oneLine(text)}`)
  }

  received(text: string): void {
    this.#lines.push(`← ${oneLine(text)}`)
  }

  happened(text: string): void {
    this.#lines.push(`= ${oneLine(text)}`)
  }

  /** A failed expectation: an assertion's error, so that test runners show it as one. */
  failure(sentence: string): AssertionError {
    return new AssertionError({ message: `${sentence}\n${this.toString()}` })
  }

  toString(): string {
    return this.#lines.join('\n')
  }
}

/** Text of the other side as a message can show it. */
export function oneLine(text: string): string {
  return escapeText(text, LONGEST_LINE)
}

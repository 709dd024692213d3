import { styleText } from 'node:util'

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow'

/** Where a subcommand speaks: results on standard output, everything about the way there on standard error. */
export interface Terminal {
  /** A result, and a line feed. */
  out(text: string): void
  /** A remark, and a line feed. */
  note(text: string): void
  /** What is going on: overwritten by the next on a terminal, a line of its own elsewhere; `undefined` clears it. */
  progress(text: string | undefined): void
  /** Styled where standard output is a terminal and NO_COLOR is not set. */
  style(style: Style, text: string): string
}

interface Output {
  readonly isTTY?: boolean
  write(text: string): unknown
}

export interface TerminalParts {
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
}

/** The terminal of a process. */
export function terminalOf({ stdout, stderr, env }: TerminalParts): Terminal {
  const isStyled = stdout.isTTY === true && (env['NO_COLOR'] ?? '') === ''
  const rewrites = stderr.isTTY === true
  return {
    out: text => void stdout.write(`${text}\n`),
    note: text => void stderr.write(`${text}\n`),
    progress: text => {
      if (rewrites) stderr.write(text === undefined ? '\r\u001b[K' : `\r\u001b[K${text}`)
      else if (text !== undefined) stderr.write(`${text}\n`)
    },
    style: (style, text) => (isStyled ? styleText(style, text) : text)
  }
}

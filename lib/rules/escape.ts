const LONGEST = 200

/** Control and format characters, bidi among them, separators of lines, lone surrogates and what is not assigned: nothing that a terminal acts on. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu

/**
 * Text of a peer, fit for a terminal, a log or a report: what is not printed as itself (controls, ANSI escapes, bidi and other
 * format characters, lone surrogates) is written as `\u{…}`, a backslash is doubled so that no peer can write an escape itself,
 * and what is long is cut with an ellipsis.
 */
export function escapeText(text: string, longest = LONGEST): string {
  const characters = Array.from(text.length > longest * 2 ? text.slice(0, longest * 2) : text)
  const isCut = characters.length > longest || text.length > longest * 2
  const shown = isCut ? characters.slice(0, longest).join('') : text
  const escaped = printable(shown.replaceAll('\\', '\\\\'))
  return isCut ? `${escaped}…` : escaped
}

/**
 * Text that may have been escaped before, such as a report's, fit for a terminal: as {@link escapeText}, but what is escaped stays
 * as it is, and nothing is cut.
 */
export function printable(text: string): string {
  return text.replace(UNSAFE, character => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

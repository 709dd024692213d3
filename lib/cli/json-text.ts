/** What JSON allows in a string as it stands and a terminal or a reader is moved by: C1 controls, bidi and other format characters. */
const UNSAFE = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu

/** JSON for a terminal or a file: the same value, with nothing in it that a terminal acts on. */
export function jsonText(value: unknown, indent?: number): string {
  const escape = (character: string): string =>
    Array.from({ length: character.length }, (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')
  return JSON.stringify(value, undefined, indent).replaceAll(UNSAFE, escape)
}

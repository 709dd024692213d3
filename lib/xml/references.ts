const NAMED: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', apos: "'", quot: '"' }
const REFERENCE = /&(?:#x([0-9a-fA-F]+)|#([0-9]+)|([a-z]+));/g

/** The character data that checked text stands for (XML 1.0 §2.11, §4.6): references resolved, line ends as line feeds. */
export function expandText(raw: string): string {
  const lines = raw.includes('\r') ? raw.replace(/\r\n?/g, '\n') : raw
  return lines.includes('&') ? resolve(lines) : lines
}

/** The value that a checked attribute stands for (XML 1.0 §3.3.3): literal white space becomes spaces, a line end one space. */
export function expandValue(raw: string): string {
  const spaced = raw.replace(/\r\n|[\t\n\r]/g, ' ')
  return spaced.includes('&') ? resolve(spaced) : spaced
}

function resolve(text: string): string {
  return text.replace(REFERENCE, (reference: string, hex: string | undefined, decimal: string | undefined, name: string | undefined) => {
    if (name !== undefined) return NAMED[name] ?? reference
    return String.fromCodePoint(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16))
  })
}

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository. */
export const root = fileURLToPath(new URL('..', import.meta.url))

/** A page of the documentation, such as `docs/limits.md`. */
export function read(page: string): string {
  return readFileSync(join(root, page), 'utf8')
}

/** The cells of every row of every table, without code marks and links. */
export function tableRows(markdown: string): readonly (readonly string[])[] {
  const rows = markdown.split('\n').filter(line => line.startsWith('|') && !/^\|[-|]+$/.test(line))
  return rows.map(line =>
    line
      .slice(1, -1)
      .split(' | ')
      .map(cell =>
        cell
          .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
          .replaceAll('`', '')
          .trim()
      )
  )
}

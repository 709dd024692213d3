import type { Style, Terminal } from './terminal.ts'

/** One cell: text, and how it looks on a terminal. */
export interface Cell {
  readonly text: string
  readonly style?: Style
}

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

/** Lines of a table with one header line; columns as wide as their widest cell, two spaces apart. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  terminal: Pick<Terminal, 'style'>
): readonly string[] {
  const widths = columns.map(({ title }, index) => Math.max(title.length, ...rows.map(row => row[index]?.text.length ?? 0)))
  const line = (cells: readonly Cell[]): string =>
    columns
      .map((column, index) => {
        const { text, style } = cells[index] ?? { text: '' }
        const padding = ' '.repeat((widths[index] ?? 0) - text.length)
        const shown = style === undefined ? text : terminal.style(style, text)
        return column.align === 'right' ? padding + shown : shown + padding
      })
      .join('  ')
      .trimEnd()
  const header = columns.map(({ title }): Cell => ({ text: title, style: 'bold' }))
  return [header, ...rows].map(line)
}

/** Records of one message, in all its sections. */
const MOST_RECORDS = 1024
/** Compression pointers that are followed for one message: honest ones lead to a name in one step, seldom two. */
const MOST_JUMPS = 8192
const HEADER_BYTES = 12

/** Where names begin in the data of a record, by its type (RFC 1035 §3.3, RFC 2782, RFC 4034, RFC 6672): the two of a SOA follow each other. */
const NAMES_AT: ReadonlyMap<number, { readonly at: number; readonly names: number }> = new Map([
  [2, { at: 0, names: 1 }],
  [5, { at: 0, names: 1 }],
  [6, { at: 0, names: 2 }],
  [12, { at: 0, names: 1 }],
  [15, { at: 2, names: 1 }],
  [33, { at: 6, names: 1 }],
  [39, { at: 0, names: 1 }],
  [46, { at: 18, names: 1 }],
  [47, { at: 0, names: 1 }]
])
/** Other types whose data has names that would be read: RP and NAPTR, which nobody here has asked for. */
const UNASKED: readonly number[] = [17, 35]

/**
 * Whether a message costs about what its size says. Names may be chains of pointers, each to the one before (RFC 1035 §4.1.4): a message
 * of 65 kB can take the time of some megabytes to read.
 */
export function isAffordable(bytes: Buffer): boolean {
  const counts = [4, 6, 8, 10].map(at => bytes.readUInt16BE(at))
  const [questions = 0, ...sections] = counts
  const records = sections.reduce((sum, count) => sum + count, 0)
  if (questions + records > MOST_RECORDS) return false
  try {
    return isShort(bytes, questions, records)
  } catch {
    // What ends in the middle is not read far either.
    return true
  }
}

function isShort(bytes: Buffer, questions: number, records: number): boolean {
  const walk = { jumps: 0 }
  let at = HEADER_BYTES
  for (let question = 0; question < questions; question += 1) at = afterName(bytes, at, walk) + 4
  for (let record = 0; record < records && walk.jumps <= MOST_JUMPS; record += 1) {
    const fields = afterName(bytes, at, walk)
    const type = bytes.readUInt16BE(fields)
    if (UNASKED.includes(type)) return false
    const data = fields + 10
    const { at: offset, names } = NAMES_AT.get(type) ?? { at: 0, names: 0 }
    for (let name = 0, start = data + offset; name < names; name += 1) start = afterName(bytes, start, walk)
    at = data + bytes.readUInt16BE(fields + 8)
  }
  return walk.jumps <= MOST_JUMPS
}

/** Follows a name as whoever reads it does, counting, and gives where what comes after it begins. */
function afterName(bytes: Buffer, start: number, walk: { jumps: number }): number {
  let at = start
  let end: number | undefined
  for (let length = bytes.readUInt8(at); length !== 0; length = bytes.readUInt8(at)) {
    if (length >= 0xc0) {
      walk.jumps += 1
      end ??= at + 2
      const to = bytes.readUInt16BE(at) - 0xc000
      // None leads forwards, and beyond the bound nobody follows any more.
      if (to >= at || walk.jumps > MOST_JUMPS) return end
      at = to
    } else at += length + 1
  }
  return end ?? at + 1
}

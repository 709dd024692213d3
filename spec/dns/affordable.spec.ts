import assert from 'node:assert/strict'
import { encode } from 'dns-packet'
import { encodeQuery, readMessage } from '../../lib/dns/message.ts'

const ID = 7
const question = { name: 'a.example', type: 'SRV' } as const

function response(records: number, data: Buffer): Buffer {
  const query = encodeQuery(ID, question, false)
  query.writeUInt16BE(0x8180, 2)
  query.writeUInt16BE(records, 6)
  return Buffer.concat([query, data])
}

/** An owner's name as a pointer, then type, class and time to live, then the data. */
function record(owner: number, type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12)
  head.writeUInt16BE(0xc000 | owner, 0)
  head.writeUInt16BE(type, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}

const START = encodeQuery(ID, question, false).length

/** A NULL record whose data is a chain of pointers, each to the one before; and where the last of them stands. */
function chainOf(pointers: number): { readonly bytes: Buffer; readonly last: number } {
  const data = Buffer.alloc(1 + 2 * pointers)
  const at = START + 12
  for (let index = 0; index < pointers; index += 1) data.writeUInt16BE(0xc000 | (at + (index === 0 ? 0 : 2 * index - 1)), 1 + 2 * index)
  return { bytes: record(12, 10, data), last: at + 2 * pointers - 1 }
}

describe('reading a DNS message', () => {
  const read = (bytes: Buffer): string => readMessage(bytes, ID, question).kind

  it('[SEC-PARSE-b] takes one with as many records as anyone has', () => {
    const answers = Array.from({ length: 300 }, (_, index) => ({
      type: 'SRV' as const,
      name: question.name,
      ttl: 1,
      data: { target: `x${index}.a.example`, port: 5269 }
    }))
    const honest = encode({ type: 'response', id: ID, questions: [question], answers })
    assert.equal(read(honest), 'message')
  })

  it('[SEC-PARSE-b] does not read one with thousands of records', () => {
    const few = Array.from({ length: 1000 }, () => record(12, 1, Buffer.alloc(4)))
    assert.equal(read(response(1000, Buffer.concat(few))), 'message')
    assert.equal(read(response(3000, Buffer.concat([...few, ...few, ...few]))), 'garbled')
  })

  it('[SEC-PARSE-b] does not follow pointers to pointers without end, in owners or in data', () => {
    const { bytes, last } = chainOf(7000)
    const pointer = Buffer.from([0xc0 | (last >> 8), last & 0xff])
    assert.equal(read(response(2, Buffer.concat([bytes, record(last, 10, Buffer.alloc(0))]))), 'message')
    const kinds = [
      record(last, 10, Buffer.alloc(0)),
      record(12, 5, pointer),
      record(12, 33, Buffer.concat([Buffer.alloc(6), pointer])),
      record(12, 6, Buffer.concat([pointer, pointer, Buffer.alloc(20)])),
      record(12, 17, Buffer.concat([pointer, pointer]))
    ]
    for (const each of kinds) {
      const many = Array.from({ length: 500 }, () => each)
      assert.equal(read(response(501, Buffer.concat([bytes, ...many]))), 'garbled')
    }
  })
})

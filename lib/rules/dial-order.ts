import type { HostAddress } from '../model/plugs.ts'

/** More addresses of one host than this are not dialled: an answer from DNS is no reason to knock on a hundred doors. */
const MOST_ADDRESSES = 8

/**
 * The order in which addresses of one host are raced (RFC 8305 §4): IPv6 first, then in turn, so that a family that does not work
 * costs one attempt and not half of them. Within a family the resolver's order stays; duplicates go.
 */
export function dialOrder(addresses: readonly HostAddress[]): readonly HostAddress[] {
  const distinct = [...new Map(addresses.map(each => [each.address, each])).values()]
  const six = distinct.filter(({ family }) => family === 6)
  const four = distinct.filter(({ family }) => family === 4)
  const ordered: HostAddress[] = []
  for (let turn = 0; turn < Math.max(six.length, four.length); turn += 1)
    ordered.push(...six.slice(turn, turn + 1), ...four.slice(turn, turn + 1))
  return ordered.slice(0, MOST_ADDRESSES)
}

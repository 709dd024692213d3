/**
 * What can go wrong. `servfail`, `refused`: said instead of an answer. `timeout`: nothing is said. `truncated`: over UDP, only that
 * TCP has the answer. `garbled`: over UDP, bytes that are no message. `no-tcp`: connections are closed at once. `wrong-id`,
 * `wrong-question`: a forged answer comes before the true one. `no-edns`: queries with EDNS are not understood. `lower-case`: the
 * name comes back in lower case. `alias-only`: what an alias leads to is left out. `referral`: the server does not recurse. `{ delay }`: milliseconds before the answer.
 */
export type DnsFailure =
  | 'servfail'
  | 'refused'
  | 'timeout'
  | 'truncated'
  | 'garbled'
  | 'no-tcp'
  | 'wrong-id'
  | 'wrong-question'
  | 'no-edns'
  | 'lower-case'
  | 'alias-only'
  | 'referral'
  | { readonly delay: number }

/** Whether an error may answer a stanza: never an error, never an iq result, so that no loop can begin (RFC 6120 §8.3.1). */
export function isBounceable(name: string, type: string | undefined): boolean {
  return type !== 'error' && !(name === 'iq' && type === 'result')
}

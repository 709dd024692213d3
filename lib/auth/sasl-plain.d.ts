/** `sasl-plain` 0.1 ships no types. */
declare module 'sasl-plain' {
  class Mechanism {
    readonly name: string
    response(credentials: { readonly username: string; readonly password: string; readonly authzid?: string }): string
    challenge(challenge: string): this
  }
  export { Mechanism }
}

/** Wakes whoever waits for something to happen; what happens while nobody waits is not kept. */
export class News {
  #waiting: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined

  /** Resolves at the next {@link tell}. */
  wait(): Promise<void> {
    this.#waiting ??= deferred()
    return this.#waiting.promise
  }

  tell(): void {
    this.#waiting?.resolve()
    this.#waiting = undefined
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>(settle => {
    resolve = settle
  })
  return { promise, resolve }
}

/** A place in a {@link Line}. */
export interface Place<T> {
  readonly of: T
  before: Place<T> | undefined
  after: Place<T> | undefined
}

/**
 * Who waits, in order. To join, to leave from anywhere and to find the first cost the same however many wait: a Set passes, on the way to
 * its first, all who have left.
 */
export class Line<T> {
  #first: Place<T> | undefined
  #last: Place<T> | undefined

  get first(): T | undefined {
    return this.#first?.of
  }

  join(of: T): Place<T> {
    const place: Place<T> = { of, before: this.#last, after: undefined }
    if (this.#last === undefined) this.#first = place
    else this.#last.after = place
    this.#last = place
    return place
  }

  /** Gives up a place in this line: once. */
  leave({ before, after }: Place<T>): void {
    if (before === undefined) this.#first = after
    else before.after = after
    if (after === undefined) this.#last = before
    else after.before = before
  }
}

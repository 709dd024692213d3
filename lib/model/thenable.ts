/** Whether a value has to be waited for: a promise, or what another library or realm makes in its place. It may reject, and then somebody has to handle it. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') && 'then' in value && typeof value.then === 'function'
  )
}

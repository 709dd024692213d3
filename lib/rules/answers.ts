import type { Admission, AfterFailure, Guard, Policy, TlsWish } from '../model/policy.ts'
import type { CertificateUse, Proof, SecurityLevel } from '../model/level.ts'
import { isThenable } from '../model/thenable.ts'
import { escapeText } from './escape.ts'
import { layersOf } from './layers.ts'

/** Each question's words, from the loosest to the strictest: the last one is what a policy that fails is taken to have said. */
export const ADMISSIONS: readonly Admission[] = ['admit', 'refuse']
export const TLS_WISHES: readonly TlsWish[] = ['never', 'when-offered', 'required']
export const USES: readonly CertificateUse[] = ['authenticate', 'encrypt-only', 'reject']
export const FLOORS: readonly SecurityLevel[] = ['plain-dialback', 'tls-dialback', 'sasl-plain', 'sasl-external']
export const AFTER_FAILURE: readonly AfterFailure[] = ['reconnect-plain', 'next-proof', 'reconnect-tls', 'next-endpoint', 'give-up']
const PROOFS: readonly Proof[] = ['sasl-external', 'sasl-plain', 'dialback']

/** What one policy or guard said. */
export interface Said<T> {
  readonly answer: T
  readonly by: string
  readonly because: string | undefined
}

/** Who is asked: a policy or a guard, under the name that reports give it. */
interface Asked {
  readonly name?: string | undefined
}

export function nameOf(asked: Asked, kind: 'policy' | 'guard'): string {
  return asked.name === undefined || asked.name === '' ? kind : escapeText(asked.name)
}

/** Reads one answer out of whatever came back; undefined where it is none of the words. */
export type Reading<T> = (value: unknown) => { readonly answer: T; readonly because: string | undefined } | undefined

/** A reading for questions that are answered by a word, or by a word and a reason. */
export function wordOf<T extends string>(words: readonly T[]): Reading<T> {
  return value => {
    if (typeof value !== 'object' || value === null) return read(value, undefined)
    const because = 'because' in value && typeof value.because === 'string' ? escapeText(value.because) : undefined
    return 'answer' in value ? read(value.answer, because) : undefined
  }

  function read(value: unknown, because: string | undefined): { answer: T; because: string | undefined } | undefined {
    const answer = words.find(word => word === value)
    return answer === undefined ? undefined : { answer, because }
  }
}

/** A reading for `proofs`: a list of proofs, each once, in the order given. */
export function listOfProofs(value: unknown): { readonly answer: readonly Proof[]; readonly because: undefined } | undefined {
  if (!Array.isArray(value)) return undefined
  const list: readonly unknown[] = value
  const proofs = list.flatMap(item => PROOFS.filter(proof => proof === item))
  return proofs.length === list.length ? { answer: [...new Set(proofs)], because: undefined } : undefined
}

/** What a value that was answered amounts to. Rubbish is the strictest answer, and says so: a policy that fails must not open anything. */
function read<T>(value: unknown, by: string, reading: Reading<T>, strictest: T): Said<T> | undefined {
  if (value === undefined) return undefined
  if (isThenable(value)) {
    void Promise.resolve(value).catch(() => undefined)
    return { answer: strictest, by, because: 'it answered with a promise, which only admit may' }
  }
  const said = reading(value)
  return said === undefined ? { answer: strictest, by, because: 'its answer is not one of the known words' } : { ...said, by }
}

/** What a policy or guard that threw is taken to have said. */
function failed<T>(error: unknown, by: string, strictest: T): Said<T> {
  return { answer: strictest, by, because: `it failed: ${escapeText(error instanceof Error ? error.message : String(error))}` }
}

/** The first answer among the layers of a policy. One that fails answers as strictly as can be: the next layer is not asked. */
export function firstAnswer<T>(policy: Policy, ask: (layer: Policy) => unknown, reading: Reading<T>, strictest: T): Said<T> {
  for (const layer of layersOf(policy)) {
    const said = asked(() => ask(layer), nameOf(layer, 'policy'), reading, strictest)
    if (said !== undefined) return said
  }
  return unanswered(strictest)
}

/** What counts where no layer answered. */
export function unanswered<T>(strictest: T): Said<T> {
  return { answer: strictest, by: 'clamp', because: 'no policy answered' }
}

/** What each guard said, where it said anything. */
export function guardAnswers<T>(
  guards: readonly Guard[],
  ask: (guard: Guard) => unknown,
  reading: Reading<T>,
  strictest: T
): readonly Said<T>[] {
  return guards.flatMap(guard => asked(() => ask(guard), nameOf(guard, 'guard'), reading, strictest) ?? [])
}

function asked<T>(ask: () => unknown, by: string, reading: Reading<T>, strictest: T): Said<T> | undefined {
  try {
    return read(ask(), by, reading, strictest)
  } catch (error) {
    return failed(error, by, strictest)
  }
}

/** As {@link firstAnswer} and {@link guardAnswers} ask one, for the question that may take time. Never rejects. */
export function askedInTime<T>(
  ask: () => unknown,
  who: Policy | Guard,
  reading: Reading<T>,
  strictest: T
): Said<T> | undefined | Promise<Said<T> | undefined> {
  const by = nameOf(who, who.kind === 'guard' ? 'guard' : 'policy')
  try {
    const value = ask()
    if (!isThenable(value)) return read(value, by, reading, strictest)
    return Promise.resolve(value).then(
      settled => read(settled, by, reading, strictest),
      (error: unknown) => failed(error, by, strictest)
    )
  } catch (error) {
    return failed(error, by, strictest)
  }
}

import type { Guard, Policy } from '../model/policy.ts'
import { checkKeys, isFunction, isLiteral, isText, kindOf, objectAt, oneOf, shown, unusable, wrong } from '../rules/option-value.ts'

const QUESTIONS = ['admit', 'tls', 'certificate', 'proofs', 'afterFailure', 'minimumLevel'] as const satisfies readonly (keyof Policy)[]
const OBJECTIONS = ['pins', 'admit', 'tls', 'certificate', 'plain', 'minimumLevel', 'learn'] as const satisfies readonly (keyof Guard)[]

/**
 * A policy: a preset, or an object or instance that answers at least one of the six questions. A literal with a misspelt question would
 * silently not be asked.
 *
 * @throws FederationError `S2S_CONFIG` naming what is wrong in it
 */
export function checkPolicy(value: unknown, where: string): void {
  const given = objectAt(value, where, 'a policy')
  if (given['kind'] === 'guard') throw wrong(where, 'a policy', `the guard ${shown(given['name'])}: guards have an option of their own`)
  if (given['kind'] !== undefined) oneOf('policy')(given['kind'], `${where}.kind`)
  if (given['name'] !== undefined) isText(given['name'], `${where}.name`)
  if (given['options'] !== undefined) objectAt(given['options'], `${where}.options`)
  checkAnswers(given, where, ['kind', 'name', 'options'], QUESTIONS, 'answers no question')
}

/**
 * A guard: it says so, has a name, and does at least one of the things that guards do.
 *
 * @throws FederationError `S2S_CONFIG` naming what is wrong in it
 */
export function checkGuard(value: unknown, where: string): void {
  const given = objectAt(value, where, 'a guard')
  if (given['kind'] !== 'guard') throw wrong(`${where}.kind`, '"guard"', shown(given['kind']))
  isText(given['name'], `${where}.name`)
  checkAnswers(given, where, ['kind', 'name'], OBJECTIONS, 'does nothing')
}

/** @throws FederationError `S2S_CONFIG` naming what is wrong in them */
export function checkGuards(value: unknown, where: string): void {
  if (!Array.isArray(value)) throw wrong(where, 'a list of guards', kindOf(value))
  for (const [index, each] of value.entries()) checkGuard(each, `${where}[${index}]`)
}

function checkAnswers(
  given: Readonly<Record<string, unknown>>,
  where: string,
  about: readonly string[],
  asked: readonly string[],
  nothing: string
): void {
  if (isLiteral(given)) checkKeys(given, [...about, ...asked], where)
  const answered = asked.filter(question => given[question] !== undefined)
  for (const question of answered) isFunction(given[question], `${where}.${question}`)
  if (answered.length === 0) throw unusable(where, `${nothing}: it has to have at least one of ${asked.join(', ')}`)
}

// DomainPair → resolve SRV → connect → stream → TLS → certificate verdict → SASL EXTERNAL | dialback → Link → stanzas
export { createFederation } from './federation.ts'
export type { Federation, ListeningAddress } from './federation.ts'
export { DEFAULT_LIMITS, DEFAULT_TIMEOUTS } from './defaults.ts'
export type { FederationOptions, StanzaContext } from './options.ts'
export { ERRORS, FederationError } from './errors.ts'
export type { ApplicationCondition, ErrorCode, ErrorDetails, ErrorRow, Fault, StanzaErrorType } from './errors.ts'
export { domain } from './model/domain.ts'
export type { Domain, DomainPair } from './model/domain.ts'
export type { Address } from './model/address.ts'
export type { CertificateProblem, CertificateState, CertificateVerdict, OwnCertificate, SeenCertificate } from './model/certificate.ts'
export type { Endpoint } from './model/endpoint.ts'
export type { FederationEvents } from './model/events.ts'
export type { CertificateUse, Direction, Proof, SecurityLevel } from './model/level.ts'
export type { Link, LinkPicture } from './model/link.ts'
export type {
  Clock,
  Credentials,
  DnsAnswer,
  HostAddress,
  KeyStore,
  Listener,
  Logger,
  Metrics,
  Resolver,
  Secured,
  SocketAddress,
  SrvRecord,
  Timer,
  Tls,
  TlsContext,
  Transport
} from './model/plugs.ts'
export type {
  Admission,
  AfterFailure,
  Answer,
  Guard,
  LadderOptions,
  MaybePromise,
  Peer,
  Pin,
  Policy,
  Step,
  StepFailure,
  TlsWish
} from './model/policy.ts'
export type {
  Alternative,
  Downgrade,
  Outcome,
  PairStatus,
  PolicyFacts,
  Prediction,
  Report,
  TraceEntry,
  TraceStep,
  Traced,
  VerifiedOver
} from './model/report.ts'
export type { Load, RouteState, RouteStatus } from './model/route.ts'
export type { DialbackSecret, Extensions, Limits, ListenOptions, Override, Password, Timeouts, Trust } from './model/settings.ts'
export type { Delivery, Stanza } from './model/stanza.ts'
export type { StreamFeatures, TlsFacts } from './model/stream.ts'
export { CHANNELS } from './observe/channels.ts'
export { METRICS } from './observe/metrics.ts'
export { policies } from './policy/presets.ts'
export type { Openfire36Options } from './policy/presets.ts'
export { forDomains, layer } from './policy/layer.ts'
export { allowOnly, block, pin } from './policy/guards.ts'
export { ratchet } from './policy/ratchet.ts'
export type { RatchetMemory, RatchetOptions } from './policy/ratchet.ts'
export { dnsResolver } from './dns/resolver.ts'
export type { DnsResolverOptions } from './dns/resolver.ts'
export { systemResolver } from './dns/system.ts'
export type { SystemResolverOptions } from './dns/system.ts'
export { tcpTransport } from './transport/tcp.ts'
export { nodeTls } from './transport/tls.ts'
export { predict } from './policy/predict.ts'
export type { Offers, Side } from './model/side.ts'
export { bounce } from './links/bounce.ts'
export { explain } from './rules/explain.ts'
export { replay } from './policy/replay.ts'
export type { Replayed } from './rules/replay.ts'

import { illFormed, restricted, unsupportedEncoding } from './refusals.ts'

/** Bytes of an XML declaration: room for white space, and no more. */
export const LONGEST_DECLARATION = 256

const XML_DECLARATION =
  /^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*("[\w.:-]+"|'[\w.:-]+')(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*("[A-Za-z][\w.-]*"|'[A-Za-z][\w.-]*'))?(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:"(?:yes|no)"|'(?:yes|no)'))?[ \t\r\n]*\?>$/

/**
 * XML 1.0 §2.8 with RFC 6120 §11.5 and §11.6: version 1.0, in UTF-8. What is said about `standalone` is let through: it
 * means nothing where no document type is.
 */
export function checkDeclaration(text: string): void {
  const parts = XML_DECLARATION.exec(text)
  if (parts === null) throw illFormed('a malformed XML declaration')
  const [, version = '', encoding] = parts
  if (version.slice(1, -1) !== '1.0') throw restricted('a version of XML other than 1.0')
  if (encoding !== undefined && encoding.slice(1, -1).toLowerCase() !== 'utf-8')
    throw unsupportedEncoding('another encoding than UTF-8 is declared')
}

#include "sip/chars.h"

/* Each class is a constant expression over the octet, written as its ABNF rule reads; the compiler makes the
 * table. */

/* ALPHA, DIGIT, HEXDIG: RFC 2234 section 6.1 */
#define LOWER(c) ((c) >= 'a' && (c) <= 'z')
#define ALPHA(c) (LOWER(c) || ((c) >= 'A' && (c) <= 'Z'))
#define DIGIT(c) ((c) >= '0' && (c) <= '9')
#define HEX(c)   (DIGIT(c) || ((c) >= 'a' && (c) <= 'f') || ((c) >= 'A' && (c) <= 'F'))
/* alphanum = ALPHA / DIGIT */
#define ALPHANUM(c) (ALPHA(c) || DIGIT(c))
/* mark = "-" / "_" / "." / "!" / "~" / "*" / "'" / "(" / ")" */
#define MARK(c)                                                                                              \
    ((c) == '-' || (c) == '_' || (c) == '.' || (c) == '!' || (c) == '~' || (c) == '*' || (c) == '\'' ||      \
     (c) == '(' || (c) == ')')
/* unreserved = alphanum / mark */
#define UNRESERVED(c) (ALPHANUM(c) || MARK(c))
/* reserved = ";" / "/" / "?" / ":" / "@" / "&" / "=" / "+" / "$" / "," */
#define RESERVED(c)                                                                                          \
    ((c) == ';' || (c) == '/' || (c) == '?' || (c) == ':' || (c) == '@' || (c) == '&' || (c) == '=' ||       \
     (c) == '+' || (c) == '$' || (c) == ',')
/* token = 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~" ) */
#define TOKEN(c)                                                                                             \
    (ALPHANUM(c) || (c) == '-' || (c) == '.' || (c) == '!' || (c) == '%' || (c) == '*' || (c) == '_' ||      \
     (c) == '+' || (c) == '`' || (c) == '\'' || (c) == '~')
/* word = 1*(token's / "(" / ")" / "<" / ">" / ":" / "\" / DQUOTE / "/" / "[" / "]" / "?" / "{" / "}" ) */
#define WORD(c)                                                                                              \
    (TOKEN(c) || (c) == '(' || (c) == ')' || (c) == '<' || (c) == '>' || (c) == ':' || (c) == '\\' ||        \
     (c) == '"' || (c) == '/' || (c) == '[' || (c) == ']' || (c) == '?' || (c) == '{' || (c) == '}')
/* user-unreserved = "&" / "=" / "+" / "$" / "," / ";" / "?" / "/" */
#define USER(c)                                                                                              \
    (UNRESERVED(c) || (c) == '&' || (c) == '=' || (c) == '+' || (c) == '$' || (c) == ',' || (c) == ';' ||    \
     (c) == '?' || (c) == '/')
/* password = *( unreserved / escaped / "&" / "=" / "+" / "$" / "," ) */
#define PASSWORD(c) (UNRESERVED(c) || (c) == '&' || (c) == '=' || (c) == '+' || (c) == '$' || (c) == ',')
/* param-unreserved = "[" / "]" / "/" / ":" / "&" / "+" / "$" */
#define PARAM(c)                                                                                             \
    (UNRESERVED(c) || (c) == '[' || (c) == ']' || (c) == '/' || (c) == ':' || (c) == '&' || (c) == '+' ||    \
     (c) == '$')
/* hnv-unreserved = "[" / "]" / "/" / "?" / ":" / "+" / "$" */
#define HNV(c)                                                                                               \
    (UNRESERVED(c) || (c) == '[' || (c) == ']' || (c) == '/' || (c) == '?' || (c) == ':' || (c) == '+' ||    \
     (c) == '$')
/* Host names of the field have underscores, which no rule has; they make nothing ambiguous. */
#define HOST(c) (ALPHANUM(c) || (c) == '-' || (c) == '.' || (c) == '_')
/* scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ) */
#define SCHEME(c)  (ALPHANUM(c) || (c) == '+' || (c) == '-' || (c) == '.')
#define VISIBLE(c) ((c) > ' ' && (c) != 0x7f)
#define URI(c)     (VISIBLE(c) && (c) != '<' && (c) != '>' && (c) != '"')
#define VALUE(c)   (URI(c) && (c) != ';' && (c) != ',')
#define DISPLAY(c) (TOKEN(c) || (c) >= 0x80)

#define CLASSES(c)                                                                                           \
    ((ALPHA(c) ? SIP_CHAR_ALPHA : 0) | (DIGIT(c) ? SIP_CHAR_DIGIT : 0) | (HEX(c) ? SIP_CHAR_HEX : 0) |       \
     (TOKEN(c) ? SIP_CHAR_TOKEN : 0) | (WORD(c) ? SIP_CHAR_WORD : 0) |                                       \
     (UNRESERVED(c) ? SIP_CHAR_UNRESERVED : 0) | (RESERVED(c) ? SIP_CHAR_RESERVED : 0) |                     \
     (USER(c) ? SIP_CHAR_USER : 0) | (PASSWORD(c) ? SIP_CHAR_PASSWORD : 0) |                                 \
     (PARAM(c) ? SIP_CHAR_PARAM : 0) | (HNV(c) ? SIP_CHAR_HNV : 0) | (HOST(c) ? SIP_CHAR_HOST : 0) |         \
     (SCHEME(c) ? SIP_CHAR_SCHEME : 0) | (URI(c) ? SIP_CHAR_URI : 0) | (VALUE(c) ? SIP_CHAR_VALUE : 0) |     \
     (DISPLAY(c) ? SIP_CHAR_DISPLAY : 0))

#define ROW4(c)   CLASSES(c), CLASSES((c) + 1), CLASSES((c) + 2), CLASSES((c) + 3)
#define ROW16(c)  ROW4(c), ROW4((c) + 4), ROW4((c) + 8), ROW4((c) + 12)
#define ROW64(c)  ROW16(c), ROW16((c) + 16), ROW16((c) + 32), ROW16((c) + 48)
#define ROW256(c) ROW64(c), ROW64((c) + 64), ROW64((c) + 128), ROW64((c) + 192)

const uint16_t sip_char_table[256] = {ROW256(0)};

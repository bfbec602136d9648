//! Reads matchers as Alertmanager's two parsers do, and keeps for each byte of a value where it stood.

use regex::Regex;

use super::{InvalidMatcher, MatchOperator, Matcher};

/// A text whose escapes are undone, with the place of each of its bytes in the matcher.
#[derive(Default)]
struct Unescaped {
    text: String,
    places: Vec<usize>,
}

impl Unescaped {
    fn push(&mut self, character: char, place: usize) {
        self.text.push(character);
        self.places.resize(self.text.len(), place);
    }
}

struct Parts {
    name: String,
    operator: MatchOperator,
    value: Unescaped,
    end: usize,
}

fn invalid(offset: usize, message: impl Into<String>) -> InvalidMatcher {
    InvalidMatcher {
        offset,
        message: message.into(),
    }
}

pub(super) fn matcher(text: &str) -> Result<Matcher, InvalidMatcher> {
    match classic(text) {
        Some(parts) => compile(parts).or_else(|classic| utf8(text).and_then(compile).map_err(|_| classic)),
        None => utf8(text).and_then(compile),
    }
}

/// Reserved outside quotes in the UTF-8 parser (`matcher/parse/lexer.go`).
pub(super) fn is_reserved(character: char) -> bool {
    character.is_whitespace() || "{}!=~,\\\"'`".contains(character)
}

/// What `pkg/labels/parse.go` reads: a classic label name, and a value that may hold nearly anything. `None` for what
/// it refuses.
fn classic(text: &str) -> Option<Parts> {
    let (start, end) = inside_braces(text)?;
    let body = &text[..end];
    let name_start = start + leading(&body[start..]);
    let name_length = body[name_start..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let name = &body[name_start..name_start + name_length?];
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':') {
        return None;
    }
    let name_end = name_start + name.len();
    let operator_start = name_end + leading(&body[name_end..]);
    let (operator, length) = operator(&body[operator_start..])?;
    let value_start = operator_start + length;
    let value_start = value_start + leading(&body[value_start..]);
    let value_end = value_start + trim_end(&body[value_start..]).len();
    let value_end = without_last_comma(body, value_start, value_end)?;
    Some(Parts {
        name: name.to_owned(),
        operator,
        value: classic_value(&body[value_start..value_end], value_start)?,
        end: text.len(),
    })
}

/// The bytes between the braces, or all; `None` where a brace lacks its partner.
fn inside_braces(text: &str) -> Option<(usize, usize)> {
    let start = leading(text);
    let end = trim_end(text).len();
    match (text[start..].starts_with('{'), text[..end].ends_with('}')) {
        (true, true) if end > start + 1 => Some((start + 1, end - 1)),
        (false, false) => Some((start, end.max(start))),
        _ => None,
    }
}

/// Drops a comma at the end; `None` if there is one outside quotes anywhere else, which begins another matcher.
fn without_last_comma(body: &str, start: usize, end: usize) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (index, character) in body[start..end].char_indices() {
        match character {
            ',' if !quoted => {
                let last = body[start + index + 1..end].trim().is_empty();
                return last.then(|| start + trim_end(&body[start..start + index]).len());
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = character == '\\' && !escaped;
    }
    Some(end)
}

/// A backslash before anything but `\`, `n` and `"` is itself; a double quote may stand at both ends only.
fn classic_value(raw: &str, start: usize) -> Option<Unescaped> {
    let quoted = raw.starts_with('"');
    let skip = usize::from(quoted);
    let mut value = Unescaped::default();
    let mut characters = raw[skip..].char_indices().peekable();
    let mut closed = !quoted;
    while let Some((index, character)) = characters.next() {
        let place = start + skip + index;
        match character {
            '"' if quoted && characters.peek().is_none() => closed = true,
            '"' => return None,
            '\\' => match characters.peek() {
                Some((_, 'n')) => {
                    characters.next();
                    value.push('\n', place);
                }
                Some(&(_, next @ ('"' | '\\'))) => {
                    characters.next();
                    value.push(next, place);
                }
                _ => value.push('\\', place),
            },
            other => value.push(other, place),
        }
    }
    closed.then_some(value)
}

/// What `matcher/parse` reads: names and values in Go's double quotes, or bare without reserved characters.
fn utf8(text: &str) -> Result<Parts, InvalidMatcher> {
    let mut at = leading(text);
    let braced = text[at..].starts_with('{');
    if braced {
        at += 1;
        at += leading(&text[at..]);
    }
    let (name, end) = token(
        text,
        at,
        "a label name, bare or in double quotes, as in severity=\"critical\"",
    )?;
    if name.text.is_empty() {
        return Err(invalid(at, "the label name is empty"));
    }
    at = end + leading(&text[end..]);
    let (operator, length) = operator(&text[at..])
        .ok_or_else(|| invalid(at, "expected an operator after the label name: =, !=, =~ or !~"))?;
    at += length;
    at += leading(&text[at..]);
    let (value, end) = token(text, at, "a value, best in double quotes, as in severity=\"critical\"")?;
    let parts = Parts {
        name: name.text,
        operator,
        value,
        end,
    };
    finish(text, &parts, braced)?;
    Ok(parts)
}

/// Nothing may follow the value but a comma and the closing brace.
fn finish(text: &str, parts: &Parts, braced: bool) -> Result<(), InvalidMatcher> {
    let mut at = parts.end + leading(&text[parts.end..]);
    if text[at..].starts_with(',') {
        at += 1;
        at += leading(&text[at..]);
        if text[at..].starts_with(|c| c != '}') {
            return Err(invalid(
                at,
                "another matcher begins here; write each as an entry of its own",
            ));
        }
    }
    match (braced, text[at..].strip_prefix('}')) {
        (true, None) => Err(invalid(at, "expected } to close the { at the beginning")),
        (false, Some(_)) => Err(invalid(
            at,
            "this } closes nothing; a value with a brace must be in double quotes",
        )),
        (false, None) if at == text.len() => Ok(()),
        (true, Some(rest)) if rest.trim().is_empty() => Ok(()),
        _ => Err(invalid(
            at,
            "expected the end after the value; with spaces or any of {}!=~,'` it must be in double quotes",
        )),
    }
}

fn leading(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// White space as the classic parser's regular expression means it.
fn trim_end(text: &str) -> &str {
    text.trim_end_matches([' ', '\t', '\n', '\r', '\u{c}'])
}

fn operator(text: &str) -> Option<(MatchOperator, usize)> {
    [
        MatchOperator::Matches,
        MatchOperator::DoesNotMatch,
        MatchOperator::NotEqual,
        MatchOperator::Equal,
    ]
    .into_iter()
    .find(|operator| text.starts_with(operator.as_str()))
    .map(|operator| (operator, operator.as_str().len()))
}

/// A token of the UTF-8 parser, and the offset behind it.
fn token(text: &str, at: usize, wanted: &str) -> Result<(Unescaped, usize), InvalidMatcher> {
    if text[at..].starts_with('"') {
        return quoted(text, at);
    }
    let length = text[at..].find(is_reserved).unwrap_or(text.len() - at);
    if length == 0 {
        return Err(invalid(at, format!("expected {wanted}")));
    }
    let mut token = Unescaped::default();
    for (index, character) in text[at..at + length].char_indices() {
        token.push(character, at + index);
    }
    Ok((token, at + length))
}

/// Go's `strconv.Unquote` (<https://pkg.go.dev/strconv#Unquote>) for a text in double quotes.
fn quoted(text: &str, at: usize) -> Result<(Unescaped, usize), InvalidMatcher> {
    let mut token = Unescaped::default();
    let mut rest = text[at + 1..].char_indices();
    while let Some((index, character)) = rest.next() {
        let place = at + 1 + index;
        match character {
            '"' => return Ok((token, place + 1)),
            '\n' => return Err(invalid(place, "a line break inside quotes must be written \\n")),
            '\\' => {
                let (character, length) = escape(&text[place + 1..]).ok_or_else(|| {
                    invalid(
                        place,
                        "unknown escape; inside quotes write \\\\ for a backslash, \\\" for a quote, \\n",
                    )
                })?;
                token.push(character, place);
                rest = text[at + 1..].char_indices();
                let behind = place + 1 + length;
                while rest.clone().next().is_some_and(|(index, _)| at + 1 + index < behind) {
                    rest.next();
                }
            }
            other => token.push(other, place),
        }
    }
    Err(invalid(at, "the double quote is never closed"))
}

/// The character that an escape stands for, and the length of what follows the backslash.
fn escape(text: &str) -> Option<(char, usize)> {
    let first = text.chars().next()?;
    let code = |from: usize, digits: usize, radix: u32| {
        let raw = text.get(from..from + digits)?;
        let all_digits = raw.chars().all(|c| c.is_digit(radix));
        let code = u32::from_str_radix(raw, radix).ok().filter(|_| all_digits)?;
        Some((char::from_u32(code)?, from + digits))
    };
    match first {
        'a' => Some(('\u{7}', 1)),
        'b' => Some(('\u{8}', 1)),
        'f' => Some(('\u{c}', 1)),
        'n' => Some(('\n', 1)),
        'r' => Some(('\r', 1)),
        't' => Some(('\t', 1)),
        'v' => Some(('\u{b}', 1)),
        '\\' | '"' => Some((first, 1)),
        // As bytes these need not be UTF-8; ASCII is all that a label can want of them.
        'x' => code(1, 2, 16).filter(|(character, _)| character.is_ascii()),
        '0'..='7' => code(0, 3, 8).filter(|(character, _)| character.is_ascii()),
        'u' => code(1, 4, 16),
        'U' => code(1, 8, 16),
        _ => None,
    }
}

fn compile(parts: Parts) -> Result<Matcher, InvalidMatcher> {
    let regex = match parts.operator {
        MatchOperator::Equal | MatchOperator::NotEqual => None,
        MatchOperator::Matches | MatchOperator::DoesNotMatch => Some(anchored(&parts)?),
    };
    Ok(Matcher {
        name: parts.name,
        operator: parts.operator,
        value: parts.value.text,
        regex,
    })
}

fn anchored(parts: &Parts) -> Result<Regex, InvalidMatcher> {
    let value = &parts.value;
    let place = |offset: usize| value.places.get(offset).copied().unwrap_or(parts.end);
    // Alone first: an unbalanced parenthesis must not pair with those of the anchors.
    regex_syntax::parse(&value.text).map_err(|error| {
        let (offset, problem) = match &error {
            regex_syntax::Error::Parse(error) => (error.span().start.offset, error.kind().to_string()),
            regex_syntax::Error::Translate(error) => (error.span().start.offset, error.kind().to_string()),
            _ => (0, error.to_string()),
        };
        invalid(place(offset), format!("this is not a regular expression: {problem}"))
    })?;
    Regex::new(&format!("^(?:{})$", value.text)).map_err(|error| {
        // A syntax error is drawn over several lines; the last says what it is.
        let problem = error.to_string();
        let problem = problem.lines().last().unwrap_or_default();
        invalid(place(0), format!("this regular expression cannot be used: {problem}"))
    })
}

//! What a template names, found in its source: the engine tells variables, but not which records are asked for.
//!
//! Every record has to be known, and authorised, before anything is rendered, so `records` is only allowed with a path in quotes.

use std::collections::BTreeMap;

use super::error::{TemplateError, TemplateFault};
use super::filters::FILTERS;
use super::{NAMES, Names};

/// What a template names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Usage {
    /// Whether it uses the own record.
    pub(super) own: bool,
    /// The texts in `records["…"]`, each with the line where it stands first.
    pub(super) records: BTreeMap<String, usize>,
    /// Names after a dot and texts in quotes.
    pub(super) names: Names,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Name(&'a str),
    Text(&'a str),
    Mark(char),
}

/// Finds what a template names. The template has a sound syntax.
pub(super) fn usage(source: &str) -> Result<Usage, TemplateError> {
    let tokens = tokens(source);
    let mut usage = Usage::default();
    for (at, (token, line)) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at)).map(|(token, _)| *token);
        let after = |n: usize| tokens.get(at + n).map(|(token, _)| *token);
        let fault = |fault| {
            Err(TemplateError {
                line: Some(*line),
                fault,
            })
        };
        match (before, token) {
            (_, Token::Text(text)) => {
                usage.names.insert((*text).to_owned());
            }
            (Some(Token::Mark('.')), Token::Name(name)) => {
                usage.names.insert((*name).to_owned());
            }
            (Some(Token::Mark('|')), Token::Name(name)) if !FILTERS.contains(name) => {
                return fault(TemplateFault::UnknownFilter);
            }
            (_, Token::Name("data")) => usage.own = true,
            (_, Token::Name("meta")) => match (after(1), after(2)) {
                (Some(Token::Mark('.')), Some(Token::Name("namespace" | "name" | "path"))) => {}
                (Some(Token::Mark('.')), Some(Token::Name(name))) if name != "version" => {
                    return fault(TemplateFault::UnknownName(format!("meta.{name}")));
                }
                _ => usage.own = true,
            },
            (_, Token::Name("records")) => {
                let (Some(Token::Mark('[')), Some(Token::Text(path)), Some(Token::Mark(']'))) =
                    (after(1), after(2), after(3))
                else {
                    return fault(TemplateFault::OpenRecords);
                };
                match (after(4), after(5)) {
                    (Some(Token::Mark('.')), Some(Token::Name(name))) if name != "data" && name != "version" => {
                        return fault(TemplateFault::UnknownName(format!("records[\"{path}\"].{name}")));
                    }
                    _ => usage.records.entry(path.to_owned()).or_insert(*line),
                };
            }
            _ => {}
        }
    }
    // The names that every template has are no values either.
    usage.names.extend(NAMES.map(str::to_owned));
    Ok(usage)
}

/// The line where a name stands first.
pub(super) fn line_of(source: &str, name: &str) -> Option<usize> {
    tokens(source)
        .into_iter()
        .find(|(token, _)| *token == Token::Name(name))
        .map(|(_, line)| line)
}

/// Names, texts and marks within `{{ }}` and `{% %}`, with their lines from 1. Comments and raw blocks are left out.
fn tokens(source: &str) -> Vec<(Token<'_>, usize)> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(open) = rest.find('{') {
        let line = || 1 + source[..source.len() - rest.len() + open].matches('\n').count();
        let inside = &rest[open + 1..];
        rest = match inside.bytes().next() {
            Some(b'#') => skip_past(inside, "#}"),
            Some(b'%') if block_name(&inside[1..]) == "raw" => skip_raw(inside),
            Some(b'%') => expression(&inside[1..], "%}", line(), &mut tokens),
            Some(b'{') => expression(&inside[1..], "}}", line(), &mut tokens),
            _ => inside,
        };
    }
    tokens
}

fn expression<'a>(mut rest: &'a str, close: &str, mut line: usize, tokens: &mut Vec<(Token<'a>, usize)>) -> &'a str {
    let mut depth = 0_usize;
    while let Some(first) = rest.chars().next() {
        if depth == 0 && rest.starts_with(close) {
            return &rest[close.len()..];
        }
        let length = match first {
            '"' | '\'' => {
                let end = end_of_text(&rest[1..], first);
                tokens.push((Token::Text(&rest[1..=end]), line));
                line += rest[..=end].matches('\n').count();
                end + 2
            }
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                tokens.push((Token::Name(&rest[..end]), line));
                end
            }
            c => {
                match c {
                    '{' | '[' | '(' => depth += 1,
                    '}' | ']' | ')' => depth = depth.saturating_sub(1),
                    '\n' => line += 1,
                    _ => {}
                }
                if !c.is_whitespace() {
                    tokens.push((Token::Mark(c), line));
                }
                c.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    rest
}

/// How long the text is that ends with `quote`.
fn end_of_text(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at,
            _ => {}
        }
    }
    rest.len()
}

/// The word that a block begins with.
fn block_name(inside: &str) -> &str {
    let inside = inside.trim_start_matches(['-', '+']).trim_start();
    &inside[..inside.find(|c: char| !c.is_alphanumeric()).unwrap_or(inside.len())]
}

fn skip_past<'a>(rest: &'a str, end: &str) -> &'a str {
    rest.split_once(end).map_or("", |(_, rest)| rest)
}

fn skip_raw(rest: &str) -> &str {
    let mut rest = skip_past(rest, "%}");
    while let Some((_, inside)) = rest.split_once("{%") {
        rest = inside;
        if block_name(inside) == "endraw" {
            return skip_past(inside, "%}");
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(source: &str) -> (bool, Vec<String>) {
        let usage = usage(source).unwrap();
        (usage.own, usage.records.into_keys().collect())
    }

    #[test]
    fn records_and_the_own_record_are_found_in_expressions_only() {
        for (source, own, records) in [
            ("data records[x]", false, vec![]),
            ("{{ data.a }}", true, vec![]),
            ("{{ meta.name }}", false, vec![]),
            ("{{ meta.version }}", true, vec![]),
            ("{{ meta['version'] }}", true, vec![]),
            ("{{ records[\"a/b\"].data.data }}", false, vec!["a/b"]),
            (
                "{%- if records [ 'a/b' ].data.x -%}{%endif%}{{ records['c/d'].data }}",
                false,
                vec!["a/b", "c/d"],
            ),
            (
                "{# {{ data.x }} #}{% raw %}{{ data.x }}{% records %}{%- endraw %}{{ records['a/b'].version }}",
                false,
                vec!["a/b"],
            ),
            ("{{ '}} {{ data' }}{{ {'a': {'b': data.x}} }}", true, vec![]),
            ("{{ {'a': {'b': 1}} ~ records['a/b'].data.x }}", false, vec!["a/b"]),
            ("{{ 'it\\'s' ~ records['a/b'].data.x }}", false, vec!["a/b"]),
            ("{ { data } }", false, vec![]),
            ("ü{{ 'ü' ~ data.ü }}", true, vec![]),
        ] {
            assert_eq!(
                names(source),
                (own, records.into_iter().map(str::to_owned).collect()),
                "{source}"
            );
        }
    }

    #[test]
    fn records_without_a_path_in_quotes_are_refused() {
        for source in [
            "{{ records }}",
            "\n{{ records.x }}",
            "{{ records[data.x] }}",
            "{{ records['a' ~ 'b'] }}",
            "{% for r in records %}",
        ] {
            let error = usage(source).unwrap_err();
            assert_eq!(error.fault, TemplateFault::OpenRecords, "{source}");
            assert_eq!(error.line, Some(1 + source.matches('\n').count()));
        }
    }

    #[test]
    fn unknown_filters_are_found_with_their_line() {
        let error = usage("{{ data.x | upper\n | shout }}").unwrap_err();
        assert_eq!(
            error,
            TemplateError {
                line: Some(2),
                fault: TemplateFault::UnknownFilter
            }
        );
    }

    proptest! {
        #[test]
        fn r31_no_text_panics(text in any::<String>(), like in "[{}%#'\"a\\\\. ü|\n-]{0,32}") {
            let _ = usage(&text);
            let _ = usage(&like);
        }
    }
}

//! What is wrong with a template, in words of our own: the engine's messages can quote values.

use std::error::Error as _;
use std::fmt;

use minijinja::{Error, ErrorKind};

use super::filters::{FILTERS, FilterError, TESTS};
use super::values::Notes;
use super::{FUEL, Names};
use crate::domain::limits::{MAX_SECRET_BYTES, MAX_TEMPLATE_BYTES};

/// A fault and its line, counted from 1, where it can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// The line.
    pub line: Option<usize>,
    /// What is wrong.
    pub fault: TemplateFault,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateFault {
    /// Longer than [`MAX_TEMPLATE_BYTES`].
    SourceTooLarge,
    /// Not a template; in the engine's words, which at this point know nothing but the source.
    Syntax(String),
    /// A name that templates do not have.
    UnknownName(String),
    /// A filter that templates do not have.
    UnknownFilter,
    /// A test that templates do not have.
    UnknownTest,
    /// `records` without a path in quotes, so that the path to authorise cannot be told beforehand.
    OpenRecords,
    /// `records["…"]` with a text that is no path.
    BadPath(String),
    /// A key that is not there; its name, if it is written in the template, and where it was looked for.
    KeyMissing {
        /// The key.
        key: Option<String>,
        /// Such as `data` or `records["shared/smtp"].data`.
        within: String,
    },
    /// Bytes used as text; the key, if it is written in the template.
    BytesAsText(Option<String>),
    /// A filter refuses what it is given.
    Filter(&'static str),
    /// An operation does not fit what it is given.
    BadOperation,
    /// A function or a method is called.
    NoCalls,
    /// Too many steps.
    TooCostly,
    /// Larger than a Secret may be.
    OutputTooLarge,
}

impl From<TemplateFault> for TemplateError {
    fn from(fault: TemplateFault) -> Self {
        Self { line: None, fault }
    }
}

impl TemplateError {
    /// An error of compiling, when no value is known.
    pub(super) fn of_syntax(error: &Error) -> Self {
        let detail = error.detail().unwrap_or("the template cannot be read");
        // A token of the source can be as long as the source.
        let detail = detail.chars().filter(|c| !c.is_control()).take(200).collect();
        Self {
            line: error.line(),
            fault: TemplateFault::Syntax(detail),
        }
    }

    /// An error of rendering, when values are known: only its kind is used.
    pub(super) fn of_rendering(error: &Error, notes: &Notes, names: &Names) -> Self {
        if let Some(filter) = error.source().and_then(|source| source.downcast_ref::<FilterError>()) {
            return Self {
                line: error.line(),
                fault: TemplateFault::Filter(filter.0),
            };
        }
        let fault = match error.kind() {
            ErrorKind::UndefinedError => {
                let (key, within) = notes
                    .missing()
                    .map_or((None, None), |missing| (missing.key, Some(missing.within)));
                TemplateFault::KeyMissing {
                    key: key.and_then(|key| known(names, key)),
                    within: within.unwrap_or_else(|| "what it is looked for in".to_owned()),
                }
            }
            ErrorKind::OutOfFuel => TemplateFault::TooCostly,
            ErrorKind::UnknownFilter => TemplateFault::UnknownFilter,
            ErrorKind::UnknownTest => TemplateFault::UnknownTest,
            ErrorKind::UnknownFunction | ErrorKind::UnknownMethod => TemplateFault::NoCalls,
            _ => notes.bytes_as_text().map_or(TemplateFault::BadOperation, |key| {
                TemplateFault::BytesAsText(known(names, key))
            }),
        };
        Self {
            line: error.line(),
            fault,
        }
    }
}

/// A name, if it is written in the template and so cannot be a value that was used as one.
pub(super) fn known(names: &Names, name: String) -> Option<String> {
    names.contains(&name).then_some(name)
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        self.fault.fmt(f)
    }
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SourceTooLarge => write!(f, "the template is longer than {MAX_TEMPLATE_BYTES} bytes; split it over several keys"),
            Self::Syntax(detail) => write!(f, "syntax error: {detail}"),
            Self::UnknownName(name) => {
                write!(f, "there is no '{name}'; a template has data, records[\"path\"].data and .version, meta.namespace, .name, .path and .version, and no functions")
            }
            Self::UnknownFilter => write!(f, "unknown filter; there are {}", FILTERS.join(", ")),
            Self::UnknownTest => write!(f, "unknown test; there are {}", TESTS.join(", ")),
            Self::OpenRecords => f.write_str("write the path of a record in quotes, as in records[\"shared/smtp\"].data.host"),
            Self::BadPath(message) => write!(f, "records[\"…\"]: {message}"),
            Self::KeyMissing { key: Some(key), within } => {
                write!(f, "there is no '{key}' in {within}; add the key to the record, or give a default: … | default(\"\")")
            }
            Self::KeyMissing { key: None, within } => {
                write!(f, "a key that the template asks for is not in {within}; add it to the record, or give a default: … | default(\"\")")
            }
            Self::BytesAsText(key) => {
                let key = key.as_ref().map_or_else(|| "a key".to_owned(), |key| format!("key '{key}'"));
                write!(f, "{key} holds bytes, not text; use … | b64encode, or give the Secret's key a `from` instead of a template")
            }
            Self::Filter(message) => f.write_str(message),
            Self::BadOperation => f.write_str(
                "a filter or an operator does not fit what it is given: too many or too few arguments, or a structure where text or a \
                 number belongs (… | tojson makes text of it)",
            ),
            Self::NoCalls => f.write_str("there are no functions and methods; use filters, as in … | upper"),
            Self::TooCostly => write!(f, "rendering takes more than {FUEL} steps; make loops shorter"),
            Self::OutputTooLarge => write!(f, "the output is larger than {MAX_SECRET_BYTES} bytes, which is what a Secret holds"),
        }
    }
}

impl std::error::Error for TemplateError {}

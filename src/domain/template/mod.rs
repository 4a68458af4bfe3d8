//! Templates of a `VaultSecret`: text from the values of records.
//!
//! The language is Jinja's, by minijinja, cut down to what is pure: expressions, conditions and loops, a fixed list of filters and tests,
//! no functions, no includes, no macros, nothing that sees time, environment, network or cluster (R33, CVE-2026-22822). Source, output,
//! steps and nesting are bounded. A template sees `data` (the own record), `records["path"].data` and `.version`, and `meta`
//! (`namespace`, `name`, `path`, `version`).
//!
//! An error says what to do and in which line, and never holds a value. The engine's working copies of values are not wiped; they end
//! with the rendering.

mod error;
mod filters;
mod scan;
mod values;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::io;
use std::sync::{Arc, LazyLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior};
use zeroize::Zeroizing;

use super::limits::{MAX_SECRET_BYTES, MAX_TEMPLATE_BYTES};
use super::path::{PathPrefix, RecordPath};
use super::record::{RecordData, Version};
pub use error::{TemplateError, TemplateFault};
use scan::Usage;
use values::Root;

/// What a rendering may do at most: an instruction costs 1, and so do 64 bytes that are read or made. Enough for a full-sized Secret a
/// few times over, and over within a fraction of a second.
const FUEL: u64 = 500_000;
/// Nesting of recursive loops.
const MAX_RECURSION: usize = 32;
/// The names that a template starts with.
const NAMES: [&str; 3] = ["data", "records", "meta"];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // A file keeps its last newline. With the default delimiters, building does not fail.
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(MAX_RECURSION);
    environment.set_formatter(values::format);
    filters::add_to(&mut environment);
    environment
});

/// A checked template.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    source: Arc<str>,
    usage: Usage,
    /// What is written in `records["…"]`, and the path that it stands for.
    records: BTreeMap<String, RecordPath>,
}

/// A record as a template and a projection see it.
#[derive(Clone)]
pub struct FetchedRecord {
    /// Its version.
    pub version: Version,
    /// Its values.
    pub data: Arc<RecordData>,
}

/// The resource that is rendered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its record's path.
    pub path: RecordPath,
}

/// Everything that a template sees.
#[derive(Clone)]
pub struct Context {
    /// The own record, if a template uses it.
    pub own: Option<FetchedRecord>,
    /// Current versions of the records that are named.
    pub records: BTreeMap<RecordPath, FetchedRecord>,
    /// The resource.
    pub meta: Meta,
}

impl Template {
    /// Checks a template: its size, its syntax, its filters, and that it names records and variables that can exist.
    ///
    /// `home` is what `~/` stands for in `records["~/…"]`: the root of the resource's namespace.
    ///
    /// # Errors
    /// [`TemplateError`], with the line where one can be told.
    pub fn parse(source: &str, home: Option<&PathPrefix>) -> Result<Self, TemplateError> {
        if source.len() > MAX_TEMPLATE_BYTES {
            return Err(TemplateFault::SourceTooLarge.into());
        }
        let compiled = ENVIRONMENT
            .template_from_str(source)
            .map_err(|error| TemplateError::of_syntax(&error))?;
        let usage = scan::usage(source)?;
        let unknown = compiled
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| !NAMES.contains(&name.as_str()));
        if let Some(name) = unknown.min() {
            let line = scan::line_of(source, &name);
            return Err(TemplateError {
                line,
                fault: TemplateFault::UnknownName(name),
            });
        }
        let mut records = BTreeMap::new();
        for (text, line) in &usage.records {
            let path = parse_path(text, home).map_err(|message| TemplateError {
                line: Some(*line),
                fault: TemplateFault::BadPath(message),
            })?;
            records.insert(text.clone(), path);
        }
        Ok(Self {
            source: source.into(),
            usage,
            records,
        })
    }

    /// Whether it uses the own record.
    #[must_use]
    pub fn uses_own(&self) -> bool {
        self.usage.own
    }

    /// The records that it names.
    #[must_use]
    pub fn records(&self) -> BTreeSet<&RecordPath> {
        self.records.values().collect()
    }

    /// Renders.
    ///
    /// # Errors
    /// [`TemplateError`]; [`TemplateFault::KeyMissing`] where a record lacks what the template names.
    pub fn render(&self, context: &Context) -> Result<Zeroizing<Vec<u8>>, TemplateError> {
        // Checked once; an error here would be a defect of the engine, and is told all the same.
        let compiled = ENVIRONMENT
            .template_from_str(&self.source)
            .map_err(|error| TemplateError::of_syntax(&error))?;
        let root = Root::new(context, &self.records);
        let notes = root.notes();
        let mut output = Output::default();
        let outcome = compiled
            .render_captured_to(minijinja::Value::from_object(root), &mut output)
            .map(drop);
        if output.full {
            return Err(TemplateFault::OutputTooLarge.into());
        }
        if let Err(error) = outcome {
            return Err(TemplateError::of_rendering(&error, &notes, &self.usage.names));
        }
        if let Some(key) = notes.bytes_as_text() {
            return Err(TemplateFault::BytesAsText(error::known(&self.usage.names, key)).into());
        }
        Ok(output.bytes)
    }
}

/// The source is no secret, but it is long.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("bytes", &self.source.len())
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

/// The filters that templates have, in alphabetical order.
#[must_use]
pub fn filter_names() -> Vec<&'static str> {
    filters::FILTERS.to_vec()
}

/// The tests that templates have (`is …`), in alphabetical order.
#[must_use]
pub fn test_names() -> Vec<&'static str> {
    filters::TESTS.to_vec()
}

fn parse_path(text: &str, home: Option<&PathPrefix>) -> Result<RecordPath, String> {
    let path = match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => RecordPath::parse(&format!("{home}{rest}")),
        (_, _) => RecordPath::parse(text),
    };
    path.map_err(|error| error.to_string())
}

/// Collects output up to the size of a Secret.
#[derive(Default)]
struct Output {
    bytes: Zeroizing<Vec<u8>>,
    full: bool,
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_SECRET_BYTES {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if self.bytes.capacity() < self.bytes.len() + bytes.len() {
            // Growing in place would leave an unwiped copy behind.
            let mut grown = Zeroizing::new(Vec::with_capacity((self.bytes.len() + bytes.len()) * 2));
            grown.extend_from_slice(&self.bytes);
            self.bytes = grown;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The names written in a template: only these may stand in a message, since any other may come from a value.
type Names = HashSet<String>;

#[cfg(test)]
mod tests;

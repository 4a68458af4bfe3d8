//! Lists in the order of names, a page at a time.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::Deserialize;

use super::problem::{Problem, Result};
use super::query::Parameters;
use crate::domain::limits::MAX_PAGE;
use crate::service::error::Reason;

/// Items of a page unless the client says otherwise.
const DEFAULT_PAGE: u32 = 100;
/// Bytes of a name that a cursor may hold.
const MAX_NAME_BYTES: usize = 512;

/// Where a page begins, and how long it is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PageParameters {
    /// Items at most.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

impl Parameters for PageParameters {
    const EXAMPLE: &'static str = "?limit=N and ?after=CURSOR, each once";
}

impl PageParameters {
    /// The name after which the page begins, and its length.
    pub(super) fn parse(&self) -> Result<(Option<String>, u32)> {
        let limit = self.limit.unwrap_or(DEFAULT_PAGE);
        if !(1..=MAX_PAGE).contains(&limit) {
            let detail = format!("'limit' must be 1 to {MAX_PAGE}");
            return Err(Problem::new(Reason::InvalidRequest, detail));
        }
        let after = self.after.as_deref().map(open).transpose()?;
        Ok((after, limit))
    }
}

/// The cursor that stands for a name; clients are to hand it back, not to read it.
pub(super) fn cursor(name: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(name)
}

/// The name that a cursor stands for.
pub(super) fn open(cursor: &str) -> Result<String> {
    let name = BASE64_URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    name.filter(|name| name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control))
        .ok_or_else(|| {
            Problem::new(
                Reason::InvalidRequest,
                "'after' takes the 'next' of the page before, as it was given",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(limit: Option<u32>, after: Option<String>) -> Result<(Option<String>, u32), &'static str> {
        PageParameters { limit, after }
            .parse()
            .map_err(|problem| problem.reason())
    }

    #[test]
    fn r23_page_and_cursor_are_bounded() {
        assert_eq!(parse(None, None), Ok((None, 100)));
        assert_eq!(parse(Some(0), None), Err("InvalidRequest"));
        assert_eq!(parse(Some(1001), None), Err("InvalidRequest"));
        assert_eq!(parse(None, Some("not base64!".to_owned())), Err("InvalidRequest"));
        assert_eq!(parse(None, Some(cursor("a\0b"))), Err("InvalidRequest"));
        assert_eq!(parse(None, Some(cursor(&"a".repeat(513)))), Err("InvalidRequest"));
    }

    #[test]
    fn a_name_of_any_script_goes_there_and_back() {
        assert_eq!(
            parse(Some(7), Some(cursor("jürgen"))),
            Ok((Some("jürgen".to_owned()), 7))
        );
    }
}

//! Audit entries as syslog messages: RFC 5424, the entry as JSON behind a structured-data element that names the essentials.

use super::leaf::StoredEntry;

/// Facility 13, log audit (RFC 5424, table 1).
const FACILITY: u8 = 13;
/// The enterprise number of examples and documentation (RFC 5612): the element has no registered one.
const ELEMENT: &str = "audit@32473";
/// Bytes of a parameter's value.
const MAX_PARAMETER: usize = 256;

/// One message, without any framing.
#[must_use]
pub fn message(entry: &StoredEntry, host: &str, process: u32) -> String {
    let severity = match entry.decision.as_str() {
        "allow" => 6,
        "deny" => 4,
        _ => 5,
    };
    let priority = FACILITY * 8 + severity;
    let parameters = [
        ("id", entry.id.to_string()),
        ("action", entry.action.clone()),
        ("decision", entry.decision.clone()),
        ("actor", entry.actor_name.clone()),
        ("resource", entry.resource.clone()),
    ];
    let data: String = parameters
        .iter()
        .map(|(name, value)| format!(" {name}=\"{}\"", escaped(value)))
        .collect();
    // A stored entry always serialises. UTF-8 is announced by a byte order mark (section 6.4).
    let json = serde_json::to_string(entry).unwrap_or_default();
    format!(
        "<{priority}>1 {} {} aether-vault {process} audit [{ELEMENT}{data}] \u{feff}{json}",
        entry.at,
        printable(host)
    )
}

/// The message behind its length, as a stream needs it (RFC 6587, section 3.4.1).
#[must_use]
pub fn framed(message: &str) -> String {
    format!("{} {message}", message.len())
}

/// A parameter's value: three characters are escaped (section 6.3.3).
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if out.len() >= MAX_PARAMETER {
            break;
        }
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A header field: visible ASCII, or a dash.
fn printable(text: &str) -> String {
    let out: String = text.chars().filter(char::is_ascii_graphic).take(255).collect();
    if out.is_empty() { "-".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::super::leaf::tests::entry;
    use super::*;

    #[test]
    fn the_message_is_of_rfc_5424() {
        let mut entry = entry(7);
        entry.resource = r#"a"b\c]d"#.into();
        entry.decision = "deny".into();
        let text = message(&entry, "host name", 42);
        let head = r#"<108>1 2026-09-21T14:13:20.007Z hostname aether-vault 42 audit [audit@32473 id="7" action="record.read" decision="deny" actor="ann" resource="a\"b\\c\]d"] "#;
        assert_eq!(text.split('\u{feff}').next().unwrap(), head);
        let json = text.split('\u{feff}').nth(1).unwrap();
        assert_eq!(serde_json::from_str::<StoredEntry>(json).unwrap(), entry);
        assert_eq!(framed("aé"), "3 aé");
        assert!(!text.contains('\n'));
    }
}

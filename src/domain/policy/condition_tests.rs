//! Tests of conditions.

use proptest::prelude::*;

use super::*;

fn compile(text: &str) -> Result<Condition, String> {
    Condition::compile(&serde_json::from_str(text).unwrap()).map_err(|problems| {
        let problems: Vec<_> = problems
            .iter()
            .map(|(at, message)| format!("{at}: {message}"))
            .collect();
        problems.join("; ")
    })
}

fn truth(text: &str, circumstances: &Circumstances) -> Truth {
    compile(text).unwrap().truth(circumstances)
}

fn at(time: &str) -> Circumstances {
    Circumstances::at(time.parse().unwrap())
}

#[test]
fn a_second_factor_grows_old() {
    let now = at("2026-11-24T12:00:00Z");
    let given = |time: &str| Circumstances {
        second_factor_at: Some(time.parse().unwrap()),
        ..now
    };
    for (circumstances, expected) in [
        (now, Truth::Fails),
        (now.stepped_up(), Truth::Holds),
        (given("2026-11-24T11:45:00Z"), Truth::Holds),
        (given("2026-11-24T11:44:59Z"), Truth::Fails),
        (given("2026-11-24T12:00:30Z"), Truth::Holds),
        (given("2026-11-24T12:05:00Z"), Truth::Fails),
    ] {
        assert_eq!(truth(r#"{"secondFactorWithin": "15m"}"#, &circumstances), expected);
    }
}

#[test]
fn an_address_lies_in_a_network_or_is_not_known() {
    let text = r#"{"networks": ["10.0.0.0/8", "fd00::/8"]}"#;
    for (client, expected) in [
        (Some("10.1.2.3"), Truth::Holds),
        (Some("::ffff:10.1.2.3"), Truth::Holds),
        (Some("fd12::1"), Truth::Holds),
        (Some("11.0.0.1"), Truth::Fails),
        (Some("2001:db8::1"), Truth::Fails),
        (None, Truth::Unknown),
    ] {
        let circumstances = Circumstances {
            client: client.map(|client| client.parse().unwrap()),
            ..at("2026-11-24T12:00:00Z")
        };
        assert_eq!(truth(text, &circumstances), expected, "{client:?}");
    }
    let past = r#"{"networks": ["10.0.0.0/8"], "expiresAt": "2026-01-01T00:00:00Z"}"#;
    assert_eq!(
        truth(past, &at("2026-11-24T12:00:00Z")),
        Truth::Fails,
        "one that fails settles it"
    );
}

#[test]
fn a_window_goes_by_local_time_and_into_the_next_day() {
    let office =
        r#"{"timeWindow": {"days": ["Mon", "Fri"], "from": "08:00", "to": "18:00", "timeZone": "Europe/Berlin"}}"#;
    let night = r#"{"timeWindow": {"days": ["Fri"], "from": "22:00", "to": "06:00"}}"#;
    let all = r#"{"timeWindow": {"from": "00:00", "to": "24:00"}}"#;
    for (text, time, holds) in [
        // 2026-11-23 is a Monday; Berlin is an hour ahead of UTC in winter and two in summer.
        (office, "2026-11-23T07:00:00Z", true),
        (office, "2026-11-23T06:59:59Z", false),
        (office, "2026-11-23T17:00:00Z", false),
        (office, "2026-11-24T09:00:00Z", false),
        (office, "2026-07-06T06:00:00Z", true),
        (night, "2026-11-27T22:00:00Z", true),
        (night, "2026-11-28T05:59:00Z", true),
        (night, "2026-11-28T06:00:00Z", false),
        (night, "2026-11-27T05:00:00Z", false),
        (night, "2026-11-28T22:00:00Z", false),
        (all, "2026-11-28T23:59:59Z", true),
    ] {
        assert_eq!(truth(text, &at(time)), Truth::of(holds), "{text} at {time}");
    }
}

#[test]
fn r23_conditions_are_bounded_and_their_problems_located() {
    let many = format!(r#"{{"networks": [{}]}}"#, vec![r#""10.0.0.0/8""#; 65].join(","));
    for (text, begins) in [
        ("{}", ": is empty"),
        (r#"{"secondFactorWithin": "0s"}"#, ".secondFactorWithin"),
        (r#"{"secondFactorWithin": "31d"}"#, ".secondFactorWithin"),
        (r#"{"secondFactorWithin": "-1m"}"#, ".secondFactorWithin"),
        (r#"{"secondFactorWithin": "15"}"#, ".secondFactorWithin"),
        (r#"{"secondFactorWithin": "99999999999d"}"#, ".secondFactorWithin"),
        (r#"{"secondFactorWithin": "m"}"#, ".secondFactorWithin"),
        (r#"{"secondFactorWithin": "1µ"}"#, ".secondFactorWithin"),
        (r#"{"networks": []}"#, ".networks"),
        (r#"{"networks": ["10.0.0.1/8"]}"#, ".networks"),
        (r#"{"networks": ["10.0.0.0"]}"#, ".networks"),
        (r#"{"networks": ["10.0.0.0/33"]}"#, ".networks"),
        (many.as_str(), ".networks"),
        (r#"{"timeWindow": {"from": "8:00", "to": "18:00"}}"#, ".timeWindow.from"),
        (
            r#"{"timeWindow": {"from": "24:00", "to": "18:00"}}"#,
            ".timeWindow.from",
        ),
        (r#"{"timeWindow": {"from": "08:00", "to": "24:01"}}"#, ".timeWindow.to"),
        (r#"{"timeWindow": {"from": "08:00", "to": "08:00"}}"#, ".timeWindow.to"),
        (
            r#"{"timeWindow": {"days": [], "from": "08:00", "to": "09:00"}}"#,
            ".timeWindow.days",
        ),
        (
            r#"{"timeWindow": {"from": "08:00", "to": "09:00", "timeZone": "../../etc/passwd"}}"#,
            ".timeWindow.timeZone",
        ),
        (
            r#"{"notBefore": "2026-01-02T00:00:00Z", "expiresAt": "2026-01-01T00:00:00Z"}"#,
            ".expiresAt",
        ),
    ] {
        let problem = compile(text).err().unwrap();
        assert!(problem.starts_with(begins), "{text}: {problem}");
    }
    assert!(serde_json::from_str::<Conditions>(r#"{"network": []}"#).is_err());
}

proptest! {
    #[test]
    fn r31_no_text_panics(factor in any::<String>(), network in any::<String>(), from in "[0-9:]{0,6}", to in any::<String>(), zone in any::<String>()) {
        let window = |from: &str, to: &str| TimeWindow { days: None, from: from.into(), to: to.into(), time_zone: Some(zone.clone()) };
        for time_window in [window(&from, &to), window(&from, "12:00"), window("00:00", &to)] {
            let _ = Condition::compile(&Conditions {
                second_factor_within: Some(factor.clone()),
                networks: Some(vec![network.clone()]),
                time_window: Some(time_window),
                ..Conditions::default()
            });
        }
    }
}

//! The client commands of the real binary against a running server: what they print, and their exit codes.

use crate::support::database::TestDatabase;
use crate::support::process::Installation;

/// Runs a client command; answers its exit code and what it printed.
fn run(installation: &Installation, command: &str) -> (i32, String) {
    let address = format!("http://{}", installation.api_address());
    let token = installation.folder().join("token").display().to_string();
    let mut arguments: Vec<&str> = command.split(' ').collect();
    arguments.extend(["--address", &address, "--token-file", &token]);
    let output = installation.run(&arguments);
    let code = output.status.code().unwrap();
    let text = if code == 0 { &output.stdout } else { &output.stderr };
    (code, String::from_utf8(text.clone()).unwrap().trim_end().to_owned())
}

#[tokio::test]
async fn records_are_kept_by_client_commands() {
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    let _api = installation.api().await;
    let admin = installation.administrator().await;
    std::fs::write(installation.folder().join("token"), admin.token()).unwrap();
    let done = |command: &str| {
        let (code, text) = run(&installation, command);
        assert_eq!(code, 0, "{command}: {text}");
        text
    };
    done("put shared/a user=u password=one");
    assert_eq!(done("patch shared/a password=two --remove user"), "shared/a  version 2");
    assert_eq!(done("get shared/a --show"), "shared/a  version 2\npassword  two");
    assert_eq!(
        done("rollback shared/a --to 1 --cas 2"),
        "shared/a  version 3, as version 1"
    );
    assert_eq!(run(&installation, "rollback shared/a --to 1 --cas 2").0, 5);
    assert_eq!(done("get shared/a --key user --show"), "u");
    done("delete shared/a --versions 1,2");
    done("undelete shared/a --versions 1");
    done("destroy shared/a --versions 2");
    let states: Vec<_> = done("versions shared/a")
        .lines()
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(states, ["1 live", "2 destroyed", "3 live"]);

    let shown = done(
        "metadata shared/a --owner ops --tags prod,db --custom ticket=7 --max-versions 5 --delete-version-after 30d",
    );
    for line in [
        r#"custom                    {"ticket":"7"}"#,
        r#"tags                      ["db","prod"]"#,
    ] {
        assert!(
            shown
                .lines()
                .any(|shown| shown.split_whitespace().eq(line.split_whitespace())),
            "{shown}"
        );
    }
    assert_eq!(
        done("search shared --tags db --custom ticket=7"),
        "shared/a  version 3  db,prod"
    );
    assert_eq!(done("search shared --owner nobody"), "");

    assert_eq!(done("cp shared/a other/b --cas 0"), "other/b  version 1");
    assert_eq!(done("mv other/b other/c"), "other/b  moved to other/c");
    assert_eq!(run(&installation, "get other/b").0, 4);

    let token = done("wrap shared/a --keys password --ttl 1h");
    let file = installation.folder().join("wrap").display().to_string();
    std::fs::write(&file, &token).unwrap();
    assert!(done(&format!("unwrap {file} --look-up")).starts_with("shared/a  version 3, unused, good until "));
    assert_eq!(
        run(&installation, &format!("unwrap {file}")).0,
        2,
        "not without saying that values are to be shown"
    );
    assert_eq!(done(&format!("unwrap {file} --show --key password")), "one");
    let (code, text) = run(&installation, &format!("unwrap {file} --show"));
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("WrapGone") && !text.contains(&token), "{text}");
}

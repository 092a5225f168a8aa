//! `jeton run`: the command gets the token, and ends as if it had been started directly.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;

use crate::world::{World, run};

fn stored_token(world: &World) -> String {
    world.record("work").tokens[0].access_token.expose().to_owned()
}

#[test]
fn the_command_has_the_token_in_its_environment_and_nothing_else_of_ours() {
    let world = World::new();
    world.signed_in("work");
    let token = stored_token(&world);
    let ran = world.jeton(["run", "work", "--", "sh", "-c", "printf %s \"$ACCESS_TOKEN\""]);
    assert_eq!(ran.answer(), token);
    assert_eq!(ran.stderr, "");

    let mut command = world.command(["run", "work", "--env", "A_TOKEN", "--env", "_B2", "--", "env"]);
    command.env("JETON_CLIENT_SECRET", "marker-of-the-client-secret");
    command.env("JETON_PASSPHRASE_FILE", "/marker-of-the-passphrase");
    command.env("OTHER", "stays");
    let ran = run(&mut command, b"");
    let lines: Vec<&str> = ran.answer().lines().collect();
    for expected in [format!("A_TOKEN={token}"), format!("_B2={token}"), "OTHER=stays".to_owned()] {
        assert!(lines.contains(&expected.as_str()), "{ran}");
    }
    assert!(!ran.answer().contains("marker-of") && !ran.answer().contains("ACCESS_TOKEN"), "{ran}");
}

#[test]
fn it_is_the_very_process_with_its_input_output_exit_code_and_signals() {
    let world = World::new();
    world.signed_in("work");
    // Its arguments show no token, and it is not a child.
    let mut command =
        world.command(["run", "work", "--", "sh", "-c", "echo $$; tr a b; exit 42", "argument"]);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"banana").unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{id}\nbbnbnb"));
    assert_eq!(output.status.code(), Some(42));

    let ran = world.jeton(["run", "work", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(ran.status.signal(), Some(15));
    // A shell's pipes rely on SIGPIPE (13), which is bit 12 of the mask of ignored signals.
    let ran = world.jeton(["run", "work", "--", "grep", "SigIgn", "/proc/self/status"]);
    let mask = u64::from_str_radix(ran.answer().split_whitespace().last().unwrap(), 16).unwrap();
    assert_eq!(mask & (1 << 12), 0, "{ran}");
}

#[test]
fn what_cannot_be_started_is_told_in_the_numbers_of_shells() {
    let world = World::new();
    world.signed_in("work");
    let failure = world.jeton(["run", "work", "--json", "--", "no-such-command"]).failed_json(127);
    assert_eq!(failure["code"], "command_not_found");
    let script = world.file("script", "echo");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o600)).unwrap();
    let ran = world.jeton(["run", "work", "--", script.to_str().unwrap()]);
    assert!(ran.failed(126).contains("cannot be executed"), "{ran}");
    ran.shows_none_of(&world.secrets("work"));
}

#[test]
fn an_expired_token_is_refreshed_first_and_without_a_login_nothing_runs() {
    let world = World::new();
    world.signed_in("work");
    world.expire("work");
    let ran =
        world.jeton(["run", "work", "--min-valid", "5m", "--", "sh", "-c", "printf %s \"$ACCESS_TOKEN\""]);
    assert_eq!(ran.answer(), stored_token(&world));
    assert!(world.server.is_access_token_live(ran.answer()));

    world.person_profile("other");
    let witness = world.home().join("ran");
    world.jeton(["run", "other", "--", "touch", witness.to_str().unwrap()]).failed(3);
    assert!(!witness.exists());
}

#[test]
fn wrong_arguments_and_bound_tokens_are_refused() {
    let world = World::new();
    world.signed_in("work");
    for wrong in ["", "A=B", "1A", "A-B"] {
        assert_eq!(world.jeton(["run", "work", "--env", wrong, "--", "true"]).code, Some(2), "{wrong}");
    }
    assert_eq!(world.jeton(["run", "work"]).code, Some(2));

    let issuer = world.server.issuer();
    world.profile("bound", &format!("issuer = \"{issuer}\"\nclient_id = \"public-app\"\ndpop = true"));
    world.sign_in_again("bound", "public-app", |builder| builder.dpop(true));
    let witness = world.home().join("ran");
    let ran = world.jeton(["run", "bound", "--", "touch", witness.to_str().unwrap()]);
    assert!(ran.failed(2).contains("jeton request bound"), "{ran}");
    assert!(!witness.exists());
}

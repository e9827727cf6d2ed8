//! Tests that hang: the run ends, and says which they are; a wait that fails shows what came before.

use std::path::Path;

use serde_json::json;
use tokio::process::Command;

use crate::support::app::TestApp;
use crate::support::process::ended;
use crate::support::socket::Socket;

fn within(limit: &str, script: &str) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/within"));
    command.args([limit, "the story", "bash", "-c", script]);
    command
}

#[tokio::test]
async fn a_run_that_hangs_is_ended_and_its_tests_are_named() {
    let script = "echo 'test slow::one has been running for over 60 seconds'
        echo 'test slow::two has been running for over 60 seconds'
        echo 'test slow::two ... ok'
        sleep 1000 & sleep 1000";
    let run = ended(&mut within("3s", script)).await;
    assert_eq!(run.code, 124, "{run:?}");
    assert!(run.stdout.contains("HANGS: the story did not end within 3s"), "{}", run.stdout);
    assert!(run.stdout.contains("HANGS: test slow::one was still running"), "{}", run.stdout);
    assert!(!run.stdout.contains("HANGS: test slow::two"), "it had ended: {}", run.stdout);
}

#[tokio::test]
async fn a_run_that_ends_by_itself_ends_as_its_command_does() {
    for code in [0, 1, 101] {
        let run = ended(&mut within("1m", &format!("echo said; echo told >&2; exit {code}"))).await;
        assert_eq!((run.code, run.stdout.as_str()), (code, "said\ntold\n"));
    }
}

#[tokio::test]
async fn a_failed_wait_on_a_socket_shows_the_last_frames() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(app.address).await;
    socket.subscribe("entity:Task", json!({})).await;
    for n in 0..12 {
        socket.send(&json!({"type": "ping", "requestId": format!("p{n}.")})).await;
        socket.expect("pong").await;
    }
    let history = socket.history();
    assert!(history.contains("the last frame sent: {\"requestId\":\"p11.\""), "{history}");
    let shown = |n: u32| history.matches(&format!("\"requestId\":\"p{n}.\"")).count();
    assert_eq!((shown(0), shown(1), shown(2), shown(10)), (0, 0, 1, 1), "ten of them: {history}");
    assert!(history.find("p2.") < history.find("p10."), "in the order in which they came: {history}");
}

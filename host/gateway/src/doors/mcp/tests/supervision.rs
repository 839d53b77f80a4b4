//! Child processes that keep failing.

use std::path::Path;
use std::time::Duration;

use super::support::*;
use crate::doors::mcp::McpLimits;
use crate::upstream::{Restarts, Upstream};

/// Nobody waits for this long.
const NEVER: Duration = Duration::from_secs(3600);

/// Leaves a line in a file at each start, then does what the script says.
fn counted(starts: &Path, script: &str) -> Upstream {
    let script = format!("echo started >> {}; {script}", starts.display());
    Upstream::stdio("counted", "sh", vec!["-c".to_owned(), script], []).unwrap()
}

fn starts(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

fn limits(first: Duration, well_after: Duration) -> McpLimits {
    McpLimits { restarts: Restarts { first, most: NEVER, well_after }, ..quick() }
}

#[tokio::test]
async fn a_child_that_keeps_ending_is_not_started_without_limit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("starts");
    let served = Served::new([counted(&file, "exit 1")], limits(NEVER, NEVER)).await;
    for _ in 0..2 {
        let got = served.post().send(INITIALIZE).await;
        assert_eq!((got.status, got.json()["error"]["code"].as_i64()), (200, Some(-32603)), "{}", got.text());
    }
    for _ in 0..5 {
        let got = served.post().send(INITIALIZE).await;
        assert_eq!((got.status, got.header("retry-after")), (503, Some("3600")), "{}", got.text());
        assert_eq!(got.json()["id"], "init");
        let text = got.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(text.contains("keeps ending") && text.contains("tried again in 3600 s"), "{text}");
    }
    assert_eq!(starts(&file), 2);
    let metrics = served.metrics();
    for line in [
        r#"mcp_child_events_total{upstream="counted",event="started"} 2"#,
        r#"mcp_child_events_total{upstream="counted",event="failed"} 2"#,
        r#"mcp_child_events_total{upstream="counted",event="refused"} 5"#,
        r#"mcp_child_wait_seconds{tenant="default",upstream="counted"} 3600.0"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    // Another tenant has to find out for itself.
    let got = served.post().with("authorization", "Bearer other").send(INITIALIZE).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(starts(&file), 3);
}

#[tokio::test]
async fn a_child_that_cannot_start_has_to_wait_too() {
    let upstream = Upstream::stdio("none", "/no/such/program", [], []).unwrap();
    let served = Served::new([upstream], limits(NEVER, NEVER)).await;
    for retry_after in [None, None, Some("3600"), Some("3600")] {
        let got = served.post().send(INITIALIZE).await;
        assert_eq!((got.status, got.header("retry-after")), (503, retry_after), "{}", got.text());
    }
}

#[tokio::test]
async fn a_child_is_started_again_when_the_wait_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("starts");
    let script =
        format!("[ $(wc -l < {0}) -gt 3 ] && exec python3 {1}; exit 1", file.display(), python_server().display());
    let served = Served::new([counted(&file, &script)], limits(Duration::from_millis(20), NEVER)).await;
    for _ in 0..500 {
        let got = served.post().send(INITIALIZE).await;
        if got.json()["result"].is_object() {
            assert_eq!(starts(&file), 4);
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it was given up");
}

#[tokio::test]
async fn sessions_that_end_well_are_no_failures() {
    let upstream = Upstream::stdio("python", "python3", [python_server().display().to_string()], []).unwrap();
    let served = Served::new([upstream], limits(NEVER, NEVER)).await;
    for _ in 0..4 {
        let session = served.initialize().await.unwrap();
        assert_eq!(served.request("DELETE", "/mcp").session(&session).send("").await.status, 200);
    }
    assert!(!served.metrics().contains(r#"event="failed""#), "{}", served.metrics());
}
